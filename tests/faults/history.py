"""What happened, written by those it happened to: one JSON line an event, appended and forced to the disk."""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path
from typing import Any


class History:
    """An append-only log that many processes share; a killed one has written what it knew."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def note(self, who: str, what: str, **facts: Any) -> None:
        """Append an event; it is on the disk when the call returns."""
        line = json.dumps({"who": who, "what": what, **facts}, default=str) + "\n"
        limit, most = resource.getrlimit(resource.RLIMIT_FSIZE)  # a process with a full disk must still be heard
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            os.write(descriptor, line.encode())
            os.fsync(descriptor)
        finally:
            os.close(descriptor)
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, most))

    def events(self, what: str | None = None, who: str | None = None) -> list[dict[str, Any]]:
        """Events in the order in which they were written."""
        if not self._path.exists():
            return []
        lines = self._path.read_text().splitlines()
        found = [json.loads(line) for line in lines]
        return [e for e in found if what in (None, e["what"]) and who in (None, e["who"])]
