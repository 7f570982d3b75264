"""Columns become the lines that PostgreSQL and CSV readers expect, with and without compiled kernels."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from airflow_monitoring_provider.kernels.library import VARIABLE
from airflow_monitoring_provider.kernels.lines import LineColumn, LineKind, join_lines, whole_digits
from airflow_monitoring_provider.outputs.lines import copy_lines, csv_lines
from airflow_monitoring_provider.profiles.canonical import canonical_array

WHOLE = st.none() | st.integers(-(2**63), 2**63 - 1) | st.sampled_from([0, 9, 10, 99, 100, -1, -10, -100])
TEXT = st.none() | st.text(st.sampled_from("ab\\\t\n\r\",'é€\0"), max_size=6)


@pytest.fixture(params=["compiled", "numpy"], scope="module")
def _kernels(request: pytest.FixtureRequest) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield


def escaped(text: str) -> str:
    return "".join({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"}.get(one, one) for one in text)


def batch_of(rows: list[tuple[int | None, str | None, str | None, bool | None]], skipped: int) -> pa.RecordBatch:
    whole, text, coded, truth = map(list, zip(*rows, strict=True))
    arrays = [pa.array(whole, pa.int64()), pa.array(text, pa.string())]
    arrays += [pa.array(coded, pa.string()).dictionary_encode(), pa.array(truth, pa.bool_())]
    return pa.RecordBatch.from_arrays(arrays, names=["whole", "text", "coded", "truth"])[skipped:]


ROWS = st.lists(st.tuples(WHOLE, TEXT, TEXT, st.none() | st.booleans()), min_size=3, max_size=9)


@pytest.mark.usefixtures("_kernels")
@settings(deadline=None)  # the first array imports pandas
@given(rows=ROWS, skipped=st.integers(0, 2))
def test_lines_for_copy_hold_the_rows_as_postgresql_reads_them(
    rows: list[tuple[int | None, str | None, str | None, bool | None]], skipped: int
) -> None:
    expected = ""
    for whole, text, coded, truth in rows[skipped:]:
        texts = [None if value is None else escaped(value) for value in (text, coded)]
        cells = [None if whole is None else str(whole), *texts, None if truth is None else str(truth).lower()]
        expected += "\t".join("\\N" if cell is None else cell for cell in cells) + "\n"

    assert expected == b"".join(map(bytes, copy_lines(batch_of(rows, skipped)))).decode()


@pytest.mark.usefixtures("_kernels")
@settings(deadline=None)
@given(rows=ROWS, skipped=st.integers(0, 2))
@pytest.mark.parametrize(("delimiter", "quote"), [(",", '"'), ("\t", "'"), ("€", '"'), (".", "'")])
def test_lines_of_csv_are_what_a_csv_reader_reads_back(
    rows: list[tuple[int | None, str | None, str | None, bool | None]], skipped: int, delimiter: str, quote: str
) -> None:
    expected = [
        ["" if cell is None else str(cell).lower() if isinstance(cell, bool) else str(cell) for cell in row]
        for row in rows[skipped:]
    ]

    lines = b"".join(map(bytes, csv_lines(batch_of(rows, skipped), delimiter, quote))).decode()
    read = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, quotechar=quote)
    assert expected == [row for row in read]  # noqa: C416 - a reader has no length


@pytest.mark.usefixtures("_kernels")
@settings(deadline=None)
@given(values=st.lists(WHOLE, min_size=2, max_size=20), skipped=st.integers(0, 2))
def test_whole_numbers_have_the_digits_that_python_writes(values: list[int | None], skipped: int) -> None:
    texts = canonical_array(pa.array(values, pa.int64())[skipped:])

    texts.validate(full=True)
    assert [None if value is None else str(value) for value in values[skipped:]] == texts.to_pylist()


@pytest.mark.parametrize("width", [pa.int8(), pa.uint8(), pa.int32(), pa.uint64()])
def test_whole_numbers_of_any_width_have_their_digits(width: pa.DataType) -> None:
    assert ["0", "7", None, "127"] == canonical_array(pa.array([0, 7, None, 127], width)).to_pylist()


def test_the_largest_unsigned_number_has_its_digits() -> None:
    assert ["18446744073709551615"] == canonical_array(pa.array([2**64 - 1], pa.uint64())).to_pylist()


@pytest.mark.parametrize(
    ("offsets", "codes"), [([0, 3, 5], [0, 2]), ([0, 3, 5], [-1, 0]), ([0, 3, 99], [0, 1]), ([-4, 3, 5], [0, 1])]
)
def test_texts_outside_of_what_is_given_are_refused(
    offsets: list[int], codes: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")
    texts = np.array(offsets, np.int32), np.frombuffer(b"abcde", np.uint8)

    coded = LineColumn(LineKind.CODED, None, np.array(codes, np.int32), texts)
    with pytest.raises(ValueError, match=r"row [01] of 2"):
        join_lines([coded], 2, separator=b"\t", none=b"", mark=b"\\", escapes={})
    if codes == [0, 1]:
        plain = LineColumn(LineKind.TEXT, None, texts=texts)
        with pytest.raises(ValueError, match=r"row [01] of 2"):
            join_lines([plain], 2, separator=b"\t", none=b"", mark=b"\\", escapes={})


def test_columns_of_other_lengths_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(VARIABLE, "compiled")
    numbers, bits = np.zeros(9, np.int64), np.zeros(1, np.uint8)

    with pytest.raises(ValueError, match="expected 8"):
        join_lines([LineColumn(LineKind.WHOLE, None, numbers)], 8, separator=b",", none=b"", mark=b'"', escapes={})
    with pytest.raises(ValueError, match="expected 9 texts"):
        join_lines([LineColumn(LineKind.PLAIN, None)], 9, separator=b",", none=b"", mark=b'"', escapes={})
    with pytest.raises(ValueError, match="too few"):
        whole_digits(numbers, (bits, 0))
