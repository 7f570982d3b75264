"""What the modules that Airflow imports at parse time add to ``import airflow.sdk`` and what that loads: under 0.1 s.

Airflow's scheduler, DAG processor and workers import a provider's DAG modules at every parse.
"""

from __future__ import annotations

import os
import tempfile
from typing import Any

import measure

MODULES = (
    "airflow_monitoring_provider.get_provider_info",
    "airflow_monitoring_provider.dags",
    "airflow_monitoring_provider.operators",
    "airflow_monitoring_provider.hooks",
    "airflow_monitoring_provider.plugins",
)
LIMIT_SECONDS = 0.1
RUNS = 5


def imports() -> dict[str, Any]:
    """Seconds of ours after Airflow's, on the processor: imports do nothing else than compute."""
    import importlib

    watch = measure.Stopwatch()
    import airflow.sdk

    for name in ("DAG", "BaseOperator", "Param", "Asset", "get_parsing_context"):  # loaded when first asked for
        getattr(airflow.sdk, name)
    airflow_figures, watch = watch.figures(), measure.Stopwatch()
    for module in MODULES:
        importlib.import_module(module)
    return {**watch.figures(), "airflow": airflow_figures["busy"]}


def main() -> None:
    """Measure and print both; the files were read by a run that does not count."""
    print(measure.machine(), flush=True)
    with tempfile.TemporaryDirectory() as home:
        os.environ["AIRFLOW_HOME"] = home
        measure.run(measure.child("imports"))
        runs = measure.in_turn({"imports": measure.child("imports")}, runs=RUNS)["imports"]
    airflow = sorted(run.more["airflow"] for run in runs)[len(runs) // 2]
    ours = measure.median(runs, "busy")
    heads = ["airflow.sdk, s", "ours on top, s", "ours / airflow.sdk", "peak MiB"]
    measure.table(
        heads, [[f"{airflow:.3f}", f"{ours:.3f}", f"{ours / airflow:.2f}", f"{measure.median(runs, 'peak'):.0f}"]]
    )
    measure.verdict("import of the provider after airflow.sdk", ours, LIMIT_SECONDS, unit=" s")


if __name__ == "__main__":
    if not measure.work({"imports": imports}):
        main()
