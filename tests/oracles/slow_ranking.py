"""Metrics of ranking by their definitions: the mean over every order that rows with equal scores could have."""

from __future__ import annotations

import itertools
import math
from collections.abc import Hashable, Iterable, Iterator

Row = tuple[Hashable, float, float]


def query_scores(
    rows: list[tuple[float, float]], k: int, relevant_from: float | None = None
) -> dict[str, float | None]:
    """Of the (score, relevance) rows of one query; None where a metric is undefined."""
    found: dict[str, list[float]] = {}
    relevant = sum(_is_relevant(r, relevant_from) for _, r in rows)
    ideal = _dcg(sorted((r for _, r in rows), reverse=True), k)
    for order in _orders(rows):
        hits = [_is_relevant(r, relevant_from) for r in order]
        top = hits[:k]
        if ideal > 0:
            found.setdefault("ndcg", []).append(_dcg(order, k) / ideal)
        if relevant:
            precisions = [sum(hits[: place + 1]) / (place + 1) for place, hit in enumerate(top) if hit]
            found.setdefault("map", []).append(sum(precisions) / min(k, relevant))
            found.setdefault("recall", []).append(sum(top) / relevant)
            found.setdefault("precision", []).append(sum(top) / k)
            found.setdefault("mrr", []).append(1 / (hits.index(True) + 1))
    means = {name: sum(values) / len(values) for name, values in found.items()}
    return {name: means.get(name) for name in ("ndcg", "map", "recall", "precision", "mrr")}


def mean_scores(rows: Iterable[Row], k: int, relevant_from: float | None = None) -> dict[str, tuple[int, float | None]]:
    """Of (query, score, relevance) rows: over how many queries each metric is the mean, and the mean."""
    queries: dict[Hashable, list[tuple[float, float]]] = {}
    for query, score, relevance in rows:
        queries.setdefault(query, []).append((score, relevance))
    each = [query_scores(of_query, k, relevant_from) for of_query in queries.values()]
    means: dict[str, tuple[int, float | None]] = {}
    for name in ("ndcg", "map", "recall", "precision", "mrr"):
        values = [value for scores in each if (value := scores[name]) is not None]
        means[name] = (len(values), sum(values) / len(values) if values else None)
    return means


def _is_relevant(relevance: float, relevant_from: float | None) -> bool:
    return relevance > 0 if relevant_from is None else relevance >= relevant_from


def _dcg(relevances: list[float], k: int) -> float:
    return sum(r / math.log2(place + 2) for place, r in enumerate(relevances[:k]))


def _orders(rows: list[tuple[float, float]]) -> Iterator[list[float]]:
    """The relevances in every order by decreasing score."""
    ordered = sorted(rows, key=lambda row: -row[0])
    ties = [[r for _, r in tie] for _, tie in itertools.groupby(ordered, key=lambda row: row[0])]
    for chosen in itertools.product(*(itertools.permutations(tie) for tie in ties)):
        yield [r for tie in chosen for r in tie]
