"""Rows of one file of JSON lines: every member as text, exactly as it is written, in blocks.

A number keeps its digits, true and false are ``true`` and ``false``, an object or list is compact JSON, and null or an
absent member is null. A lone surrogate, which JSON can spell and UTF-8 cannot, arrives as U+FFFD.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.blocks import BLOCK_ROWS
from airflow_monitoring_provider.intake.sampling import SAMPLE_ROWS, Evidence
from airflow_monitoring_provider.profiles.arrays import from_texts, readable

LINE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 16 * 1024 * 1024
_CELL_BYTES = 64  # of a short text, as Python keeps it

Row = dict[str, Any]


class Number(str):
    """A JSON number as its digits."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)


class Member:
    """What a sample says of one member: its JSON kinds, and what its texts can be read as."""

    def __init__(self) -> None:
        self._kinds: set[str] = set()
        self._evidence = Evidence()
        self.waiting: list[str | None] = []

    def add(self, value: Any) -> None:
        """One value that is not null."""
        self._kinds.add(_kind(value))
        if len(self._kinds) == 1 and self._kinds != {"nested"}:  # else it is text whatever the values are
            self.waiting.append(as_text(value))

    def settle(self) -> None:
        """Keep of the values what they say of the type."""
        self._evidence.add(from_texts(self.waiting, pa.string()))
        self.waiting = []

    def type(self) -> pa.DataType:
        """Numbers and booleans alone are that, ISO 8601 texts alone are times, all else is text."""
        decided = self._evidence.type()
        if self._kinds in ({"number"}, {"boolean"}):
            return decided
        return decided if self._kinds == {"text"} and pa.types.is_timestamp(decided) else pa.string()


def sample_types(stream: IO[bytes], name: str, found: dict[str, Member]) -> None:
    """Add what the first 10 000 rows say of each member."""
    weight = 0
    for row in itertools.islice(_rows(stream, name), SAMPLE_ROWS):
        for member, value in row.items():
            known = found.setdefault(member, Member())
            if value is not None:
                known.add(value)
                weight += _CELL_BYTES + len(value if isinstance(value, str) else "")
        if weight > _BLOCK_BYTES:
            weight = 0
            for known in found.values():
                known.settle()
    for known in found.values():
        known.settle()


def read_texts(stream: IO[bytes], name: str, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
    """These members as text.

    :raises SourceError: a line is no JSON object, or is longer than 64 MiB; names the line, never its text.
    """
    schema = pa.schema([(column, pa.string()) for column in columns])
    values: list[list[str | None]] = [[] for _ in columns]
    count = weight = 0
    for row in _rows(stream, name):
        for column, texts in zip(columns, values, strict=True):
            text = as_text(row.get(column))
            texts.append(text)
            weight += _CELL_BYTES + len(text or "")
        count += 1
        if count == BLOCK_ROWS or weight > _BLOCK_BYTES:
            yield pa.RecordBatch.from_arrays([from_texts(texts, pa.string()) for texts in values], schema=schema)
            values = [[] for _ in columns]
            count = weight = 0
    if count:
        yield pa.RecordBatch.from_arrays([from_texts(texts, pa.string()) for texts in values], schema=schema)


def as_text(value: Any) -> str | None:
    """A value of a row as text."""
    if value is None or isinstance(value, str):
        return value
    return _json(value)


def _json(value: Any) -> str:
    """Compact JSON, without recursion: the decoder takes lists nested twice as deep as Python's stack."""
    parts: list[str] = []
    ahead: list[Any] = [value]
    while ahead:
        item = ahead.pop()
        if isinstance(item, _Verbatim | Number):
            parts.append(str(item))
        elif isinstance(item, dict):
            ahead.append(_Verbatim("}"))
            for place, (key, inner) in reversed(list(enumerate(item.items()))):
                name = json.dumps(str(key), ensure_ascii=False)
                ahead += [inner, _Verbatim(f"{',' if place else ''}{name}:")]
            parts.append("{")
        elif isinstance(item, list):
            ahead.append(_Verbatim("]"))
            for place, inner in reversed(list(enumerate(item))):
                ahead += [inner, _Verbatim("," if place else "")]
            parts.append("[")
        else:
            parts.append(json.dumps(item, ensure_ascii=False))
    return "".join(parts)


class _Verbatim(str):
    """A piece of JSON that is written already."""

    __slots__ = ()


def _kind(value: Any) -> str:
    if isinstance(value, Number):
        return "number"
    if isinstance(value, bool):
        return "boolean"
    return "text" if isinstance(value, str) else "nested"


def _rows(stream: IO[bytes], name: str) -> Iterator[Row]:
    number = 0
    while line := stream.readline(LINE_BYTES + 1):
        number += 1
        if len(line) > LINE_BYTES:
            raise SourceError(f"line {number} of {name!r} is longer than {LINE_BYTES >> 20} MiB")
        text = line.decode("utf-8-sig" if number == 1 else "utf-8", "replace").strip()
        if not text:
            continue
        try:
            row = _DECODER.decode(text)
        except RecursionError:
            raise SourceError(f"line {number} of {name!r} nests its values too deep to be read") from None
        except ValueError:
            raise SourceError(f"line {number} of {name!r} is not JSON; the file must hold one object a line") from None
        if not isinstance(row, dict):
            raise SourceError(
                f"line {number} of {name!r} is a JSON {_kind(row)} value; the file must hold one object a line"
            )
        yield {readable(member): value for member, value in row.items()} if "\\u" in text else row
