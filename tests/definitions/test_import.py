"""Importing the room costs no heavy module, so that a DAG file may do it at every parse."""

from __future__ import annotations

import json
import subprocess
import sys

HEAVY = {"airflow", "alembic", "croniter", "fsspec", "numpy", "pandas", "pendulum", "pyarrow", "scipy", "sqlalchemy"}

SCRIPT = """
import json, sys
from airflow_monitoring_provider.definitions import load_definition
load_definition({"deploymentId": "d", "monitoringColumns": {"predictionsColumns": "p"}, "schedule": "@daily"})
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules})))
"""


def test_loading_a_definition_imports_nothing_heavy() -> None:
    result = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True, check=True)

    loaded = set(json.loads(result.stdout))
    assert set() == HEAVY & loaded
    assert "pydantic" in loaded
