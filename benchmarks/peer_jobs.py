"""What each peer does with the workload: profile and drift of twenty columns. Run by the Python of that peer.

    .venv-peers/evidently/bin/python benchmarks/peer_jobs.py --child evidently REFERENCE.parquet CURRENT.parquet

Each reads both files, as its users do, but whylogs, which keeps a reference profile as we do. Imports do not count.
Scans only decode: DuckDB counts every column with two threads, pyarrow reads batch after batch.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import measure
import workload

# Peers report their use to their makers unless told not to: nobody asked for that here, and waiting for it would count.
os.environ |= {"DO_NOT_TRACK": "1", "NML_DISABLE_USAGE_LOGGING": "1", "WHYLOGS_NO_ANALYTICS": "True"}

WANTED = [*workload.MONITORED, workload.ACTUAL]


def evidently(reference: str, current: str) -> dict[str, Any]:
    """Evidently's drift preset with its own choice of tests."""
    import pandas as pd
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    watch = measure.Stopwatch()
    definition = DataDefinition(
        numerical_columns=list(workload.NUMERIC), categorical_columns=list(workload.CATEGORICAL)
    )
    datasets = [
        Dataset.from_pandas(pd.read_parquet(path, columns=list(workload.MONITORED)), data_definition=definition)
        for path in (current, reference)
    ]
    result = Report([DataDriftPreset()]).run(*datasets).dict()
    return {**watch.figures(), "values": len(result["metrics"])}


def nannyml(reference: str, current: str) -> dict[str, Any]:
    """NannyML's univariate drift: Jensen-Shannon, Kolmogorov-Smirnov and chi-square over ten chunks."""
    import nannyml as nml
    import pandas as pd

    watch = measure.Stopwatch()
    frames = [pd.read_parquet(path, columns=list(workload.MONITORED)) for path in (reference, current)]
    calculator = nml.UnivariateDriftCalculator(
        column_names=list(workload.MONITORED),
        treat_as_categorical=list(workload.CATEGORICAL),
        continuous_methods=["jensen_shannon", "kolmogorov_smirnov"],
        categorical_methods=["jensen_shannon", "chi2"],
        chunk_number=10,
    )
    result = calculator.fit(frames[0]).calculate(frames[1]).to_df()
    return {**watch.figures(), "values": int(result.size)}


def whylogs_reference(reference: str) -> None:
    """Store whylogs' profile of the reference, unless it is there."""
    kept = Path(reference).with_suffix(".whylogs")
    if kept.exists():
        return
    import pandas as pd
    import whylogs as why

    frame = pd.read_parquet(reference, columns=list(workload.MONITORED))
    kept.write_bytes(why.log(frame).profile().view().serialize())


def whylogs(reference: str, current: str) -> dict[str, Any]:
    """whylogs: log the current rows, and compare the sketches with those of a stored reference profile.

    Its own comparison needs extra packages of pictures, so KS of the stored quantile sketches is computed here, which
    costs milliseconds.
    """
    import numpy as np
    import pandas as pd
    import whylogs as why
    from whylogs.core.view.dataset_profile_view import DatasetProfileView

    kept = Path(reference).with_suffix(".whylogs")
    watch = measure.Stopwatch()
    now = why.log(pd.read_parquet(current, columns=list(workload.MONITORED))).profile().view()
    before = DatasetProfileView.deserialize(kept.read_bytes())
    found = {}
    for name in workload.NUMERIC:
        sketches = [view.get_column(name).get_metric("distribution").kll.value for view in (before, now)]
        points = [float(q) for q in sketches[0].get_quantiles(np.linspace(0.001, 0.999, 200).tolist())]
        found[name] = max(abs(a - b) for a, b in zip(*(s.get_cdf(points) for s in sketches), strict=True))
    for name in workload.CATEGORICAL:
        items = [view.get_column(name).get_metric("frequent_items").to_summary_dict() for view in (before, now)]
        counts = [{item.value: item.est for item in each["frequent_strings"]} for each in items]
        totals = [sum(each.values()) for each in counts]
        found[name] = max(abs(counts[0].get(v, 0) / totals[0] - n / totals[1]) for v, n in counts[1].items())
    return {**watch.figures(), "values": len(found)}


def by_hand(reference: str, current: str) -> dict[str, Any]:
    """pandas and SciPy as one writes it by hand: summary, KS and PSI of numbers, chi-square and PSI of texts."""
    import numpy as np
    import pandas as pd
    from scipy import stats

    watch = measure.Stopwatch()
    before, now = (pd.read_parquet(path, columns=WANTED) for path in (reference, current))
    values = [now.describe(include="all"), now.isna().sum()]

    def psi(p: Any, q: Any) -> float:
        p, q = np.clip(p, 1e-4, None), np.clip(q, 1e-4, None)
        return float(((q - p) * np.log(q / p)).sum())

    for name in workload.NUMERIC:
        a, b = before[name].dropna().to_numpy(), now[name].dropna().to_numpy()
        edges = np.quantile(a, np.linspace(0, 1, 11))[1:-1]
        counts = [np.bincount(np.searchsorted(edges, x), minlength=10) / x.size for x in (a, b)]
        values += [stats.ks_2samp(a, b, method="asymp").statistic, psi(*counts)]
    for name in (*workload.CATEGORICAL, workload.ACTUAL):
        table = pd.concat([before[name].value_counts(), now[name].value_counts()], axis=1).fillna(0).to_numpy().T
        shares = table / table.sum(axis=1, keepdims=True)
        values += [stats.chi2_contingency(table).statistic, psi(*shares)]
    return {**watch.figures(), "values": len(values)}


def duckdb_scan(path: str) -> dict[str, Any]:
    """Decode every column that is monitored with DuckDB and count its values."""
    return _duckdb_counts(path, ", ".join(f'count("{name}")' for name in WANTED))


def duckdb_scan_all(path: str) -> dict[str, Any]:
    """The same of every column of the file."""
    return _duckdb_counts(path, "count(COLUMNS(*))")


def _duckdb_counts(path: str, counts: str) -> dict[str, Any]:
    import duckdb

    connection = duckdb.connect(config={"threads": 2})
    watch = measure.Stopwatch()
    (found,) = connection.sql(f"SELECT {counts} FROM read_parquet('{path}')").fetchall()
    return {**watch.figures(), "values": len(found)}


def arrow_scan(path: str, copies: str = "1") -> dict[str, Any]:
    """Decode every column with pyarrow, a batch at a time."""
    import pyarrow.parquet as pq

    wanted = [name for copy in range(1, int(copies) + 1) for name in workload.names(workload.MONITORED, copy)]
    watch = measure.Stopwatch()
    with Path(path).open("rb") as stream:
        file = pq.ParquetFile(stream, pre_buffer=False, buffer_size=1 << 20)
        rows = sum(batch.num_rows for batch in file.iter_batches(65_536, columns=[*wanted, workload.ACTUAL]))
    return {**watch.figures(), "values": rows}


CHILDREN = {
    "evidently": evidently,
    "nannyml": nannyml,
    "whylogs": whylogs,
    "whylogs_reference": whylogs_reference,
    "by_hand": by_hand,
    "duckdb_scan": duckdb_scan,
    "duckdb_scan_all": duckdb_scan_all,
    "arrow_scan": arrow_scan,
}

if __name__ == "__main__":
    measure.work(CHILDREN)
