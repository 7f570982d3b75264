"""Which files an intake names, and none outside its connection's root.

A URL is relative to the root, or an absolute path or URL inside it. ``..`` is refused as text, and on local disks a
file is opened without following a last link, then asked where it really is: a link that leads out of the root, or is
swapped while we look, and anything that is no regular file, is refused. Of a folder or pattern, names that begin with
``_`` or ``.`` are left out (markers and unfinished files), unless the pattern itself begins so. Files come sorted by
path.
"""

from __future__ import annotations

import contextlib
import fnmatch
import gzip
import hashlib
import io
import json
import os
import stat
import threading
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any, cast

import fsspec
import pyarrow as pa
from fsspec.implementations.local import LocalFileSystem

from airflow_monitoring_provider.exceptions import ConfigurationError, MonitoringError, SourceError, SourceUnavailable

MOST_FILES = 100_000
# What filesystems of fsspec call the facts that change with a file's content: local disks, S3, GCS, Azure, HTTP.
_TELLING = (
    *("size", "mtime", "ino", "ETag", "etag", "LastModified", "last_modified", "updated", "generation"),
    *("md5", "md5Hash", "content_md5", "crc32c", "version_id", "VersionId", "modified"),
)


class Files:
    """The files of one URL on one filesystem.

    :param root: folder of the filesystem that no path leaves; ``""`` or ``/`` is the whole filesystem.
    """

    def __init__(self, filesystem: fsspec.AbstractFileSystem, root: str, url: str) -> None:
        self._filesystem = filesystem
        self._local = isinstance(filesystem, LocalFileSystem)
        bare = str(filesystem._strip_protocol(root)) if "://" in root else root
        self._root = bare.rstrip("/")
        self._url = url

    def paths(self) -> list[str]:
        """Full paths of the files, sorted.

        :raises SourceError: there is none, the URL leaves the root, or it names what is no regular file.
        :raises SourceUnavailable: the storage cannot be reached.
        """
        parts = self._parts()
        with filesystem_errors(self._url):
            self._filesystem.invalidate_cache()
            found = sorted(set(self._found(parts)))
        if not found:
            raise SourceError(f"there is no file at {self._url!r}")
        return found

    def fingerprint(self, path: str) -> str:
        """Hash of what tells that a file is still the one it was: size, time, inode, ETag, whatever its storage says.

        :raises SourceError: it is gone.
        """
        with filesystem_errors(self.name(path)):
            self._filesystem.invalidate_cache()
            entry = self._filesystem.info(path)
        told = {name: str(entry[name]) for name in _TELLING if entry.get(name) is not None}
        if len(told) < 2:
            told["created"] = str(entry.get("created"))
        return hashlib.sha256(json.dumps(told, sort_keys=True).encode()).hexdigest()[:32]

    def size(self, path: str) -> int:
        """Bytes of a file as it is stored; 0 where the storage does not say."""
        with filesystem_errors(self.name(path)):
            return int(self._filesystem.info(path).get("size") or 0)

    def name(self, path: str) -> str:
        """A file's path below the root, for messages."""
        return path.removeprefix(self._root).lstrip("/")

    @contextlib.contextmanager
    def open(self, path: str) -> Iterator[IO[bytes]]:
        """One file for reading, unpacked if its name ends in ``.gz``; its reads raise this package's errors.

        :raises SourceError: it is gone, no regular file, outside the root, or damaged.
        """
        name = self.name(path)
        with filesystem_errors(name):
            plain = _open_local(path, self._root or "/", name) if self._local else self._filesystem.open(path, "rb")
        with contextlib.closing(plain):
            unpacked = gzip.GzipFile(fileobj=plain) if path.endswith(".gz") else plain
            with io.BufferedReader(_GuardedReads(unpacked, name), 1 << 20) as stream:
                yield stream

    @contextlib.contextmanager
    def share(self, path: str) -> Iterator[SharedFile | None]:
        """One file, opened once for several readers, who may hold it longer; None where the storage cannot do that.

        Errors as :meth:`open`.
        """
        if not self._local or path.endswith(".gz"):
            yield None
            return
        name = self.name(path)
        with filesystem_errors(name):
            shared = SharedFile(_open_local(path, self._root or "/", name), name)
        try:
            yield shared
        finally:
            shared.release()

    def _parts(self) -> list[str]:
        """The URL's path below the root, as names."""
        path = self._url
        if not path.isprintable():
            raise SourceError("the intake's url holds a control character")
        if ".." in path.replace("\\", "/").split("/"):
            raise SourceError(
                f"the intake's url {path!r} holds a .. segment; name the file below the connection's root"
            )
        absolute = path.startswith("/")
        if "://" in path:
            absolute, path = True, self._without_scheme(path)
        parts = [part for part in path.split("/") if part not in ("", ".")]
        root = [part for part in self._root.split("/") if part]
        if absolute:
            if parts[: len(root)] != root:
                raise SourceError(f"{self._url!r} lies outside the root of its connection")
            parts = parts[len(root) :]
        return parts

    def _without_scheme(self, url: str) -> str:
        scheme = url.partition("://")[0]
        known = self._filesystem.protocol
        if scheme not in ((known,) if isinstance(known, str) else known):
            raise SourceError(f"{scheme}:// is not a scheme of the intake's connection")
        return str(self._filesystem._strip_protocol(url))

    def _full(self, parts: list[str]) -> str:
        below = "/".join(parts)
        if not self._root:
            return str(self._filesystem.root_marker) + below
        return f"{self._root}/{below}" if below else self._root

    def _found(self, parts: list[str]) -> Iterator[str]:
        full = self._full(parts)
        if not any(_is_pattern(part) for part in parts) or self._filesystem.exists(full):
            yield from self._below(self._filesystem.info(full), set())
            return
        for count, path in enumerate(self._matching([], parts)):
            if count >= MOST_FILES:
                raise SourceError(f"{self._url!r} matches more than {MOST_FILES} files; name fewer")
            yield path

    def _below(self, entry: dict[str, Any], seen: set[str]) -> Iterator[str]:
        """The file itself, or every file of the folder."""
        path = str(entry["name"]).rstrip("/")
        if entry.get("islink") and entry["type"] == "other":  # a listing does not say what a link leads to
            entry = self._filesystem.info(path)
        if entry["type"] == "file":
            yield path
            return
        if entry["type"] != "directory":
            raise SourceError(f"{self.name(path)!r} is no regular file")
        if self._local:
            real = self._inside(path)
            if real in seen:  # a link back to where we came from
                return
            seen.add(real)
        for child in self._listing(path):
            if not _is_hidden(child):
                yield from self._below(child, seen)
                if len(seen) > MOST_FILES:
                    raise SourceError(f"{self._url!r} holds more than {MOST_FILES} folders; name fewer")

    def _matching(self, done: list[str], parts: list[str]) -> Iterator[str]:
        """Files that the rest of a pattern matches below a folder."""
        base = self._full(done)
        pattern, rest = parts[0], parts[1:]
        if not _is_pattern(pattern):
            with contextlib.suppress(FileNotFoundError, NotADirectoryError):
                entry = self._filesystem.info(self._full([*done, pattern]))
                yield from self._step(entry, [*done, pattern], rest)
            return
        if self._local:
            self._inside(base)
        for entry in self._listing(base):
            name = _last(entry)
            if _is_hidden(entry) and not pattern.startswith((".", "_")):
                continue
            if pattern == "**":
                yield from self._step(entry, [*done, name], rest)
                if entry["type"] == "directory" and not entry.get("islink"):
                    yield from self._matching([*done, name], parts)
            elif fnmatch.fnmatchcase(name, pattern):
                yield from self._step(entry, [*done, name], rest)
        if pattern == "**" and rest:
            yield from self._matching(done, rest)

    def _step(self, entry: dict[str, Any], done: list[str], rest: list[str]) -> Iterator[str]:
        if not rest:
            yield from self._below(entry, set())
        elif entry["type"] == "directory":
            yield from self._matching(done, rest)

    def _listing(self, folder: str) -> list[dict[str, Any]]:
        entries = [e for e in self._filesystem.ls(folder, detail=True) if e["name"].rstrip("/") != folder.rstrip("/")]
        if len(entries) > MOST_FILES:
            raise SourceError(f"{self.name(folder)!r} holds more than {MOST_FILES} files; name fewer")
        return sorted(entries, key=_last)

    def _inside(self, path: str) -> str:
        real = os.path.realpath(path)
        if not _is_below(real, os.path.realpath(self._root or "/")):
            raise SourceError(f"{self.name(path)!r} is a link that leads out of the connection's root")
        return real


class _GuardedReads(io.RawIOBase):
    """A stream whose errors are sentences, wherever in a parser they come up."""

    def __init__(self, stream: Any, name: str) -> None:
        self._stream = stream
        self._name = name

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return bool(self._stream.seekable())

    def readinto(self, buffer: Any) -> int:
        try:
            with filesystem_errors(self._name, gzip.BadGzipFile):
                data = self._stream.read(len(buffer))
        except (gzip.BadGzipFile, EOFError, zlib.error):
            raise SourceError(f"{self._name!r} is damaged: it does not unpack") from None
        buffer[: len(data)] = data
        return len(data)

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with filesystem_errors(self._name):
            return int(self._stream.seek(offset, whence))

    def tell(self) -> int:
        return int(self._stream.tell())


class SharedFile:
    """An open file of a disk that several threads read at once, each at a place of its own.

    It is one file whatever happens to its name meanwhile. It is closed when everybody who held it has let go.
    """

    def __init__(self, stream: IO[bytes], name: str) -> None:
        self.name = name
        self._stream = stream
        self._holders = 1
        self._lock = threading.Lock()

    def reader(self) -> IO[bytes]:
        """A stream that begins at the file's start: Arrow's own, which needs no interpreter lock, where open files
        have a name in the system.
        """
        handle = self._stream.fileno()
        with contextlib.suppress(OSError):
            return cast(IO[bytes], pa.OSFile(f"/proc/self/fd/{handle}", "rb"))
        return cast(IO[bytes], _PositionedReads(handle, self.name))

    def hold(self) -> SharedFile:
        """The file, held once more."""
        with self._lock:
            self._holders += 1
        return self

    def release(self) -> None:
        """Let go of it once."""
        with self._lock:
            self._holders -= 1
            if not self._holders:
                self._stream.close()


class _PositionedReads(io.RawIOBase):
    """Reads at places of its own from a handle that others use, too; errors are this package's."""

    def __init__(self, handle: int, name: str) -> None:
        self._handle = handle
        self._name = name
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        with filesystem_errors(self._name):
            wanted = size if size >= 0 else os.fstat(self._handle).st_size - self._at
            data = os.pread(self._handle, max(0, wanted), self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        with filesystem_errors(self._name):
            base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: os.fstat(self._handle).st_size}[whence]
        self._at = base + offset
        return self._at

    def tell(self) -> int:
        return self._at


@contextlib.contextmanager
def filesystem_errors(what: str, *ours: type[BaseException]) -> Iterator[None]:
    """Raise this package's errors instead of the operating system's and the storage library's.

    :param what: URL or path below the root, for messages.
    :param ours: errors that pass.
    """
    try:
        yield
    except (MonitoringError, EOFError, zlib.error):
        raise
    except (FileNotFoundError, NotADirectoryError, IsADirectoryError):
        raise SourceError(f"{what!r} does not exist under the root of the intake's connection") from None
    except PermissionError:
        raise ConfigurationError(f"{what!r} may not be read with the intake's connection") from None
    except Exception as error:  # each storage library has errors of its own, and their texts hold addresses
        if isinstance(error, ours):
            raise
        reason = os.strerror(error.errno) if isinstance(error, OSError) and error.errno else type(error).__name__
        raise SourceUnavailable(f"{what!r} could not be reached, or the read broke off ({reason})") from None


def _open_local(path: str, root: str, name: str) -> IO[bytes]:
    real = os.path.realpath(path)
    if not _is_below(real, os.path.realpath(root)):
        raise SourceError(f"{name!r} is a link that leads out of the connection's root")
    if not stat.S_ISREG(os.lstat(real).st_mode):
        raise SourceError(f"{name!r} is no regular file")
    # Not blocking: opening a pipe would wait for somebody to write to it.
    handle = os.open(real, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK | os.O_NOFOLLOW)
    try:
        if not stat.S_ISREG(os.fstat(handle).st_mode):
            raise SourceError(f"{name!r} is no regular file")
        opened = _path_of(handle) or os.path.realpath(path)  # it may have been swapped since
        if not _is_below(opened, os.path.realpath(root)):
            raise SourceError(f"{name!r} is a link that leads out of the connection's root")
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


def _path_of(handle: int) -> str | None:
    """Where an open file really is, as the kernel says (Linux)."""
    with contextlib.suppress(OSError):
        return str(Path(f"/proc/self/fd/{handle}").readlink())
    return None


def _is_below(path: str, root: str) -> bool:
    return root == "/" or path == root or path.startswith(root.rstrip("/") + "/")


def _is_pattern(part: str) -> bool:
    return any(character in part for character in "*?[")


def _last(entry: dict[str, Any]) -> str:
    return str(entry["name"]).rstrip("/").rpartition("/")[2]


def _is_hidden(entry: dict[str, Any]) -> bool:
    return _last(entry).startswith(("_", "."))
