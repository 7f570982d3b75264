"""Which type a column of texts has, by a rule that does not depend on the order of reading.

Looked at are the first 10 000 rows of the first, the middle and the last file. A column is of the first of these types
that every value fits; empty cells and the words that mean "no value" do not count:

1. boolean: ``true`` or ``false`` in lower, upper or title case
2. integer: up to 18 digits, without leading zeros (``007`` is a name)
3. float: with a point or an exponent, or infinite
4. timestamp: an ISO 8601 date, or date and time (see
   :mod:`~airflow_monitoring_provider.profiles.instants`); with zone when any has one
5. text
"""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.profiles.arrays import from_texts, from_truth, truth_values, valid_flags
from airflow_monitoring_provider.profiles.instants import INSTANT, is_time_text

SAMPLE_ROWS = 10_000

# In a column that is no text these mean that there is no value.
NO_VALUE = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "null", "NULL", "None")

_BOOLEAN = r"^(?:true|false|True|False|TRUE|FALSE)$"
_INTEGER = r"^[+-]?(?:0|[1-9]\d{0,17})$"
_FLOAT = (
    r"^[+-]?(?:(?:0|[1-9]\d*)\.\d*(?:[eE][+-]?\d+)?|\.\d+(?:[eE][+-]?\d+)?|\d+[eE][+-]?\d+"
    r"|inf|Inf|INF|infinity|Infinity)$"
)
_ZONE = r"(?:Z|z|UTC|GMT|:\d\d(?:[.,]\d+)? ?[+-]\d\d:?(?:\d\d)?)\s*$"
_NO_VALUES = from_texts(NO_VALUE, pa.string())


def sampled_files(paths: list[str]) -> list[str]:
    """The first, middle and last of sorted paths."""
    return sorted({paths[0], paths[len(paths) // 2], paths[-1]})


class Evidence:
    """What the values of a column can all be read as; it is added to block by block, so that memory holds one block."""

    def __init__(self) -> None:
        self._values = self._zoned = False
        self._fits = dict.fromkeys(("boolean", "integer", "float", "time"), True)

    def add(self, texts: pa.StringArray) -> None:
        """The texts of some rows; nulls say nothing."""
        values = pc.utf8_trim_whitespace(texts.filter(from_truth(valid_flags(texts))))
        values = values.filter(pc.invert(pc.is_in(values, value_set=_NO_VALUES)))
        if len(values) == 0:
            return
        self._values, fits = True, self._fits
        if fits["boolean"]:
            fits["boolean"] = _all_match(values, _BOOLEAN)
        if fits["float"]:
            integral = truth_values(pc.match_substring_regex(values, _INTEGER))
            fits["integer"] &= bool(integral.all())
            fits["float"] = bool((integral | truth_values(pc.match_substring_regex(values, _FLOAT))).all())
        if fits["time"]:
            fits["time"] = bool(is_time_text(values).all())
            self._zoned |= fits["time"] and bool(truth_values(pc.match_substring_regex(values, _ZONE)).any())

    def type(self) -> pa.DataType:
        """The type of a column by the rule above."""
        fits = self._fits
        if not self._values:
            return pa.string()
        if fits["boolean"]:
            return pa.bool_()
        if fits["float"]:
            return pa.int64() if fits["integer"] else pa.float64()
        if fits["time"]:
            return INSTANT if self._zoned else pa.timestamp("us")
        return pa.string()


def _all_match(values: pa.StringArray, pattern: str) -> bool:
    return bool(truth_values(pc.match_substring_regex(values, pattern)).all())


def cleaned(texts: pa.StringArray, kind: pa.DataType) -> pa.StringArray:
    """Texts of a column of a decided type: except in texts, spaces around values, and the plus of an integer, go
    and "no value" becomes null.
    """
    if pa.types.is_string(kind):
        return texts
    trimmed = pc.utf8_trim_whitespace(texts)
    if pa.types.is_boolean(kind):
        trimmed = pc.utf8_lower(trimmed)
    elif pa.types.is_integer(kind):
        trimmed = pc.replace_substring_regex(trimmed, r"^\+", "")  # Arrow reads no such integer
    absent = pc.is_in(trimmed, value_set=_NO_VALUES)
    return pc.if_else(absent, pa.nulls(len(texts), pa.string()), trimmed) if absent.true_count else trimmed
