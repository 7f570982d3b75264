"""NannyML's univariate drift values, and its car loan data: runs in NannyML's environment. JSON in, JSON out."""

import json
import sys
import warnings

import nannyml
import pandas as pd
from nannyml.chunk import DefaultChunker
from nannyml.drift.univariate import FeatureType, MethodFactory
from nannyml.thresholds import ConstantThreshold

warnings.simplefilter("ignore")


def value(method, kind, reference, current):
    """One method's value, from the raw rows where it has a choice."""
    made = MethodFactory.create(
        key=method,
        feature_type=FeatureType(kind),
        chunker=DefaultChunker(),
        threshold=ConstantThreshold(lower=None, upper=0.1),
        computation_params={"calculation_method": "exact"},
    )
    made.fit(reference)
    return float(made.calculate(current))


def main():
    asked = json.load(sys.stdin)
    answers = []
    for case in asked["cases"]:
        reference, current = (pd.Series(case[side], name="x") for side in ("reference", "current"))
        if case["kind"] == "categorical":
            reference, current = reference.astype("category"), current.astype("category")
        answers.append({name: value(name, case["kind"], reference, current) for name in case["methods"]})
    loans = {}
    if asked["loans"]:
        reference, analysis, _ = nannyml.load_synthetic_car_loan_dataset()
        for column in ("car_value", "salary_range"):
            loans[column] = [reference[column].tolist(), analysis[column].tolist()]
    print(json.dumps({"answers": answers, "loans": loans}))


main()
