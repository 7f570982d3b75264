"""Functions that users would write; a module of its own, because definitions name them by their import path."""

from __future__ import annotations

import math
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from airflow_monitoring_provider.metrics.custom import CustomValue

SECRET = "4711-secret"


def scored_rows(profile: Any) -> int:
    """Of the profile."""
    found: int = profile.status_counts["monitored"]
    return found


def labelled_rows(profile: Any) -> int:
    """Of the profile, as late actuals leave it."""
    found: int = profile.target.labelled
    return found


def mean_amount(batch: pa.RecordBatch) -> CustomValue:
    """Of one record batch; its weight is the values that are there."""
    amounts = batch.column("amount")
    return CustomValue(pc.mean(amounts).as_py(), len(amounts) - amounts.null_count)


def regions(batch: pa.RecordBatch) -> dict[str, int]:
    """Counts of categories."""
    return {each["values"]: each["counts"] for each in pc.value_counts(batch.column("region").drop_null()).to_pylist()}


class Largest:
    """A state of its own: the largest amount."""

    def __init__(self) -> None:
        self.found = -math.inf

    def update(self, batch: pa.RecordBatch) -> None:
        self.merge(pc.max(batch.column("amount")).as_py())

    def state(self) -> float | None:
        return None if math.isinf(self.found) else self.found

    def merge(self, state: float | None) -> None:
        self.found = self.found if state is None else max(self.found, state)

    def result(self) -> float:
        return self.found


def broken(_: Any) -> float:
    """Raises with a value of a row in its message."""
    raise ValueError(SECRET)


def not_a_number(_: Any) -> float:
    return math.nan


def nothing(_: Any) -> None:
    return None


def a_text(_: Any) -> str:
    return "much"


def a_flag(_: Any) -> bool:
    return True


def endless(_: Any) -> float:
    return math.inf
