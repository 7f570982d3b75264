"""Late actuals, killed between their commit and the restatement of the last batch they touch (I5, I6)."""

from __future__ import annotations

import contextlib
from typing import Any

import pytest
import sqlalchemy as sa

from faults import scenarios
from faults.history import History
from faults.nemesis import Child
from faults.scenarios import BY_NAME, Bench
from faults.world import World, day_rows

ON_SQLITE = BY_NAME["sqlite-keyed@sqlite-sqlite"]
ON_POSTGRES = BY_NAME["parquet-none-postgres"]
ANSWERS = {"yes": "no", "no": "yes"}


@pytest.mark.parametrize(("case", "every"), [(ON_SQLITE, 19), (ON_POSTGRES, 17)], ids=str)
def test_killed_between_commit_and_restatement(bench: Bench, case: scenarios.Case, every: int) -> None:
    """The same report again, or the deployment's next one, leaves what an undisturbed report leaves."""
    told = [{"key": row["id"], "paid": ANSWERS[row["churned"]]} for row in day_rows(case, 0)[5:40] if row["churned"]]
    with bench.world(case) as world:
        before = _accuracy(world)
        _report(world, "undisturbed", told, told=True)
        after = _accuracy(world)
        steps = [event["before"] for event in History(world.history).events("step", "undisturbed")]
    assert _expected(case, told) == pytest.approx(after)
    assert before != after
    listed = next(i for i, what in enumerate(steps) if what.startswith("store: INSERT INTO monitoring_actual_files"))
    committed = (
        steps.index("store: COMMIT", listed) + 1
    )  # steps are counted from 1, and each comes before what it names
    for number, step in enumerate(range(committed + 1, len(steps), every)):
        with bench.world(case) as world, scenarios.told(world, f"killed at step {step}"):
            _report(world, "killed", told, at=step)
            assert History(world.history).events("fault")
            bench.faults += 1
            assert _accuracy(world) in (before, after)
            _report(world, *(("killed", told) if number % 2 else ("next", [])))
            assert after == _accuracy(world)


def _report(world: World, key: str, rows: list[dict[str, Any]], **plan: Any) -> None:
    Child({"world": world.spec(), "who": key, "rows": rows} | plan, "report").wait()


def _accuracy(world: World) -> tuple[float, float]:
    """Accuracy and label coverage of the first window, and that they are of one revision."""
    engine = sa.create_engine(world.store_url)
    query = (
        "SELECT m.name, m.value FROM monitoring_metrics m JOIN monitoring_jobs j ON j.id = m.job_id "
        "AND j.snapshot_revision = m.snapshot_revision WHERE j.definition_id = 'churn-definition' "
        "AND m.name IN ('accuracy', 'label_coverage') AND m.segment_id = '' ORDER BY m.name"
    )
    with contextlib.closing(engine.connect()) as connection:
        found = [float(row.value) for row in connection.execute(sa.text(query))]
    engine.dispose()
    assert 2 == len(found)
    return found[0], found[1]


def _expected(case: scenarios.Case, told: list[dict[str, Any]]) -> tuple[float, float]:
    """Row by row: what is told later counts more than what stood in the row."""
    truth = {row["key"]: row["paid"] for row in told}
    once = [row for i, row in enumerate(day_rows(case, 0)) if case.clean or i != 3]  # which repeats row 2
    rows = [row for row in once if row["score"] is not None and 0 <= row["score"] <= 1]
    known = [(row["score"], truth.get(row["id"], row["churned"])) for row in rows]
    hits = [(score >= 0.5) == (answer == "yes") for score, answer in known if answer is not None]
    return sum(hits) / len(hits), len(hits) / len(rows)
