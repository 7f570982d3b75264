"""The fault tests are only worth something if they fail where the protocol is broken: here it is, on purpose.

Each mutation changes a few lines in a copy of the package; a named test of test_faults.py, run there, must find a
broken promise. In the package as it is the same test passes.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
Change = tuple[str, str, str]  # file of the package, text, and what it becomes

TAKEN_BY_ANYBODY: Change = (
    "outputs/markers.py",
    "mine.token <= attempt.token)",
    "sa.true())",
)
COMMITTED_BY_ANYBODY: Change = (
    "store/commits.py",
    ".where(jobs.c.id == claim.job_id, jobs.c.token == claim.token, jobs.c.state.in_(_LIVE))",
    ".where(jobs.c.id == claim.job_id)",
)
HELD_BY_ANYBODY: Change = (
    "outputs/markers.py",
    "held = sa.and_(mine.store_id == self._attempt.store_id, mine.token == self._attempt.token)",
    "held = sa.true()",
)
FILE_OF_ANYBODY: Change = (
    "outputs/output.py",
    "if token > self.token:",
    "if False:",
)
CONFIRMED_FOR_ANYBODY: Change = (
    "jobs/claiming.py",
    "confirm=lambda: store.confirm(claim),",
    "confirm=lambda: None,",
)
NOT_FIRST: Change = (
    "outputs/sql.py",
    """            if first:
                self._markers.claim(connection)
            else:
                self._markers.confirm(connection)
""",
    """            if not first:
                self._markers.confirm(connection)
""",
)
BUT_LAST: Change = (
    "outputs/sql.py",
    """            return None
        if last:
            return self._markers.complete(""",
    """            return None
        if last:
            self._markers.claim(connection)
            return self._markers.complete(""",
)
NOTHING_DELETED: Change = (
    "outputs/statements.py",
    "        connection.execute(sa.delete(self._table).where(self._table.c[JOB_COLUMN] == self._job_id))\n",
    "        pass\n",
)

MUTATIONS: dict[str, tuple[list[Change], str]] = {
    "the output does not look at the token": (
        [TAKEN_BY_ANYBODY, HELD_BY_ANYBODY, CONFIRMED_FOR_ANYBODY],
        "test_frozen_inside_of_its_output[csv-create_table@postgres-sqlite]",
    ),
    "the store does not look at the token": (
        [COMMITTED_BY_ANYBODY],
        "test_frozen_inside_of_its_commit[postgres-parquet-postgres]",
    ),
    "the file does not look at the token": (
        [FILE_OF_ANYBODY, CONFIRMED_FOR_ANYBODY],
        "test_frozen_inside_of_its_output[jsonl-csv-sqlite-fresh]",
    ),
    "nobody asks the store before COMMIT": (
        [CONFIRMED_FOR_ANYBODY],
        "test_frozen_inside_of_its_output[csv-create_table@postgres-sqlite]",
    ),
    "the marker comes last": (
        [NOT_FIRST, BUT_LAST],
        "test_two_attempts_inside_of_one_output[csv-create_table@postgres-sqlite]",
    ),
    "the window is not deleted": (
        [NOTHING_DELETED],
        "test_killed_at_a_step_and_retried[sqlite-insert@sqlite-sqlite-fresh-17]",
    ),
}


SAMPLE = ("the output does not look at the token", "the store does not look at the token", "the marker comes last")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """All of them with ``--sweep``."""
    if "what" in metafunc.fixturenames:
        metafunc.parametrize("what", MUTATIONS if metafunc.config.getoption("--sweep") else SAMPLE)


def test_a_broken_protocol_is_noticed(what: str, tmp_path: Path) -> None:
    changes, test = MUTATIONS[what]
    _copy(tmp_path)
    for file, text, becomes in changes:
        path = tmp_path / "airflow_monitoring_provider" / file
        content = path.read_text()
        assert content.count(text) == 1, f"the mutation does not fit {file} any more"
        path.write_text(content.replace(text, becomes))
    ended = _run(tmp_path, test)
    assert ended.returncode == 1, ended.stdout
    assert re.search(r"Violation: .*I[1-9]", ended.stdout), ended.stdout


def _copy(folder: Path) -> None:
    for name in ("airflow_monitoring_provider", "tests/faults", "tests/oracles"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "pyproject.toml", *(ROOT / "tests").glob("*.py")):
        shutil.copy(path, folder / path.relative_to(ROOT))


def _run(folder: Path, test: str) -> subprocess.CompletedProcess[str]:
    # The working directory comes first on the path, so the copy is what is imported.
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-p", "no:xdist"]
    command += [f"tests/faults/test_faults.py::{test}"]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
