"""Why a metric has no value, or why a value has no verdict: a closed list, one sentence each.

A reason is stored beside the result and shown to people, so the words are stable: add to the list, never rename.
"""

from __future__ import annotations

from enum import StrEnum


class Reason(StrEnum):
    """One word for payloads and tables; :attr:`sentence` for people."""

    NO_DATA = "no_data"
    INSUFFICIENT_DATA = "insufficient_data"
    BASELINE_MISSING = "baseline_missing"
    BASELINE_TOO_SMALL = "baseline_too_small"
    COLUMN_MISSING = "column_missing"
    COLUMN_NEW = "column_new"
    COLUMN_RETYPED = "column_retyped"
    LEVELS_TRUNCATED = "levels_truncated"
    NOT_RECORDED = "not_recorded"
    NO_ACTUALS = "no_actuals"
    INVALID_ACTUALS = "invalid_actuals"
    NO_PREDICTIONS = "no_predictions"
    ONE_CLASS = "one_class"
    ZERO_DENOMINATOR = "zero_denominator"
    NEGATIVE_VALUES = "negative_values"
    OUT_OF_DOMAIN = "out_of_domain"
    NOT_FINITE = "not_finite"
    TOO_MANY_ROWS = "too_many_rows"
    UNORDERED_ROWS = "unordered_rows"
    FAILED = "failed"
    WRONG_TYPE = "wrong_type"
    NO_THRESHOLD = "no_threshold"
    NOT_SIGNIFICANT = "not_significant"
    NOT_APPLICABLE = "not_applicable"

    @property
    def sentence(self) -> str:
        """What the word means, as one sentence without a value in it."""
        return _SENTENCES[self]


_SENTENCES: dict[Reason, str] = {
    Reason.NO_DATA: "There are no values to compute it from on at least one side.",
    Reason.INSUFFICIENT_DATA: "There are fewer rows, or windows before, than the minimum that the metric needs.",
    Reason.BASELINE_MISSING: "There is no baseline to compare with yet.",
    Reason.BASELINE_TOO_SMALL: "The baseline has fewer windows or rows than the definition asks for.",
    Reason.COLUMN_MISSING: "The baseline has the column and the current rows do not.",
    Reason.COLUMN_NEW: "The current rows have the column and the baseline does not.",
    Reason.COLUMN_RETYPED: "The column has another type than in the baseline.",
    Reason.LEVELS_TRUNCATED: "The column has more distinct values than a profile keeps apart.",
    Reason.NOT_RECORDED: "The profile does not hold what the metric is computed from.",
    Reason.NO_ACTUALS: "No row has an actual value.",
    Reason.INVALID_ACTUALS: "No actual value is of a known class, or a number where it must be one.",
    Reason.NO_PREDICTIONS: "No row has a usable prediction.",
    Reason.ONE_CLASS: "All actual values belong to one class.",
    Reason.ZERO_DENOMINATOR: "The metric divides by a count or sum that is zero here.",
    Reason.NEGATIVE_VALUES: "The metric takes logarithms and some value is at or below -1.",
    Reason.OUT_OF_DOMAIN: "Some prediction or actual is negative or zero, where the metric is not defined.",
    Reason.NOT_FINITE: "The result is no finite number.",
    Reason.TOO_MANY_ROWS: "There are more rows than the metric, which needs all of them at once, is computed from.",
    Reason.UNORDERED_ROWS: "Rows of one series share their time, so that none of them is the one before another.",
    Reason.FAILED: "The code or SQL that makes the metric ended with an error.",
    Reason.WRONG_TYPE: "The code or SQL that makes the metric gave something else than it has to.",
    Reason.NOT_SIGNIFICANT: "The value has reached its threshold, but chance alone could have brought it there.",
    Reason.NOT_APPLICABLE: "The metric is not defined for values like those of the column.",
    Reason.NO_THRESHOLD: "Neither the definition nor the defaults set a threshold for the metric.",
}
