"""Which files an output makes, and whether an intake would read them.

The URL of a file output ends in a name with a known suffix (a file for each window beside it), or names a folder: a
name without suffix, or anything that ends in ``/``.
"""

from __future__ import annotations

import functools
import itertools
import posixpath
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import unquote

FILE_SUFFIXES = (".csv", ".parquet")

_LOCAL_SCHEMES = ("file", "local")
_STAR, _ANY, _DIGIT = "any characters", "any character", "a digit"


def suffix_of(url: str) -> str:
    """The suffix of the file that the URL of an output names, in lower case; ``""`` where it names a folder."""
    scheme, _, path = url.rpartition("://")
    if scheme and scheme not in _LOCAL_SCHEMES:
        path = path.partition("/")[2]  # a bucket's name may hold dots
    return posixpath.splitext(path.rpartition("/")[2])[1].lower()


def path_parts(url: str) -> tuple[str, ...]:
    """The names on the way to the place; a path below the connection's root does not begin with ``/``, others do."""
    scheme, _, path = url.rpartition("://")
    if scheme in _LOCAL_SCHEMES:
        path = unquote(path) if scheme == "file" else path
    elif scheme:
        path = "/" + path
    names = tuple(part for part in path.split("/") if part not in ("", "."))
    return ("/", *names) if path.startswith("/") else names


def real_parts(root: str, url: str) -> tuple[str, ...]:
    """The names on the way to a place on this machine's disk, from ``/``, symbolic links followed.

    :param root: folder that a relative path starts from; ``""`` is ``/``.
    """
    parts = path_parts(url)
    fixed = tuple(itertools.takewhile(lambda part: not _is_pattern(part), parts))
    folder = Path(root or "/").expanduser().joinpath(*fixed).resolve()
    return (*folder.parts, *parts[len(fixed) :])


def would_read(intake: Sequence[str], output: Sequence[str], suffix: str) -> bool:
    """Whether an intake reads the files of an output.

    :param intake: parts of a file, folder or pattern (``*``, ``?``, ``[``, ``**``), as the intake understands them.
    :param output: parts of the output's place.
    :param suffix: of the output's files, ``""`` for a folder.
    """
    if not suffix:
        return _covers(tuple(intake), (*map(tuple, output), (_STAR,), (_STAR,)))  # <definition id>/<window>
    stem = output[-1][: -len(suffix)]
    name = (*stem, "_", *[_DIGIT] * 8, "T", *[_DIGIT] * 6, _STAR, *output[-1][-len(suffix) :])
    return _covers(tuple(intake), (*map(tuple, output[:-1]), name))


def _covers(patterns: tuple[str, ...], path: tuple[tuple[str, ...], ...]) -> bool:
    if not patterns:
        return all(map(_visible, path))  # the file itself, or a folder above it
    if not path:
        return False
    if patterns[0] == "**":
        deeper = _visible(path[0]) and (_covers(patterns[1:], path[1:]) or _covers(patterns, path[1:]))
        return deeper or bool(patterns[1:] and _covers(patterns[1:], path))
    seen = not _is_pattern(patterns[0]) or _visible(path[0]) or patterns[0].startswith((".", "_"))
    return seen and _meet(_tokens(patterns[0]), path[0]) and _covers(patterns[1:], path[1:])


def _is_pattern(part: str) -> bool:
    return any(mark in part for mark in "*?[")


def _visible(name: tuple[str, ...]) -> bool:
    return not name or name[0] not in "._"


def _tokens(pattern: str) -> tuple[str, ...]:
    """A glob as characters and marks; a set of characters counts as any character."""
    if not _is_pattern(pattern):
        return tuple(pattern)
    tokens, rest = list[str](), pattern
    while rest:
        end = rest.find("]", 2) if rest[0] == "[" else -1
        taken = rest[: end + 1] if end > 0 else rest[0]
        tokens.append(_ANY if end > 0 else {"*": _STAR, "?": _ANY}.get(taken, taken))
        rest = rest[len(taken) :]
    return tuple(tokens)


@functools.lru_cache(maxsize=4096)
def _meet(left: tuple[str, ...], right: tuple[str, ...]) -> bool:
    """Whether some name fits both."""
    if not left or not right:
        return all(token == _STAR for token in (*left, *right))
    one, other = left[0], right[0]
    if _STAR in (one, other):
        return _meet(left[1:], right) or _meet(left, right[1:])
    fits = one == other or _ANY in (one, other) or (other == _DIGIT and one.isdigit())
    return fits and _meet(left[1:], right[1:])
