"""F11: columns of one value, of none, of NaN and infinities, windows without rows, bins without width.

Whatever stands in them, every result is a number or says why it is none; what the store and the page show is JSON and
text; and nothing warns (warnings are errors in these tests).
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import math
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy as sa
from hypothesis import example, given, settings
from hypothesis import strategies as st

import job_world
from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.metrics.compare import ComparisonSettings
from airflow_monitoring_provider.metrics.drift import column_drift
from airflow_monitoring_provider.metrics.quality import column_quality
from airflow_monitoring_provider.metrics.values import MetricValue
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.histogram import Histogram
from faults.routes import assert_shown

START = dt.datetime(2026, 3, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None)
MOST = 1.7976931348623157e308
COLUMNS: dict[str, Any] = {
    "id": sa.Text(),
    "at": sa.DateTime(),
    "number": sa.Float(),
    "level": sa.Text(),
    "truth": sa.Boolean(),
    "text": sa.Text(),
    "time": sa.DateTime(),
    "score": sa.Float(),
    "other": sa.Float(),
    "third": sa.Float(),
    "guess": sa.Float(),
    "churned": sa.Text(),
    "truly": sa.Float(),
}
KINDS = {"number": "numeric", "level": "categorical", "truth": "boolean", "text": "text", "time": "timestamp"}

NUMBERS: dict[str, Callable[[int], float | None]] = {
    "normal": lambda i: (i * 7919 % 100) / 10,
    "null": lambda i: None,
    "nan": lambda i: math.nan,
    "infinite": lambda i: math.inf,
    "both infinite": lambda i: (math.inf, -math.inf)[i % 2],
    "constant": lambda i: 3.0,
    "zero": lambda i: (0.0, -0.0)[i % 2],
    "two neighbours": lambda i: (1.0, 1.0000000000000002)[i % 2],
    "widest": lambda i: (MOST, -MOST)[i % 2],
    "largest": lambda i: MOST,
    "tiniest": lambda i: (5e-324, -5e-324)[i % 2],
    "one value": lambda i: 1.0 if i == 0 else None,
    "every scale": lambda i: 10.0 ** (i % 600 - 300),
    "everything": lambda i: (math.nan, math.inf, 1e308, 5e-324, None)[i % 5],
}


def rows(day: int, number: Callable[[int], float | None], count: int = 120) -> list[dict[str, Any]]:
    """A day on which every column is as degenerate as its numbers."""
    found = []
    for i in range(count):
        x = number(i)
        finite = x is not None and math.isfinite(x)
        share = abs(x) % 1 if x is not None and finite else x
        found.append(
            {
                "id": f"{day} {i}",
                "at": START + dt.timedelta(days=day, seconds=i),
                "number": x,
                "level": None if x is None else str(x),
                "truth": None if x is None else x > 1,
                "text": None if x is None else "word " * (int(abs(x)) % 7 if finite else 0),
                "time": START + dt.timedelta(days=int(x % 1000)) if x is not None and finite else None,
                "score": share,
                "other": None if share is None else 1 - share,
                "third": 0.0,
                "guess": x,
                "churned": None if x is None else ("yes", "no")[i % 2] if finite else "yes",
                "truly": x,
            }
        )
    return found


NO_MINIMUM = {"reference_rows": 0, "current_rows": 0, "labelled_rows": 0, "per_class": 0, "segment_rows": 0}
TARGETS: dict[str, Any] = {
    "regression": {"predictions_columns": "guess", "actuals_value_column": "truly"},
    "binary": {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "actuals_value_column": "churned",
    },
    "multiclass": {
        "predictions_columns": [
            {"class_name": "yes", "column_name": "score"},
            {"class_name": "no", "column_name": "other"},
            {"class_name": "perhaps", "column_name": "third"},
        ],
        "actuals_value_column": "churned",
    },
}


@pytest.fixture
def world(tmp_path: Path) -> Iterator[job_world.World]:
    urls = [f"sqlite:///{tmp_path / name}" for name in ("data.sqlite", "store.sqlite")]
    with job_world.open_world(urls[0], urls[1], tmp_path) as made:
        yield made


def define(name: str, target: str, **changes: Any) -> Any:
    return job_world.define(
        name=name,
        features=list(KINDS),
        column_types=KINDS,
        monitoring_columns=TARGETS[target],
        output_settings=None,
        passthrough_columns=None,
        **{"minimums": NO_MINIMUM, **changes},
    )


def check(values: Sequence[MetricValue]) -> None:
    """Every value is a finite number, or says why it is none; probabilities are some; all of it is JSON."""
    assert values
    for value in values:
        where = (value.name, value.column)
        assert value.value is not None or value.reason is not None, where
        for number in (value.value, value.critical_value, value.low, value.high):
            assert number is None or math.isfinite(number), where
        for chance in (value.p_value, value.adjusted_p_value, value.missing_reference, value.missing_current):
            assert chance is None or 0 <= chance <= 1, where
        if value.low is not None and value.value is not None and value.high is not None:
            assert value.low - 1e-12 <= value.value <= value.high + 1e-12, where
        json.dumps(value.details, allow_nan=False)


PAIRS = [
    *(("normal", name) for name in NUMBERS),
    *((name, "normal") for name in NUMBERS),
    *((name, name) for name in NUMBERS),
]


@pytest.mark.parametrize("target", TARGETS)
def test_degenerate_columns_give_numbers_or_reasons(world: job_world.World, target: str) -> None:
    for place, (before, after) in enumerate(PAIRS):
        if place % len(TARGETS) != list(TARGETS).index(target):  # every pair once, every third of them for each target
            continue
        definition = define(f"{before} {after}".replace(" ", "-"), target)
        world.table("scores", rows(0, NUMBERS[before]) + rows(1, NUMBERS[after]), COLUMNS)
        world.evaluate(definition, world.run(definition))
        summary = world.run(definition, 1)
        evaluation = world.evaluate(definition, summary)
        check(world.store.load_values(summary.job_id))
        json.dumps([summary.to_dict(), evaluation.to_dict()], allow_nan=False)
        if place % 7 == 0:
            assert_shown(world, summary.job_id)
    assert_shown(world, summary.job_id)


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.parametrize("minimums", [NO_MINIMUM, None], ids=["judged", "too few"])
def test_windows_of_no_row_and_of_one_give_numbers_or_reasons(
    world: job_world.World, target: str, minimums: dict[str, int] | None
) -> None:
    for first, second in itertools.product((0, 1, 250), repeat=2):
        definition = define(f"sizes-{first}-{second}", target, minimums=minimums)
        world.table("scores", rows(0, NUMBERS["normal"], first) + rows(1, NUMBERS["normal"], second), COLUMNS)
        world.evaluate(definition, world.run(definition))
        summary = world.run(definition, 1)
        evaluation = world.evaluate(definition, summary)
        assert second == summary.rows
        if minimums is None:
            assert ("irrelevant" if min(first, second) < 100 else "no_detection") == evaluation.status
        check(world.store.load_values(summary.job_id))
        assert_shown(world, summary.job_id)


numbers = st.one_of(
    st.floats(),
    st.sampled_from([0.0, -0.0, 1.0, MOST, -MOST, 5e-324, math.nan, math.inf, -math.inf, 1e16, 1e-300]),
)
columns = st.one_of(
    st.lists(numbers | st.none(), max_size=60),
    st.builds(lambda value, times: [value] * times, numbers | st.none(), st.integers(0, 300)),
)
SETTINGS = ComparisonSettings.from_definition(define("laws", "binary"))


@settings(max_examples=400, deadline=None, derandomize=True, database=None)
@example([1.0] * 300, [1.0] * 300)
@example([1.0, 1.0000000000000002] * 60, [math.nan] * 120)
@example([MOST, -MOST] * 60, [5e-324] * 120)
@example([], [None])
@example([1.8e305], [0.0])  # a distance that was finite until it was divided by the smallest spread
@given(columns, columns)
def test_numbers_of_any_two_columns_compare_without_a_warning(
    before: list[float | None], after: list[float | None]
) -> None:
    old, new = ColumnProfile.of(before), ColumnProfile.of(after)
    check([*column_drift(old, new, SETTINGS), *column_quality(new, old), *column_quality(new, None)])


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@example(["a"] * 120, ["a"] * 120)
@example([""] * 120, [None] * 120)
@example([], ["a"])
@given(
    st.lists(st.sampled_from(["", " ", "a", "A", "\0", "\u202e", None]) | st.text(max_size=3), max_size=150),
    st.lists(st.sampled_from(["", " ", "a", "A", "\0", "\u202e", None]) | st.text(max_size=3), max_size=150),
)
def test_levels_and_texts_of_any_two_columns_compare_without_a_warning(
    before: list[str | None], after: list[str | None]
) -> None:
    for kind in (ColumnKind.CATEGORICAL, ColumnKind.TEXT):
        old, new = ColumnProfile.of(before, kind=kind), ColumnProfile.of(after, kind=kind)
        check([*column_drift(old, new, SETTINGS), *column_quality(new, old), *column_quality(new, None)])


@settings(max_examples=80, deadline=None, derandomize=True, database=None)
@given(columns)
def test_what_is_said_of_a_degenerate_column_is_what_numpy_says(values: list[float | None]) -> None:
    column = ColumnProfile.of(values)
    array = np.array([math.nan if value is None else value for value in values], float)
    finite = array[np.isfinite(array)]
    missing, infinite = int(np.isnan(array).sum()), int(np.isinf(array).sum())
    assert (len(values), missing, infinite) == (
        column.rows,
        column.missing,
        column.positive_inf + column.negative_inf,
    )
    assert finite.size == column.count
    assert (int((finite == 0).sum()), int((finite < 0).sum())) == (column.zero, column.negative)
    if finite.size:
        assert (finite.min() + 0.0, finite.max() + 0.0) == (column.minimum, column.maximum)
        assert len(set((finite + 0.0).tolist())) == column.distinct
    else:
        assert (None, None, 0) == (column.minimum, column.maximum, column.distinct)


def test_a_bin_without_width_holds_its_value(world: job_world.World) -> None:
    """Nine of ten quantiles are one number; the bins between them have no width and hold nothing twice."""
    values = [5.0] * 110 + [float(i) for i in range(10)]
    column = ColumnProfile.of(values)
    assert isinstance(column.histogram, Histogram)
    psi, *_ = column_drift(column, ColumnProfile.of([5.0] * 120), SETTINGS)
    moved = {entry["cell"]: entry for entry in psi.details["moved"]}
    assert sum(entry["current"] for entry in moved.values()) == pytest.approx(1)
    same, *_ = column_drift(column, ColumnProfile.of(values), SETTINGS)
    assert 0.0 == same.value
