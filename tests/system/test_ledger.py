"""The checker sees what it is there to see: each kind of damage is found, and an undisturbed run has none."""

from __future__ import annotations

import contextlib
import shutil
import sqlite3
from pathlib import Path

import pytest

from system.ledger import Ledger, difference
from system.paced import definition
from system.undisturbed import undisturbed

DAY = 3


@pytest.fixture
def ledger(untouched: Path, tmp_path: Path) -> Ledger:
    return undisturbed(definition("cleared"), [DAY], untouched, tmp_path)


def _do(database: Path, statement: str) -> None:
    with contextlib.closing(sqlite3.connect(database)) as connection:
        assert connection.execute(statement).rowcount != 0
        connection.commit()


def test_two_undisturbed_runs_are_the_same(ledger: Ledger, untouched: Path, tmp_path: Path) -> None:
    (tmp_path / "again").mkdir()
    again = undisturbed(definition("cleared"), [DAY], untouched, tmp_path / "again")
    assert [] == ledger.violations() == again.violations()
    assert [] == difference(ledger.facts(), again.facts())
    assert {250, 1} == {sum(ledger.facts()[table].values()) for table in ("output", "monitoring_snapshots")}
    assert all(ledger.facts().values())


@pytest.mark.parametrize(
    ("statement", "found"),
    [
        ("INSERT INTO cleared_monitoring SELECT * FROM cleared_monitoring LIMIT 1", "is there 2 times"),
        ("DELETE FROM cleared_monitoring WHERE id = 2007", "250 rows were read, 249 are in the output"),
        ("UPDATE cleared_monitoring SET monitoring_job_id = 'x' WHERE id = 2007", "which is no job"),
        ("UPDATE monitoring_output_markers SET state = 'writing'", "the markers say"),
        ("UPDATE monitoring_output_markers SET token = token + 1", "the markers say"),
        ("UPDATE monitoring_job_attempts SET state = 'running'", "still counts as running"),
        ("UPDATE monitoring_job_attempts SET state = 'failed', reason = NULL", "nobody knows why"),
        ("UPDATE monitoring_job_attempts SET token = 2", "attempts [2], and the newest token is 1"),
        ("UPDATE monitoring_jobs SET evaluation_due = 1", "evaluation due: 1"),
        ("UPDATE monitoring_jobs SET state = 'aborted', reason = 'r'", "the job is aborted: r"),
        ("UPDATE monitoring_jobs SET token = 2", "attempt 2 has the window, and 1 committed"),
        ("UPDATE monitoring_snapshots SET revision = 2", "not the one of revision 1"),
        ("DELETE FROM monitoring_snapshots", "0 snapshots"),
        ("UPDATE monitoring_prediction_files SET sha256 = 'x'", "is not what was committed"),
    ],
)
def test_broken_promise(ledger: Ledger, statement: str, found: str) -> None:
    in_output = any(table in statement for table in ("cleared_monitoring", "monitoring_output_markers"))
    _do(ledger.output if in_output else ledger.store, statement)
    assert any(found in violation for violation in ledger.violations()), ledger.violations()


def test_file_left_behind(ledger: Ledger) -> None:
    (log,) = (ledger.store.parent / "storage").rglob("*.parquet")
    shutil.copy(log, log.with_name("other.parquet"))
    assert any("left behind: ['other.parquet']" in violation for violation in ledger.violations())


@pytest.mark.parametrize(
    ("statement", "table"),
    [
        ("UPDATE cleared_monitoring SET status = 'monitored'", "output"),
        ("UPDATE monitoring_output_markers SET checksum = 'x'", "monitoring_output_markers"),
        ("UPDATE monitoring_profiles SET profile = x'00'", "monitoring_profiles"),
        ("UPDATE monitoring_snapshots SET content_hash = 'x'", "monitoring_snapshots"),
        ("UPDATE monitoring_metrics SET value = value * 1.0000001 WHERE name = 'psi'", "monitoring_metrics"),
        ("UPDATE monitoring_metrics SET status = 'irrelevant' WHERE status = 'detected'", "monitoring_metrics"),
        ("UPDATE monitoring_monitor_states SET status = 'irrelevant'", "monitoring_monitor_states"),
        ("UPDATE monitoring_batches SET predictions = predictions + 1", "monitoring_batches"),
        ("DELETE FROM monitoring_alerts", "monitoring_alerts"),
        ("UPDATE monitoring_baseline_versions SET rows = rows + 1", "monitoring_baseline_versions"),
    ],
)
def test_other_facts(ledger: Ledger, statement: str, table: str) -> None:
    before = ledger.facts()
    in_output = any(name in statement for name in ("cleared_monitoring", "monitoring_output_markers"))
    _do(ledger.output if in_output else ledger.store, statement)
    told = [line for line in difference(before, ledger.facts()) if not line.startswith(" ")]
    assert [table] == [line.partition(":")[0] for line in told]
