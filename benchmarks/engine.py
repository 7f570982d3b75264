"""The engine as benchmarks run it: rows of a Parquet file to a profile, and its drift against a stored baseline.

Twenty monitored columns and the actual class, every one a column of the profile; no performance metrics, which peers'
drift reports do not compute either.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import measure
import workload


def plan(copies: int = 1) -> Any:
    """The plan of the workload's columns."""
    from airflow_monitoring_provider.definitions.terms import ColumnKind
    from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan

    columns = [ColumnPlan(workload.ACTUAL, ColumnKind.CATEGORICAL, ColumnRole.ACTUAL)]
    for copy in range(1, copies + 1):
        for column, name in zip(workload.MONITORED, workload.names(workload.MONITORED, copy), strict=True):
            kind = ColumnKind.NUMERIC if column in workload.NUMERIC else ColumnKind.CATEGORICAL
            role = ColumnRole.PREDICTION if column == workload.PREDICTION else ColumnRole.FEATURE
            columns.append(ColumnPlan(name, kind, role, mirrored=column == workload.PREDICTION))
    return ProfilePlan(tuple(sorted(columns, key=lambda column: column.name)))


def profile(path: Path, planned: Any) -> Any:
    """The profile of all rows of a file, as a job counts them, in as many threads as it would."""
    import fsspec
    import numpy as np

    from airflow_monitoring_provider.definitions import FileIntake
    from airflow_monitoring_provider.engines.arrow import ProfileBuilder, usable_cores
    from airflow_monitoring_provider.intake.source import open_source, open_stretches

    intake = FileIntake.model_validate({"type": "file", "url": str(path)})
    source = open_source(intake, filesystem=fsspec.filesystem("file"), root=str(path.parent))
    with (
        open_stretches(source, [column.name for column in planned.columns], None) as stretches,
        ProfileBuilder(planned, threads=usable_cores()) as builder,
    ):
        for stretch in stretches:
            seen = []
            for batch in stretch.read(builder.row_columns, encoded=frozenset(builder.row_columns)):
                seen.append(np.zeros(len(batch), np.uint8))
                builder.see(batch, seen[-1])
            builder.count(stretch, np.concatenate(seen))
        return builder.finish()


def use_lean_memory() -> None:
    """Arrow's memory as a task has it; to be called before anything imports Arrow."""
    from airflow_monitoring_provider.engines.lean_memory import use_lean_memory

    use_lean_memory()


def write_baseline(copies: str = "1", rows: str = str(workload.REFERENCE_ROWS)) -> dict[str, Any]:
    """Profile the reference rows anew, and keep the profile in its stored form."""
    from airflow_monitoring_provider.profiles.serialise import to_bytes

    path = workload.FOLDER / f"baseline-{rows}-{copies}.profile"
    path.write_bytes(to_bytes(profile(workload.reference(int(rows), copies=int(copies)), plan(int(copies)))))
    return {"path": str(path)}


def script(name: str) -> str:
    """Path of another script of this folder."""
    return str(Path(__file__).with_name(name))


def profile_and_compare(rows: str, baseline_file: str, copies: str = "1") -> dict[str, Any]:
    """Profile current rows, and compare them with the stored baseline: the seconds of both, and what drifted."""
    use_lean_memory()
    from airflow_monitoring_provider.engines import arrow  # noqa: F401  (imports are not work)
    from airflow_monitoring_provider.intake import files, parquet_rows  # noqa: F401
    from airflow_monitoring_provider.metrics.compare import ComparisonSettings, compare
    from airflow_monitoring_provider.profiles.serialise import from_bytes

    path = workload.current(int(rows), copies=int(copies))
    watch = measure.Stopwatch()
    stored = from_bytes(Path(baseline_file).read_bytes())
    values = compare(profile(path, stored.plan), stored, ComparisonSettings())
    figures = watch.figures()
    # Without drift PSI comes to a cell's share of noise for each of up to 1000 levels.
    noise = 2 * max(workload.LEVELS.values()) * (1 / int(rows) + 1 / stored.rows)
    numbers = {name for copy in range(1, int(copies) + 1) for name in workload.names(workload.NUMERIC, copy)}
    drifted = sorted(
        value.column
        for value in values
        if value.name == "psi" and value.column and (value.value or 0.0) >= 0.02 + noise * (value.column not in numbers)
    )
    expected = sorted(n for copy in range(1, int(copies) + 1) for n in workload.names(workload.DRIFTED, copy))
    if drifted != expected:
        raise RuntimeError(f"drift was found in {drifted}, but the rows drift in {expected}")
    return {**figures, "values": len(values)}
