"""Evidently's drift scores: runs in Evidently's environment. One line of JSON in, one out."""

import json
import sys
import warnings

import pandas as pd
from evidently.legacy.calculations import stattests
from evidently.legacy.calculations.stattests.registry import get_stattest
from evidently.legacy.core import ColumnType

warnings.simplefilter("ignore")


def score(test, reference, current, kind):
    """Score and verdict of one test at its default threshold."""
    found = test(reference, current, kind, None)
    return [float(found.drift_score), bool(found.drifted)]


def main():
    answers = []
    for case in json.load(sys.stdin):
        reference, current = (pd.Series(case[side]) for side in ("reference", "current"))
        kind = ColumnType(case["kind"])
        reference, current = reference.dropna(), current.dropna()
        default = get_stattest(reference, current, kind, None)
        answer = {"default": [default.name, *score(default, reference, current, kind)]}
        for name in case["tests"]:
            answer[name] = score(getattr(stattests, name), reference, current, kind)
        answers.append(answer)
    print(json.dumps(answers))


main()
