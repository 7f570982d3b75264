"""Texts that a spreadsheet would take for formulas, made harmless in CSV files for people.

OWASP's rule ("CSV Injection"): a text that begins with ``=``, ``+``, ``-``, ``@``, a tab or a carriage return gets a
single quote in front, which spreadsheets show as text. Their full-width forms and a line feed, which some programs
treat alike, do as well. Numbers stay numbers: columns of numbers are never touched, nor is a text that is one, such
as ``-1.5e3``.
"""

from __future__ import annotations

import re

import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.outputs.values import repeated

_BEGINS = "=+\\-@\t\r\n＝＋－＠"
_FORMULA = f"^[{_BEGINS}]"
_NUMBER = r"^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?$"


def defused(batch: pa.RecordBatch) -> pa.RecordBatch:
    """The batch (of :func:`~airflow_monitoring_provider.outputs.values.storable`) without formulas, names included."""
    columns = [_defused(column) if pa.types.is_string(column.type) else column for column in batch.columns]
    return pa.RecordBatch.from_arrays(columns, names=defused_names(batch.schema.names))


def defused_names(names: list[str]) -> list[str]:
    """Column names without formulas."""
    return ["'" + name if re.match(_FORMULA, name) else name for name in names]


def _defused(column: pa.StringArray) -> pa.StringArray:
    formulas = pc.and_(pc.match_substring_regex(column, _FORMULA), pc.invert(pc.match_substring_regex(column, _NUMBER)))
    if not pc.any(formulas).as_py():
        return column
    quoted = pc.binary_join_element_wise(repeated("'", 1)[0], column, repeated("", 1)[0])
    return pc.if_else(formulas, quoted, column)
