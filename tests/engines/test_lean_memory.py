"""The pool of a process whose own business is a job, in processes of their own: a pool is chosen once."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

_VARIABLE = "ARROW_DEFAULT_MEMORY_POOL"
_SETTINGS = "JE_ARROW_MALLOC_CONF"
_USE = "from airflow_monitoring_provider.engines.lean_memory import use_lean_memory; use_lean_memory(); "
_ASK = f"import os, pyarrow; print(pyarrow.default_memory_pool().backend_name, os.environ.get({_VARIABLE!r}))"

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="which pools a wheel of Arrow holds differs elsewhere")


@pytest.mark.parametrize(
    ("before", "chosen", "expected"),
    [
        ("", None, "jemalloc None"),
        ("import pyarrow; ", None, "jemalloc None"),
        ("", "system", "system system"),
        ("import pyarrow; ", "system", "system system"),
    ],
)
def test_a_job_uses_the_pool_that_gives_back_unless_another_was_chosen(
    before: str, chosen: str | None, expected: str
) -> None:
    assert expected == _output(before + _USE + _ASK, chosen)


@pytest.mark.parametrize("own", [None, "narenas:2"])
def test_the_settings_of_that_pool_are_understood_and_kept_from_other_processes(own: str | None) -> None:
    script = _USE + f"import os, pyarrow as pa; pa.py_buffer(bytes(9)); print(os.environ.get({_SETTINGS!r}))"

    environment = {name: value for name, value in os.environ.items() if name not in (_VARIABLE, _SETTINGS)}
    environment |= {} if own is None else {_SETTINGS: own}
    done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True)
    assert (str(own), "") == (done.stdout.strip(), done.stderr)  # jemalloc complains of what it does not know


def test_pages_that_arrow_decompresses_within_itself_come_from_that_pool_too(tmp_path: Path) -> None:
    assert "False" == _output(_USE + _reading(tmp_path))
    assert "True" == _output("import pyarrow; " + _USE + _reading(tmp_path))  # too late, which is why a task hurries


def test_a_task_chooses_its_pool_before_anything_loads_arrow(tmp_path: Path) -> None:
    task = """
import contextlib
from airflow_monitoring_provider.operators import MonitoringJobOperator
operator = MonitoringJobOperator(task_id="x", definition_id="unknown")
with contextlib.suppress(Exception):  # there is no such definition
    operator.execute({})
"""
    assert "False" == _output(task + _reading(tmp_path)).splitlines()[-1]


def _reading(folder: Path) -> str:
    """Read Parquet, and print whether any of it lay in Arrow's own default pool."""
    path = folder / "rows.parquet"
    pq.write_table(pa.table({"x": list(range(50_000))}), path, compression="snappy")
    return f"""
import pyarrow as pa, pyarrow.parquet as pq
assert 50_000 == sum(map(len, pq.ParquetFile({str(path)!r}).iter_batches()))
print(pa.mimalloc_memory_pool().max_memory() > 0)
"""


def _output(script: str, chosen: str | None = None) -> str:
    environment = {name: value for name, value in os.environ.items() if name != _VARIABLE}
    environment |= {} if chosen is None else {_VARIABLE: chosen}
    done = subprocess.run(
        [sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, timeout=120
    )
    return done.stdout.strip()
