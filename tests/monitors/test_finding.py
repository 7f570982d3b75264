"""One sentence for each result that reached a limit: right in its numbers, and harmless whatever the names are."""

from __future__ import annotations

import unicodedata
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions.terms import ResultStatus
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, direction_of
from airflow_monitoring_provider.monitors.finding import finding, place

DETECTED = ResultStatus.DETECTED
QUALITY, PERFORMANCE = ResultKind.DATA_QUALITY, ResultKind.MODEL_PERFORMANCE


def value(name: str, number: float | None, kind: ResultKind = QUALITY, **rest: Any) -> MetricValue:
    return MetricValue(name, kind, direction_of(name), number, **rest)


def psi(*cells: tuple[str, float, float], column: str | None = "region", **rest: Any) -> MetricValue:
    moved = [{"cell": cell, "reference": before, "current": after} for cell, before, after in cells]
    details: dict[str, Any] = {"role": "feature", "moved": moved, **rest.pop("details", {})}
    return value("psi", 0.3, ResultKind.DATA_DRIFT, column=column, primary=True, details=details, **rest)


NUMERIC = {"shift": 0, "largest_bucket": 0.1}


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        ("region: EU fell from 40 % to 22 %, APAC rose from 0 % to 9 %.", psi(("EU", 0.4, 0.22), ("APAC", 0, 0.09))),
        (
            "region: a fell from 40 % to 22 %, b fell from 9 % to 1 %, d rose from 0 % to 7 %.",
            psi(("a", 0.4, 0.22), ("b", 0.09, 0.01), ("c", 0.08, 0.01), ("d", 0, 0.07)),
        ),
        ("region: missing values rose from 0 % to 100 %.", psi(("__missing__", 0.0, 1.0))),
        (
            "region: missing or infinite values rose from 0 % to 12.5 %.",
            value(
                "psi",
                0.3,
                ResultKind.DATA_DRIFT,
                column="region",
                primary=True,
                details={"moved": [{"cell": "__missing__", "reference": 0.0, "current": 0.125, "infinite": True}]},
            ),
        ),
        (
            "age: values outside the bounds are 3 % (1 row), limit 25 %.",
            value("out_of_bounds_share", 0.03, column="age", details={"rows": 1}),
        ),
        ("region: values that the baseline does not have rose from 0 % to 5 %.", psi(("__unseen__", 0.0, 0.05))),
        ("region: a level fell from 50 % to 12.5 %.", psi(("__level__", 0.5, 0.125))),
        ("region in plan=a: EU rose from 1 % to 2 %.", psi(("EU", 0.01, 0.02), segment="plan=a")),
        ("region: EU rose from 0 % to 0.04 %.", psi(("EU", 0.0, 0.0004))),
        ("region: EU rose from 50 % to 50.02 %.", psi(("EU", 0.5, 0.5002))),
        (
            "age: values < 3 rose from 10 % to 40 %, values in [3, 9) fell from 60 % to 20 %.",
            psi(("< 3", 0.1, 0.4), ("[3, 9)", 0.6, 0.2), column="age", precision=NUMERIC),
        ),
        (
            "age: lengths >= 9 rose from 1 % to 2 %.",
            psi((">= 9", 0.01, 0.02), column="age", precision=NUMERIC, details={"of": "length"}),
        ),
        (
            "spend: the value 0 fell from 60 % to 40 %, values >= 9 rose from 5 % to 9 %.",
            psi(("0", 0.6, 0.4), (">= 9", 0.05, 0.09), column="spend", precision=NUMERIC),
        ),
        (
            "age: values < 3 rose from 10 % to 40 %; the median fell from 7 to 4.5.",
            psi(
                ("< 3", 0.1, 0.4),
                column="age",
                precision=NUMERIC,
                details={"median": {"reference": 7.0, "current": 4.5}, "location_p": 0.001},
            ),
        ),
        (
            "age: values < 3 rose from 10 % to 40 %.",
            psi(
                ("< 3", 0.1, 0.4),
                column="age",
                precision=NUMERIC,
                details={"median": {"reference": 7.0, "current": 6.9}, "location_p": 0.2},
            ),
        ),
        ("region: psi is 0.3, limit 0.25.", psi(("EU", 0.5, 0.500001))),
    ],
)
def test_a_columns_movement_is_one_sentence(expected: str, found: MetricValue) -> None:
    assert expected == finding(found, DETECTED, critical=0.25)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (
            "age: missing values rose from 1.2 % to 8.4 %.",
            value("missing_rate_change", 0.072, column="age", missing_reference=0.012, missing_current=0.084),
        ),
        (
            "age: missing values rose from 0.004 % to 8.4 %.",
            value("missing_rate", 0.084, column="age", details={"baseline_value": 0.00004}),
        ),
        ("age: missing values are 8.4 %, limit 5 %.", value("missing_rate", 0.084, column="age")),
        (
            "age: values outside the bounds are 3 % (12 rows), limit 5 %.",
            value("out_of_bounds_share", 0.03, column="age", details={"rows": 12, "maximum": 120}),
        ),
        (
            "state: values that are not allowed are 50 % (2 rows: XX, YY), limit 5 %.",
            value("not_allowed_share", 0.5, column="state", details={"rows": 2, "values": ["XX", "YY"]}),
        ),
        (
            "Rejected rows are 10 % (bad_type 30, missing_actual 10), limit 5 %.",
            value("rejected_rate", 0.1, details={"by_reason": {"missing_actual": 10, "bad_type": 30}}),
        ),
        (
            "4 columns are missing: a, b, c, d.",
            value("missing_columns", 4.0, details={"columns": [{"column": name} for name in "abcd"]}),
        ),
        ("1 column is new: a.", value("new_columns", 1.0, details={"columns": [{"column": "a"}]})),
        (
            "1 column has another type: a (numeric to text).",
            value("retyped_columns", 1.0, details={"columns": [{"column": "a", "from": "numeric", "to": "text"}]}),
        ),
        ("age: all values are the same, which the baseline's were not.", value("became_constant", 1.0, column="age")),
        ("The newest event is 3 h 20 min old.", value("freshness", 12_034.0)),
        (
            "95 % of the actuals came within 3 d (1 d 2 h in the baseline).",
            value("label_lag_p95", 259_200.0, details={"baseline_value": 93_600.0}),
        ),
        ("The newest event is 2 d old.", value("freshness", 172_800.5)),
        ("The number of rows fell from 1,000 to 400.", value("row_count_ratio", 0.4, n=1000, m=400)),
        ("1,204 rows have no timestamp.", value("null_timestamps", 1204.0)),
        (
            "age: distinct rose from 12 to 40.",
            value("distinct", 40.0, column="age", details={"baseline_value": 12}),
        ),
    ],
)
def test_a_quality_result_is_one_sentence(expected: str, found: MetricValue) -> None:
    assert expected == finding(found, ResultStatus.POTENTIAL_DETECTION, warning=0.05, critical=0.2)


@pytest.mark.parametrize(
    ("expected", "found"),
    [
        (
            "accuracy fell from 0.91 to 0.84 (95 % interval 0.82 to 0.86), limit 0.7.",
            value("accuracy", 0.84, PERFORMANCE, low=0.82, high=0.86, details={"baseline_value": 0.91}),
        ),
        (
            "roc_auc is 0.623 (95 % interval 0.6 to 0.65), limit 0.7.",
            value("roc_auc", 0.6231, PERFORMANCE, low=0.6, high=0.65),
        ),
        (
            "plan=a: rmse rose from 1,234.5 to 1,234.6, limit 0.7.",
            value("rmse", 1234.6, PERFORMANCE, segment="plan=a", details={"baseline_value": 1234.5}),
        ),
        (
            "81 % of the actuals lie in their prediction intervals, which are to hold 90 % "
            "(12 below and 7 above, of 100).",
            value(
                "interval_coverage",
                0.81,
                PERFORMANCE,
                details={"nominal": 0.9, "below": 12, "above": 7, "rows": 100, "baseline_value": 0.9},
            ),
        ),
        (
            "mse rose from 1e-09 to 2.5e-09, limit 0.7.",
            value("mse", 2.5e-9, PERFORMANCE, details={"baseline_value": 1e-9}),
        ),
        (
            "60 % of the features drifted (3 of 5).",
            value("drift_share", 0.6, ResultKind.DATA_DRIFT, details={"detected": 3, "judged": 5}),
        ),
        (
            "The drift of the features, weighted by importance, is 0.312, most of it from a, b.",
            value("drift_score", 0.3123, ResultKind.DATA_DRIFT, details={"leading": ["a", "b"]}),
        ),
        (
            "3 features drifted; of high importance: a; of low importance: b, c.",
            value("drifted_features", 3.0, ResultKind.DATA_DRIFT, details={"high": ["a"], "low": ["b", "c"]}),
        ),
    ],
)
def test_performance_and_the_models_score_are_one_sentence(expected: str, found: MetricValue) -> None:
    assert expected == finding(found, DETECTED, critical=0.7)


@pytest.mark.parametrize("status", [None, ResultStatus.IRRELEVANT, ResultStatus.NO_DETECTION])
def test_what_reached_no_limit_has_no_sentence(status: ResultStatus | None) -> None:
    assert finding(psi(("EU", 0.4, 0.2)), status) is None


def test_a_column_without_a_name_is_shown_as_quotes() -> None:
    assert '""' == place("", None)
    assert '"" in region=' == place("", "region=")


def test_a_column_has_one_sentence_whatever_the_number_of_its_distances() -> None:
    assert finding(value("hellinger", 0.4, ResultKind.DATA_DRIFT, column="region"), DETECTED) is None


def test_hidden_levels_stay_hidden() -> None:
    found = value("not_allowed_share", 0.5, column="state", details={"rows": 2})
    assert "state: values that are not allowed are 50 % (2 rows)." == finding(found, DETECTED, critical=0.0)


HOSTILE = [
    ("a\nb", r"a\u000ab"),
    ("\x1b[31mred", r"\u001b[31mred"),
    ("a\u202eb\u2066c", r"a\u202eb\u2066c"),
    ("a\u2028b", r"a\u2028b"),
    ("a\u00a0b", "a b"),
    ("x" * 31, "x" * 29 + "…"),
    ("é東🙂", "é東🙂"),
]


@pytest.mark.parametrize(("name", "shown"), HOSTILE)
def test_hostile_names_are_shown_as_what_they_are(name: str, shown: str) -> None:
    assert f"{shown}: EU rose from 0 % to 1 %." == finding(psi(("EU", 0, 0.01), column=name), DETECTED)
    assert f"c: {shown} rose from 0 % to 1 %." == finding(psi((name, 0, 0.01), column="c"), DETECTED)


shares = st.floats(0, 1).map(lambda share: round(share, 6))
names = st.text() | st.text(st.characters(categories=["Cc", "Cf", "Zs", "Zl", "Cs", "Mn"]))


@given(st.lists(st.tuples(names, shares, shares), max_size=5), names, st.none() | names)
def test_a_sentence_is_short_and_one_line_of_plain_characters(
    cells: list[tuple[str, float, float]], column: str, segment: str | None
) -> None:
    found = finding(psi(*cells, column=column, segment=segment), DETECTED, critical=0.25)
    assert found is not None
    assert 300 >= len(found)
    assert [] == [c for c in found if unicodedata.category(c) in ("Cc", "Cf", "Cs", "Co", "Cn", "Zl", "Zp")]


@given(shares, shares)
def test_different_shares_never_read_alike(before: float, after: float) -> None:
    found = finding(psi(("EU", before, after)), DETECTED, critical=0.25)
    if abs(before - after) >= 2e-5:
        said = [float(word) / 100 for word in str(found).split(" ") if word[:1].isdigit()]
        assert 2 == len(said)
        assert pytest.approx([before, after], abs=0.0005 + 1e-9) == said
        assert [before == 0, after == 0] == [share == 0 for share in said]
        assert said[0] != said[1]
        assert ("rose" in str(found)) == (said[1] > said[0])
