"""How well scores rank the rows of each query: moments over queries of what the ranking of each is worth.

Rows of a query may come anywhere, so the labelled ones wait (24 bytes each, at most :data:`MOST_ROWS`) until all are
there. What is kept of them are moments, which add up over sets of rows that share no query: a query whose rows lie in
two sets counts once in each.

Rows with equal scores have no order: what is counted is the mean over all orders they could have (McSherry and Najork
2008), which ``sklearn.metrics.ndcg_score`` does for nDCG.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from airflow_monitoring_provider.profiles.arrays import BoolArray
from airflow_monitoring_provider.profiles.hashing import UInt64Array
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.plan import RankingPlan

FloatArray = npt.NDArray[np.float64]
IntArray = npt.NDArray[np.int64]

MOST_ROWS = 1 << 22
"""Labelled rows of a pass whose queries are ranked: 100 MB."""
_SHARED = 1 << 18
"""Rows that are ranked at a time, unless one query has more: bounds the intermediate arrays, of 200 bytes a row."""


@dataclasses.dataclass(frozen=True)
class RankingProfile:
    """The queries of some rows.

    :param rows: rows that have a valid prediction, an actual and a query.
    :param without_query: those that lack only the query.
    :param queries: distinct queries of ``rows``. Two of a million share a key with probability 3e-8.
    :param negative: rows whose relevance is below 0.
    :param beyond: there were more than :data:`MOST_ROWS`, so that no query was ranked.
    :param scores: metric -> moments over the queries for which it is defined.
    """

    rows: int = 0
    without_query: int = 0
    queries: int = 0
    negative: int = 0
    beyond: bool = False
    scores: dict[str, Moments] = dataclasses.field(default_factory=dict)

    def merge(self, *others: RankingProfile) -> RankingProfile:
        """The queries of all sets of rows, which share none."""
        parts = (self, *others)
        beyond = any(part.beyond for part in parts)
        names = dict.fromkeys(name for part in parts for name in part.scores)
        scores = {name: [part.scores[name] for part in parts if name in part.scores] for name in names}
        return RankingProfile(
            rows=sum(part.rows for part in parts),
            without_query=sum(part.without_query for part in parts),
            queries=0 if beyond else sum(part.queries for part in parts),
            negative=sum(part.negative for part in parts),
            beyond=beyond,
            scores={} if beyond else {name: found[0].merge(*found[1:]) for name, found in scores.items()},
        )


class RankingBuilder:
    """Collects the rows of queries batch by batch.

    :param limit: most rows that are held.
    """

    def __init__(self, plan: RankingPlan, limit: int = MOST_ROWS) -> None:
        self._plan = plan
        self._limit = limit
        self._held: list[tuple[UInt64Array, FloatArray, FloatArray]] = []
        self._counts = RankingProfile()

    def update(self, queries: UInt64Array, named: BoolArray, scores: FloatArray, relevance: FloatArray) -> None:
        """Add rows; all arrays are of shape (rows,).

        :param queries: a key per query; of rows that are not ``named`` it means nothing.
        :param scores: finite.
        :param relevance: NaN is no actual.
        """
        labelled = np.isfinite(relevance)
        chosen = labelled & named
        kept = (queries[chosen], scores[chosen], relevance[chosen])
        now = RankingProfile(
            rows=kept[0].size,
            without_query=int(np.count_nonzero(labelled & ~named)),
            negative=int(np.count_nonzero(kept[2] < 0)),
        )
        merged = self._counts.merge(now)
        self._counts = dataclasses.replace(merged, beyond=merged.rows > self._limit)
        if self._counts.beyond:
            self._held = []
        elif now.rows:
            self._held.append(kept)

    def finish(self) -> RankingProfile:
        """The profile of everything so far, the same in whatever order the rows came."""
        if self._counts.beyond:
            return self._counts
        found = RankingProfile(scores=dict.fromkeys(self._plan.names, Moments()))
        for rows in self._parts():
            queries, scores = query_scores(*rows, self._plan)
            part = RankingProfile(queries=queries, scores={name: Moments.of(s) for name, s in scores.items()})
            found = found.merge(part)
        counts = self._counts
        return dataclasses.replace(
            found, rows=counts.rows, without_query=counts.without_query, negative=counts.negative
        )

    def _parts(self) -> Iterator[tuple[UInt64Array, FloatArray, FloatArray]]:
        """The rows in parts that share no query, by the first bits of its key."""
        bits = max(0, (self._counts.rows // _SHARED).bit_length())
        for part in range(1 << bits):
            flags = [
                (keys >> np.uint64(64 - bits)) == part if bits else np.ones(keys.size, np.bool_)
                for keys, _, _ in self._held
            ]
            columns = [
                np.concatenate([held[place][keep] for held, keep in zip(self._held, flags, strict=True)])
                for place in range(3)
                if self._held
            ]
            if columns and columns[0].size:
                yield columns[0], columns[1], columns[2]


def query_scores(
    queries: UInt64Array, scores: FloatArray, relevance: FloatArray, plan: RankingPlan
) -> tuple[int, dict[str, FloatArray]]:
    """How many queries there are, and each metric of those for which it is defined, by increasing key.

    With ranks from 1, relevance r and R relevant rows of a query: DCG = sum of ``r / log2(rank + 1)`` over the first k,
    over the largest it could be (undefined where no r is above 0); precision = relevant rows of the first k over k,
    recall over R; average precision = sum of the precision at each relevant row of the first k, over ``min(k, R)``;
    reciprocal rank = 1 / rank of the first relevant row (all undefined without a relevant row).
    """
    ranked = _Ranked.of(queries, scores, relevance, plan)
    found: dict[str, FloatArray] = {}
    some = ranked.relevant_rows > 0
    for k in plan.k:
        top = ranked.rank <= k
        gained = ranked.sums(np.where(top, ranked.gain * ranked.discount, 0.0))
        ideal = ranked.sums(np.where(top, ranked.ideal_gain * ranked.discount, 0.0))
        defined = ideal > 0
        hits = ranked.sums(np.where(top, ranked.share, 0.0))[some]
        precisions = ranked.sums(np.where(top, ranked.precision_if_relevant, 0.0))[some]
        found[f"ndcg_at_{k}"] = np.minimum(gained[defined] / ideal[defined], 1.0)
        found[f"map_at_{k}"] = np.minimum(precisions / np.minimum(k, ranked.relevant_rows[some]), 1.0)
        found[f"recall_at_{k}"] = np.minimum(hits / ranked.relevant_rows[some], 1.0)
        found[f"precision_at_{k}"] = np.minimum(hits / k, 1.0)
    found["mrr"] = np.minimum(ranked.sums(ranked.first_at / ranked.rank)[some], 1.0)
    return ranked.starts.size, found


@dataclasses.dataclass(frozen=True)
class _Ranked:
    """Rows by query, then by decreasing score; every array but the last two is of shape (rows,).

    :param gain: mean relevance of the rows with this score, over the query's largest; ``ideal_gain`` the relevances
        themselves in decreasing order.
    :param share: of the rows with this score that are relevant: the probability that the one at this rank is.
    :param precision_if_relevant: the mean over orders of: the precision at this rank where its row is relevant, else 0.
    :param first_at: probability that the first relevant row has this rank.
    :param starts: (queries,), where each begins; ``relevant_rows`` how many it has.
    """

    rank: IntArray
    discount: FloatArray
    gain: FloatArray
    ideal_gain: FloatArray
    share: FloatArray
    precision_if_relevant: FloatArray
    first_at: FloatArray
    starts: IntArray
    relevant_rows: IntArray

    @classmethod
    def of(cls, queries: UInt64Array, scores: FloatArray, relevance: FloatArray, plan: RankingPlan) -> _Ranked:
        order = np.lexsort((relevance, -scores, queries))  # by relevance, too: sums do not depend on how rows came
        q, s, r = queries[order], scores[order], relevance[order]
        opens = np.concatenate(([True], q[1:] != q[:-1]))
        ties = opens | np.concatenate(([True], s[1:] != s[:-1]))
        starts, tie_starts = np.flatnonzero(opens), np.flatnonzero(ties)
        query, tie = np.cumsum(opens) - 1, np.cumsum(ties) - 1
        rank = np.arange(q.size) - starts[query] + 1
        largest = np.maximum.reduceat(r, starts)
        scaled = np.clip(r, 0.0, None) / np.where(largest > 0, largest, 1.0)[query]
        size = np.diff(tie_starts, append=q.size)
        relevant = (r > 0 if plan.relevant_from is None else r >= plan.relevant_from).astype(np.int64)
        hits = np.add.reduceat(relevant, tie_starts)
        seen = np.cumsum(hits) - hits
        before = seen - seen[tie[starts]][query[tie_starts]]
        place = np.arange(q.size) - tie_starts[tie]
        more = place * ((hits - 1) / np.maximum(size - 1, 1))[tie]
        share = (hits / size)[tie]
        return cls(
            rank=rank,
            discount=1.0 / np.log2(rank + 1.0),
            gain=(np.add.reduceat(scaled, tie_starts) / size)[tie],
            ideal_gain=scaled[np.lexsort((-scaled, q))],
            share=share,
            precision_if_relevant=share * (before[tie] + 1 + more) / rank,
            first_at=_first_at(place, np.where(before == 0, hits, 0)[tie], size[tie]),
            starts=starts,
            relevant_rows=np.add.reduceat(relevant, starts),
        )

    def sums(self, values: FloatArray) -> FloatArray:
        """(queries,), the sums of (rows,)."""
        total: FloatArray = np.add.reduceat(values, self.starts)
        return total


def _first_at(place: IntArray, hits: IntArray, size: IntArray) -> FloatArray:
    """Probability that the first of ``hits`` relevant rows among ``size`` in random order is at ``place`` (from 0).

    ``hits / (size - place)``, times the chance that all places before hold others: a product over the places.
    """
    found = np.zeros(place.size)
    rows = np.flatnonzero(hits > 0)
    left, wanted, at = size[rows] - place[rows], hits[rows], place[rows]
    fails = np.log1p(-np.where(left > wanted, wanted / left, 0.0))
    passed = np.cumsum(fails) - fails  # of all places before, those of earlier scores included
    begins = passed[np.arange(rows.size) - at]
    found[rows] = np.where(left >= wanted, wanted / left * np.exp(passed - begins), 0.0)
    return found
