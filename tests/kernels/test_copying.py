"""Rows of a binary COPY are taken apart as the format says, with and without compiled kernels, and nothing else is."""

from __future__ import annotations

import datetime as dt
import struct
from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.intake.copy_rows import RowBlock, parsed
from airflow_monitoring_provider.kernels.copying import FieldKind, copy_bytes, copy_fields
from airflow_monitoring_provider.kernels.library import VARIABLE

EPOCH = dt.datetime.combine(dt.date(2000, 1, 1), dt.time())
MICROSECOND = dt.timedelta(microseconds=1)
KINDS = {
    "bool": (pa.bool_(), st.booleans(), lambda value: struct.pack(">?", value)),
    "int2": (pa.int64(), st.integers(-(2**15), 2**15 - 1), lambda value: struct.pack(">h", value)),
    "int4": (pa.int64(), st.integers(-(2**31), 2**31 - 1), lambda value: struct.pack(">i", value)),
    "int8": (pa.int64(), st.integers(-(2**63), 2**63 - 1), lambda value: struct.pack(">q", value)),
    "float8": (pa.float64(), st.floats(allow_nan=False), lambda value: struct.pack(">d", value)),
    "bytes": (pa.binary(), st.binary(max_size=9), lambda value: value),
    "timestamp": (
        pa.timestamp("us"),
        st.datetimes().map(lambda value: value.replace(fold=0)),
        lambda value: struct.pack(">q", (value - EPOCH) // MICROSECOND),
    ),
    "date": (pa.date32(), st.dates(), lambda value: struct.pack(">i", (value - EPOCH.date()).days)),
}


@pytest.fixture(params=["compiled", "numpy"], scope="module")
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield


@pytest.fixture
def _compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")


def laid(data: bytes) -> npt.NDArray[np.uint8]:
    return np.frombuffer(data, np.uint8)


def row(*fields: bytes | None) -> bytes:
    parts = [struct.pack(">i", -1) if field is None else struct.pack(">i", len(field)) + field for field in fields]
    return struct.pack(">h", len(fields)) + b"".join(parts)


@pytest.mark.usefixtures("_kernels")
@given(data=st.data(), names=st.lists(st.sampled_from(sorted(KINDS)), min_size=1, max_size=5), count=st.integers(1, 12))
def test_what_was_sent_arrives(data: st.DataObject, names: list[str], count: int) -> None:
    sent = [
        [data.draw(st.none() | KINDS[name][1], label=name) for name in names] for _ in range(count)
    ]  # rows of values, any of them null
    rows = [
        row(*(None if value is None else KINDS[name][2](value) for name, value in zip(names, values, strict=True)))
        for values in sent
    ]
    schema = pa.schema([(f"{n} {name}", KINDS[name][0]) for n, name in enumerate(names)])

    batch = parsed(RowBlock.of(rows), schema)

    batch.validate(full=True)
    assert schema == batch.schema
    arrived = [list(values) for values in zip(*(column.to_pylist() for column in batch.columns), strict=True)]
    assert sent == arrived
    assert repr(sent) == repr(arrived)  # -0.0 is 0.0 but for this


SENT: list[tuple[list[FieldKind], list[bytes]]] = [
    ([FieldKind.WHOLE, FieldKind.VARIABLE], [row(struct.pack(">h", 7), b"text"), row(None, b"")]),
    ([FieldKind.EIGHT, FieldKind.TRUTH], [row(struct.pack(">d", 0.5), b"\x01"), row(None, None)]),
]


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(("kinds", "rows"), SENT)
def test_rows_that_end_early_or_go_on_are_refused(kinds: list[FieldKind], rows: list[bytes]) -> None:
    whole = b"".join(rows)
    assert copy_fields(laid(whole), len(rows), kinds) is not None
    for end in range(len(whole)):
        broken = int(end >= len(rows[0]))
        with pytest.raises(ValueError, match=f"row {broken} of 2 is not 2 fields"):
            copy_fields(laid(whole[:end]), len(rows), kinds)
    with pytest.raises(ValueError, match="row 2 of 2"):
        copy_fields(laid(whole + b"\0"), len(rows), kinds)


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(
    ("kind", "field"),
    [
        (FieldKind.WHOLE, b"abc"),
        (FieldKind.WHOLE, b""),
        (FieldKind.EIGHT, b"abcd"),
        (FieldKind.TRUTH, b""),
        (FieldKind.TRUTH, b"\0\0"),
    ],
)
def test_a_field_of_another_width_is_refused(kind: FieldKind, field: bytes) -> None:
    with pytest.raises(ValueError, match="row 1 of 2 is not 1 fields"):
        copy_fields(laid(row(None) + row(field)), 2, [kind])


@pytest.mark.usefixtures("_compiled")
@given(
    kinds=st.lists(st.sampled_from(list(FieldKind)), min_size=1, max_size=4),
    rows=st.integers(0, 5),
    data=st.binary(max_size=60) | st.lists(st.sampled_from([b"\0", b"\xff", b"\x01", b"\x08"])).map(b"".join),
)
def test_any_bytes_are_taken_for_rows_only_where_they_are(kinds: list[FieldKind], rows: int, data: bytes) -> None:
    try:
        fields = copy_fields(laid(data), rows, kinds)
    except ValueError:
        return
    assert fields is not None
    values, lengths = fields
    assert data == b"".join(row(*(_sent(data, values, lengths, kinds, n))) for n in range(rows))


def _sent(data: bytes, values: Any, lengths: Any, kinds: list[FieldKind], number: int) -> list[bytes | None]:
    fields: list[bytes | None] = []
    for kind, value, length in zip(kinds, values[:, number].tolist(), lengths[:, number].tolist(), strict=True):
        if length < 0:
            fields.append(None)
        elif kind == FieldKind.VARIABLE:
            fields.append(data[value : value + length])
        else:
            fields.append((value % 2 ** (8 * length)).to_bytes(length, "big"))
    return fields


@pytest.mark.usefixtures("_compiled")
@pytest.mark.parametrize(("start", "length"), [(-1, 2), (3, 2), (2**62, 2), (0, 5), (-(2**63), 1)])
def test_texts_that_do_not_lie_within_the_block_are_refused(start: int, length: int) -> None:
    with pytest.raises(ValueError, match="lie outside"):
        copy_bytes(laid(b"abcd"), np.array([0, start]), np.array([1, length], np.int32))
