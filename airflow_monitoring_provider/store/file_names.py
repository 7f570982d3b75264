"""Names of the store's files: a folder for each kind, deployment and batch, and in a file's name whose it is."""

from __future__ import annotations

import hashlib
import posixpath
import re
from urllib.parse import quote

from airflow_monitoring_provider.exceptions import ConfigurationError

_LIMIT = 100  # characters; with a checksum, token, part and temporary suffix a name stays below 255
_FILE = r"-(\d+)(-\d+)?(-[0-9a-f]+)?\.(parquet|part)(\.[0-9a-f]+\.tmp)?"
_ANY = re.compile(r"\.?([^-]+)" + _FILE)


def folder(kind: str, *identifiers: str) -> str:
    """Where files of a kind lie: those of a deployment, or of a batch of it."""
    return posixpath.join(kind, *map(segment, identifiers))


def owner(job_id: str) -> str:
    """The job's part of a file name, in which ``-`` separates only token and part."""
    return segment(job_id).replace("-", "%2D")


def owner_and_token(path: str) -> tuple[str, int] | None:
    """Whose a file is (:func:`owner`) and of which attempt, also one that is being written; None where it is no file
    of a job."""
    found = _ANY.fullmatch(posixpath.basename(path))
    return None if found is None else (found[1], int(found[2]))


def segment(identifier: str) -> str:
    """The id as one part of a path: percent-encoded, never empty, hidden, ``..`` or longer than a file name may be."""
    if not identifier:
        raise ConfigurationError("an empty id cannot name a folder of the store's files")
    try:
        encoded = quote(identifier, safe="")
    except UnicodeEncodeError:
        raise ConfigurationError("an id with half of a surrogate pair cannot name a folder") from None
    if encoded.startswith("."):
        encoded = "%2E" + encoded[1:]
    if len(encoded) > _LIMIT:
        encoded = encoded[:_LIMIT] + "~" + hashlib.sha256(identifier.encode()).hexdigest()
    return encoded
