"""Names into ids: text that is safe in a DAG id, a file name and a URL, and different for different names."""

from __future__ import annotations

import hashlib
import re

_UNSAFE = re.compile(r"[^A-Za-z0-9_.-]|^\.")
_LOOKS_HASHED = re.compile(r".*-[0-9a-f]{8}", re.DOTALL)
_LONGEST = 200

ID_PATTERN = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.-]{0,199}")


def slug(name: str) -> str:
    """``name`` where it is made of letters A-Z, digits and ``_ . -`` only, else a readable form with a hash.

    At most 200 characters and never a leading dot. Two names never share a slug (but for a collision of 32 hash bits):
    a name that looks as if it carried a hash gets one as well.
    """
    readable = _UNSAFE.sub("_", name)
    if readable == name and name and len(name) <= _LONGEST and not _LOOKS_HASHED.fullmatch(name):
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:8]
    return f"{readable[: _LONGEST - 9]}-{digest}"
