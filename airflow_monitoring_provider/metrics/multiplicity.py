"""p-values of a batch corrected for their number, so that an unchanged batch is flagged no more often than alpha says.

Anything that has a limit by default may flag a batch, so all of it shares one alpha. 64 % of it go to the columns'
primary drift values (all columns and segments one family), 16 % to data quality (one family): an adjusted p-value is
the family's Benjamini-Hochberg over its part. The fifth that is left is a margin: of a hundred columns the correction
looks at p-values of 1 / 2000 and less, where those that are computed may be too small by a tenth to a quarter, and
the promise is at most alpha, whatever the sizes. Values that describe with the same test as their column's primary
take over its adjusted p-value: they ask the same question, so they ask it once. Every other metric is a family of its
own: it decides where a definition gives it limits, and then at the definition's alpha.
"""

from __future__ import annotations

import collections
from collections.abc import Hashable, Sequence

from airflow_monitoring_provider.definitions.verdict import Adjustment
from airflow_monitoring_provider.metrics.significance import adjust
from airflow_monitoring_provider.metrics.values import MetricValue, ResultKind, changed

DRIFT_PART = 0.64
QUALITY_PART = 0.16

_PRIMARY, _QUALITY = "primary", "quality"


def adjusted(values: Sequence[MetricValue], method: Adjustment = Adjustment.BH) -> list[MetricValue]:
    """The values, in their order, with ``adjusted_p_value`` where they have a value and a p-value."""
    tested = [place for place, v in enumerate(values) if v.p_value is not None and v.value is not None]
    primaries = {(values[place].column, values[place].segment): place for place in tested if values[place].primary}
    families: dict[Hashable, list[int]] = collections.defaultdict(list)
    followers: dict[int, int] = {}
    for place in tested:
        value = values[place]
        leader = primaries.get((value.column, value.segment))
        if leader is not None and leader != place and _same_test(value, values[leader]):
            followers[place] = leader
        else:
            families[_family(value)].append(place)
    result = list(values)
    for family, places in families.items():
        part = _part(family, method)
        for place, p_value in zip(places, adjust([values[i].p_value for i in places], method), strict=True):
            if p_value is not None:
                result[place] = changed(values[place], adjusted_p_value=min(p_value / part, 1.0))
    for place, leader in followers.items():
        result[place] = changed(values[place], adjusted_p_value=result[leader].adjusted_p_value)
    return result


def _same_test(value: MetricValue, leader: MetricValue) -> bool:
    return value.p_value == leader.p_value and value.details.get("test") == leader.details.get("test")


def _family(value: MetricValue) -> str:
    if value.primary:
        return _PRIMARY
    return _QUALITY if value.kind is ResultKind.DATA_QUALITY else f"metric {value.name}"


def _part(family: Hashable, method: Adjustment) -> float:
    if method is Adjustment.NONE:
        return 1.0
    return {_PRIMARY: DRIFT_PART, _QUALITY: QUALITY_PART}.get(str(family), 1.0)
