"""Staged parts: what the tasks of one job leave for the last of them, as one file each below the storage root.

A staged file is a sequence of blocks, then an index that has the section, size and SHA-256 of each block. The store
keeps where the file is, its size and the SHA-256 of the index, so a block is handed out only when it is what was put
in, and a file that is gone, cut off or another one's is an error. Names carry the attempt's token and are used once:
two runs of one task cannot write to one file.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import secrets
import threading
from collections.abc import Iterator, Mapping
from types import TracebackType
from typing import IO, Any

from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.store.part_records import StagedFile
from airflow_monitoring_provider.store.records import Claim, FileKind
from airflow_monitoring_provider.store.storage import NewFile, Storage

_FORMAT = 1


@dataclasses.dataclass(frozen=True, slots=True)
class _Block:
    section: str
    size: int
    sha256: str


class StagedWriter:
    """Writes one file block by block; leaving the context without :meth:`close` leaves no file.

    Sections may grow in threads of their own, all of which have ended when it is closed or left. Blocks of one section
    keep their order; between those of others they lie as they come.
    """

    def __init__(self, storage: Storage, claim: Claim, part: int) -> None:
        self._storage = storage
        self._file: NewFile = storage.create(
            (FileKind.STAGED, claim.deployment_id, claim.batch_id),
            storage.file_name(claim.job_id, claim.token, f"{part}-{secrets.token_hex(8)}", "part"),
        )
        self._blocks: list[_Block] = []
        self._turn = threading.Lock()

    def append(self, section: str, block: Any) -> None:
        """Add a block: any bytes-like object.

        :raises StoreUnavailable: the storage cannot be written.
        """
        view = memoryview(block)
        noted = _Block(section, view.nbytes, hashlib.sha256(view).hexdigest())
        with self._turn, self._storage.translated("write"):  # the index tells blocks in the order of their bytes
            self._file.write(view)
            self._blocks.append(noted)

    def close(self, facts: Mapping[str, Any]) -> StagedFile:
        """Make the file whole.

        :param facts: JSON-clean, handed back by :attr:`StagedReader.facts`.
        """
        blocks = [[block.section, block.size, block.sha256] for block in self._blocks]
        index = json.dumps({"format": _FORMAT, "facts": dict(facts), "blocks": blocks}).encode()
        with self._storage.translated("write"):
            self._file.write(index)
        path, size = self._file.publish()
        return StagedFile(path, size, len(index), hashlib.sha256(index).hexdigest())

    def __enter__(self) -> StagedWriter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.abandon()


class StagedReader:
    """Reads a staged file.

    :param what: names it in messages.
    :ivar facts: what the writer was closed with.
    :raises StoreUnavailable: the file is not there, or the storage cannot be reached.
    :raises CorruptData: it is not what was staged.
    """

    def __init__(self, storage: Storage, file: StagedFile, what: str) -> None:
        self._storage = storage
        self._file = file
        self._what = what
        with storage.opened(file.path) as stream:  # a wrong size shows in the index
            stream.seek(max(0, file.bytes - file.index_bytes))
            index = stream.read()
        if len(index) != file.index_bytes or hashlib.sha256(index).hexdigest() != file.sha256:
            raise self._damaged()
        found = json.loads(index)
        self.facts: dict[str, Any] = found["facts"]
        self._blocks = [_Block(*block) for block in found["blocks"]]

    def blocks(self, section: str) -> Iterator[bytes]:
        """The blocks of a section, in the order in which they were added; errors as those of the class."""
        with self._storage.opened(self._file.path) as stream:
            offset = 0
            for block in self._blocks:
                if block.section == section:
                    yield self._checked(stream, offset, block)
                offset += block.size

    def _checked(self, stream: IO[bytes], offset: int, block: _Block) -> bytes:
        stream.seek(offset)
        data = stream.read(block.size)
        if len(data) != block.size or hashlib.sha256(data).hexdigest() != block.sha256:
            raise self._damaged()
        return data

    def _damaged(self) -> CorruptData:
        return CorruptData(
            f"the staged file of {self._what} is not what was written; clear that task, so that it is read anew"
        )
