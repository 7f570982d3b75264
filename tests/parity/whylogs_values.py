"""whylogs' profile of each side and its drift scores: runs in whylogs' environment. JSON in, JSON out."""

import json
import sys
import warnings

import pandas as pd
import whylogs
from whylogs.viz.drift.column_drift_algorithms import KS, Hellinger, _calculate_bins

warnings.simplefilter("ignore")
SHARES = [0.01, 0.05, 0.1, 0.25, 0.5, 0.75, 0.9, 0.95, 0.99]


def counts(view):
    """Counts and, of numbers, moments and quantiles with the error of their ranks."""
    types, held = view.get_metric("types"), view.get_metric("counts")
    found = {
        "rows": held.n.value,
        "null": held.null.value,
        "nan": held.nan.value,
        "inf": held.inf.value,
        "texts": types.string.value,
        "distinct": view.get_metric("cardinality").to_summary_dict(),
    }
    if (frequent := view.get_metric("frequent_items")) is not None:
        items = frequent.to_summary_dict()["frequent_strings"]
        found["frequent"] = {item.value: item.est for item in items}
    numbers = view.get_metric("distribution")
    if numbers is not None and not numbers.kll.value.is_empty():
        sketch = numbers.kll.value
        found |= {
            "mean": numbers.mean.value,
            "stddev": numbers.stddev,
            "min": sketch.get_min_value(),
            "max": sketch.get_max_value(),
            "quantiles": list(sketch.get_quantiles(SHARES)),
            "rank_error": sketch.normalized_rank_error(False),
        }
    return found


def scores(reference, current):
    """Hellinger with its edges, and KS, of a column of numbers."""
    sketches = [view.get_metric("distribution").kll.value for view in (reference, current)]
    edges, _ = _calculate_bins(
        start=min(sketch.get_min_value() for sketch in sketches),
        end=max(sketch.get_max_value() for sketch in sketches),
        n=sum(sketch.get_n() for sketch in sketches),
        avg_per_bucket=4,
        max_buckets=30,
        min_n_buckets=2,
    )
    ks = KS().calculate(current, reference)
    return {
        "edges": list(edges),
        "hellinger": float(Hellinger().calculate(current, reference).statistic),
        "ks": [float(ks.statistic), float(ks.pvalue)],
    }


def main():
    asked = json.load(sys.stdin)
    answers = []
    for case in asked:
        views = [
            whylogs.log(pd.DataFrame({"x": case[side]})).profile().view().get_column("x")
            for side in ("reference", "current")
        ]
        answer = {"reference": counts(views[0]), "current": counts(views[1])}
        if case["numeric"]:
            answer |= scores(*views)
        answers.append(answer)
    print(json.dumps({"shares": SHARES, "answers": answers}))


main()
