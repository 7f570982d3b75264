"""Rows of one file of JSON lines: every member as text, exactly as it is written, in blocks.

A number keeps its digits, true and false are ``true`` and ``false``, an object or list is compact JSON, and null or an
absent member is null.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import IO, Any

import pyarrow as pa

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.blocks import BLOCK_ROWS
from airflow_monitoring_provider.intake.sampling import SAMPLE_ROWS, narrowest
from airflow_monitoring_provider.profiles.arrays import from_texts
from airflow_monitoring_provider.profiles.instants import is_time_text

LINE_BYTES = 64 * 1024 * 1024
_BLOCK_BYTES = 16 * 1024 * 1024

Row = dict[str, Any]


class Number(str):
    """A JSON number as its digits."""

    __slots__ = ()


_DECODER = json.JSONDecoder(parse_int=Number, parse_float=Number, parse_constant=Number)


def sample_types(stream: IO[bytes], name: str) -> dict[str, tuple[set[str], list[str | None]]]:
    """For each member of the first 10 000 rows: the JSON kinds it has, and its texts."""
    found: dict[str, tuple[set[str], list[str | None]]] = {}
    for count, row in enumerate(_rows(stream, name)):
        if count == SAMPLE_ROWS:
            break
        for member, value in row.items():
            kinds, texts = found.setdefault(member, (set(), []))
            if value is not None:
                kinds.add(_kind(value))
                texts.append(as_text(value))
    return found


def decided_type(kinds: set[str], texts: list[str | None]) -> pa.DataType:
    """The type of a member: numbers and booleans alone are that, ISO 8601 texts alone are times, all else is text."""
    column = from_texts(texts, pa.string())
    if kinds == {"number"} or kinds == {"boolean"}:
        return narrowest(column)
    return narrowest(column) if kinds == {"text"} and texts and is_time_text(column).all() else pa.string()


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
            weight += len(text or "")
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
    if isinstance(value, Number):
        return str(value)
    if isinstance(value, dict):
        return "{" + ",".join(f"{_json(str(key))}:{_json(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(_json, value)) + "]"
    return json.dumps(value, ensure_ascii=False)


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
        except (ValueError, RecursionError):
            raise SourceError(f"line {number} of {name!r} is not JSON; the file must hold one object a line") from None
        if not isinstance(row, dict):
            raise SourceError(
                f"line {number} of {name!r} is a JSON {_kind(row)} value; the file must hold one object a line"
            )
        yield row
