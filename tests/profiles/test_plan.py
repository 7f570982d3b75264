"""Plans are values with a digest of their own."""

from __future__ import annotations

import dataclasses

import pytest

from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.profiles.plan import ColumnPlan, ColumnRole, ProfilePlan, TargetPlan, merge_plans

PLAN = ProfilePlan(
    (
        ColumnPlan("a", ColumnKind.CATEGORICAL, named_levels=("é",)),
        ColumnPlan("p", ColumnKind.NUMERIC, ColumnRole.PREDICTION, True, (0.5,)),
    ),
    TargetPlan(TargetType.BINARY, (("yes", "p"),), "y", ("", "yes"), "yes"),
    "ts",
    "hash",
)


def test_plan_reads_back_equal() -> None:
    assert PLAN == ProfilePlan.from_dict(PLAN.to_dict())
    assert ProfilePlan(()) == ProfilePlan.from_dict(ProfilePlan(()).to_dict())


def test_digest_tells_plans_apart() -> None:
    assert PLAN.digest() == ProfilePlan.from_dict(PLAN.to_dict()).digest()
    assert PLAN.digest() != dataclasses.replace(PLAN, level_cap=1).digest()


def test_merged_plan_has_the_columns_of_both() -> None:
    left = dataclasses.replace(PLAN, columns=PLAN.columns[:1])
    right = dataclasses.replace(PLAN, columns=PLAN.columns[1:])
    assert PLAN == merge_plans(left, right) == merge_plans(right, left)


def test_merged_plan_keeps_the_edges_and_names_that_both_have() -> None:
    a = ColumnPlan("x", ColumnKind.NUMERIC, edges=(0.0, 1.0), named_levels=("a", "b"))
    b = dataclasses.replace(a, edges=(1.0, 2.0), named_levels=("b", "c"))
    expected = dataclasses.replace(a, edges=(1.0,), named_levels=("b",))
    assert (expected,) == merge_plans(ProfilePlan((a,)), ProfilePlan((b,))).columns
    with pytest.raises(ValueError, match="differ in column 'x'"):
        merge_plans(ProfilePlan((a,)), ProfilePlan((dataclasses.replace(b, mirrored=True),)))
