"""Logged predictions and the actuals that label them: a profile's accuracy, made anew from the log.

What does not depend on actuals (rows, columns, scored and predicted counts) stays as the job's own pass over its rows
left it. Memory is that of one record batch and the profile.
"""

from __future__ import annotations

import dataclasses

import numpy as np
import pyarrow as pa

from airflow_monitoring_provider.engines.actuals import (
    UNTIMED,
    FloatArray,
    IntArray,
    KnownActuals,
    classes_of,
    moments,
    numbers_of,
)
from airflow_monitoring_provider.engines.row_keys import row_keys
from airflow_monitoring_provider.profiles.arrays import BoolArray, fixed_width, from_values, truth_values, valid_flags
from airflow_monitoring_provider.profiles.classification import UNKNOWN_ACTUAL, ClassificationBuilder
from airflow_monitoring_provider.profiles.hashing import UInt64Array
from airflow_monitoring_provider.profiles.histogram import HistogramBuilder
from airflow_monitoring_provider.profiles.plan import ProfilePlan, TargetPlan
from airflow_monitoring_provider.profiles.profile import ClassificationProfile, Profile, RegressionProfile
from airflow_monitoring_provider.profiles.regression import RegressionBuilder

SEGMENT = "segment:"


class LabelJoin:
    """Labels the logged predictions of one job.

    :param profile: the job's, whose target says how predictions and actuals are read.
    :param until: end of the job's window, microseconds since 1970 UTC: when its rows' own actuals were brought.
    """

    def __init__(self, profile: Profile, until: int) -> None:
        self._profile = profile
        self._until = until
        self._plan = _target_of(profile.plan)
        self._whole = _Labels(self._plan, profile.plan)
        self._segments: dict[str, _Labels] = {}
        self._lags = HistogramBuilder(profile.plan.histogram_buckets)
        self._late = self._logs_segments = False
        self.sources: set[int] = set()

    def update(self, batch: pa.RecordBatch, known: KnownActuals, part: int, bits: int) -> None:
        """Label those rows of a logged batch whose actuals are in one part.

        :param part: the first ``bits`` bits of the ids' first lane; rows without an id are in part 0.
        """
        self._logs_segments |= any(name.startswith(SEGMENT) for name in batch.schema.names)
        ids = batch.column("association_id")
        first, second, there = row_keys([ids])
        mine = _part_of(first, bits) == part
        mine = np.where(there, mine, part == 0)
        found = np.full(len(batch), -1, np.int64)
        rows = np.flatnonzero(mine & there)
        found[rows] = known.find(first[rows], second[rows])
        own = self._own_wins(batch, known, found) if "actual" in batch.schema.names else None
        labelled = mine & (found >= 0) if own is None else mine & ((found >= 0) | own)
        chosen = np.flatnonzero(labelled)
        if not chosen.size:
            return
        late = chosen if own is None else chosen[~own[chosen]]
        self._note_late(batch, known, late, found[late])
        if own is not None and self._profile.plan.actual_time_column is not None:
            rows = chosen[own[chosen]]
            self._add_lags(moments(batch.column("timestamp"))[rows], moments(batch.column("actual_timestamp"))[rows])
        rows_chosen = batch.take(from_values(chosen, pa.int64()))
        actual, invalid = self._actuals(rows_chosen, known, found[chosen], None if own is None else own[chosen])
        scores = self._scores(rows_chosen)
        self._whole.update(scores, actual, invalid)
        for place, segment in self._segment_rows(rows_chosen):
            self._segments.setdefault(segment, _Labels(self._plan, self._profile.plan)).update(
                scores[place], actual[place], invalid[place]
            )

    @property
    def profile(self) -> Profile:
        """The profile as it was."""
        return self._profile

    def finish(self) -> Profile:
        """The profile with the accuracy of everything so far."""
        timed = self._late or self._profile.plan.actual_time_column is not None
        lags = self._lags.finish() if timed else None
        profile = dataclasses.replace(
            self._profile, target=self._whole.finish(self._profile), label_lag=lags, ranking=None, series=None
        )
        names = {segment.name for segment in profile.plan.segments}
        if not names or not self._logs_segments:
            return profile
        segments = {
            name: dataclasses.replace(
                rows, target=self._segments.get(name, _Labels(self._plan, profile.plan)).finish(rows), ranking=None
            )
            for name, rows in profile.segments.items()
        }
        return dataclasses.replace(profile, segments=segments)

    def _own_wins(self, batch: pa.RecordBatch, known: KnownActuals, found: IntArray) -> BoolArray:
        """(rows,), True where the actual of the row itself counts, because it comes last or is the only one."""
        texts = batch.column("actual")
        there = valid_flags(texts)
        both = np.flatnonzero(there & (found >= 0))
        if not both.size:
            return there
        winners, places = known.winners, found[both]
        mine, theirs = moments(batch.column("actual_timestamp"))[both], winners.moment[places]
        until = winners.until[places]
        last = (mine > theirs) | ((mine == theirs) & (self._until > until))
        for row in np.flatnonzero((mine == theirs) & (self._until == until)).tolist():  # rare
            pair = (texts[int(both[row])].as_py(), bool(batch.column("actual_is_text")[int(both[row])].as_py()))
            other = (winners.texts[int(places[row])].as_py(), bool(winners.textual[places[row]]))
            last[row] = (pair[0].encode(), pair[1]) > (other[0].encode(), other[1])
        own = there.copy()
        own[both] = last
        return own

    def _note_late(self, batch: pa.RecordBatch, known: KnownActuals, rows: IntArray, places: IntArray) -> None:
        if not rows.size:
            return
        self._late = True
        self.sources.update(np.unique(known.winners.source[places]).tolist())
        self._add_lags(moments(batch.column("timestamp"))[rows], known.winners.moment[places])

    def _add_lags(self, predicted: IntArray, learnt: IntArray) -> None:
        timed = (predicted != UNTIMED) & (learnt != UNTIMED)
        self._lags.update((learnt[timed] - predicted[timed]) / 1e6)

    def _actuals(
        self, rows: pa.RecordBatch, known: KnownActuals, found: IntArray, own: BoolArray | None
    ) -> tuple[FloatArray | IntArray, BoolArray]:
        """What each row's actual is, class or number, and where it is none."""
        actual: FloatArray | IntArray
        mine: FloatArray | IntArray
        regression = not self._plan.classes
        places = np.maximum(found, 0)
        if regression:
            numbers, invalid = known.numbers() if len(known.winners) else (np.zeros(1), np.zeros(1, np.bool_))
            actual, wrong = numbers[places], invalid[places]
        else:
            classes = known.classes(self._plan) if len(known.winners) else np.zeros(1, np.int64)
            actual = classes[places]
            wrong = actual == UNKNOWN_ACTUAL
        if own is not None and own.any():
            texts, textual = rows.column("actual"), truth_values(rows.column("actual_is_text"))
            if regression:
                mine, bad = numbers_of(texts, textual)
            else:
                mine = classes_of(texts, textual, self._plan)
                bad = mine == UNKNOWN_ACTUAL
            actual, wrong = np.where(own, mine, actual), np.where(own, bad, wrong)
        return actual, wrong

    def _scores(self, rows: pa.RecordBatch) -> FloatArray:
        if not self._plan.classes:
            prediction = fixed_width(rows.column("prediction"), np.float64)
            if self._plan.interval_columns is None:
                return prediction
            there = "lower" in rows.schema.names  # logs of before the definition named intervals hold none
            none = np.full(len(rows), np.nan)
            ends = [fixed_width(rows.column(name), np.float64) if there else none for name in ("lower", "upper")]
            return np.stack([prediction, *ends], axis=1)
        names = [name for name in rows.schema.names if name.startswith("probability:")]
        columns = [fixed_width(rows.column(name), np.float64) for name in names]
        return columns[0] if len(columns) == 1 else np.stack(columns, axis=1)

    def _segment_rows(self, rows: pa.RecordBatch) -> list[tuple[IntArray, str]]:
        """The rows of each segment."""
        found = []
        for name in (name for name in rows.schema.names if name.startswith(SEGMENT)):
            encoded = rows.column(name).dictionary_encode()
            codes = np.where(valid_flags(encoded.indices), fixed_width(encoded.indices, np.int32), -1)
            found += [(np.flatnonzero(codes == code), text) for code, text in enumerate(encoded.dictionary.to_pylist())]
        return found


class _Labels:
    """The accuracy of some labelled rows."""

    def __init__(self, target: TargetPlan, plan: ProfilePlan) -> None:
        self._classes: ClassificationBuilder | None = None
        self._numbers: RegressionBuilder | None = None
        if target.classes:
            self._classes = ClassificationBuilder(
                target.classes,
                positive_class=target.positive_class,
                threshold=target.threshold,
                buckets=plan.histogram_buckets,
            )
        else:
            self._numbers = RegressionBuilder(plan.histogram_buckets, intervals=target.interval_columns is not None)

    def update(self, scores: FloatArray, actual: FloatArray | IntArray, invalid: BoolArray) -> None:
        """Add rows."""
        if self._numbers is not None:
            numbers, ends = (scores, None) if scores.ndim == 1 else (scores[:, 0], (scores[:, 1], scores[:, 2]))
            wrong = int(np.count_nonzero(invalid))
            self._numbers.update(numbers, actual.astype(np.float64, copy=False), wrong, ends)
        elif self._classes is not None:
            self._classes.update(scores, actual.astype(np.int64, copy=False))

    def finish(self, profile: Profile) -> ClassificationProfile | RegressionProfile | None:
        """The accuracy, of as many scored rows as the profile has."""
        before = profile.target
        if self._numbers is not None and isinstance(before, RegressionProfile):
            return dataclasses.replace(self._numbers.finish(), scored=before.scored)
        if self._classes is not None and isinstance(before, ClassificationProfile):
            made = self._classes.finish()
            return dataclasses.replace(made, scored=before.scored, predicted=before.predicted)
        return before


def _part_of(first: UInt64Array, bits: int) -> UInt64Array:
    return first >> np.uint64(64 - bits) if bits else np.zeros_like(first)


def _target_of(plan: ProfilePlan) -> TargetPlan:
    if plan.target is None:
        raise ValueError("a profile without a target has nothing to label")
    return plan.target
