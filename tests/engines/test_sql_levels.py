"""Levels are counted for several columns at once where they are few, and all the same as rows that are read."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.intake import level_sets
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ProfilePlan, SegmentPlan
from conformance import assert_same, open_engine, pushed, read, table

KINDS = {
    "flag": sa.Boolean(), "many": sa.Text(), "never": sa.Text(), "number": sa.Integer(), "size": sa.Text(),
    "short": sa.String(20), "text": sa.Text(),
}  # fmt: skip


@pytest.fixture(params=["sqlite", "postgres"])
def engine(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[sa.Engine]:
    engine = open_engine(request.param, tmp_path, request)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("few", [2, 10, 2000])
def test_levels_are_those_of_rows_however_many_columns_a_statement_counts(
    engine: sa.Engine, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(level_sets, "_FEW", few)
    random = np.random.default_rng(5)
    rows = [
        {
            "flag": [True, False, None][n % 3],
            "many": f"level {int(random.integers(0, 300))}",
            "never": None,
            "number": [0, -1, 2**31 - 1, None][n % 4],
            "size": ["s", "m", "S", "m "][int(random.integers(0, 4))],
            "short": ["", "é", None, "%s", "NULL"][int(random.integers(0, 5))],
            "text": [None, "a", "b"][int(random.integers(0, 3))],
        }
        for n in range(600)
    ]
    source = table(engine, rows, **KINDS)
    plan = ProfilePlan(
        tuple(ColumnPlan(name, ColumnKind.CATEGORICAL) for name in sorted(KINDS)),
        segments=(SegmentPlan("size", "size", limit=2, levels=("m", "s")),),
    )

    expected, found = read(plan, source), pushed(plan, source)

    assert_same(expected, found)
    assert 3 == len(found.segments)
