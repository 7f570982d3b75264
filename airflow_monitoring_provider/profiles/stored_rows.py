"""The stored form of what a profile keeps of rows as such: their repetitions, rankings, series and vectors."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np

from airflow_monitoring_provider.profiles.embeddings import EmbeddingProfile
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.ranking import RankingProfile
from airflow_monitoring_provider.profiles.series import SeriesProfile
from airflow_monitoring_provider.profiles.varints import Packer, Unpacker
from airflow_monitoring_provider.profiles.whole_rows import WholeRows

_EXACT_RANKING = ("rows", "without_query", "queries", "negative", "beyond")
_EXACT_EMBEDDING = ("rows", "missing", "invalid", "other_length")
_ROUNDED_EMBEDDING = ("mean_high", "mean_low", "squares", "cubes")
_EXACT_SERIES = ("lag", "rows", "incomplete", "unordered", "beyond")


def write_ranking(ranking: RankingProfile) -> dict[str, Any]:
    """Counts of queries and their rows; the moments of their scores are written beside what merges to 1e-9."""
    return {field: getattr(ranking, field) for field in _EXACT_RANKING}


def write_whole_rows(found: WholeRows, packer: Packer) -> Any:
    """Counts and keys of rows that may repeat."""
    return {
        "rows": found.rows,
        "empty": found.empty,
        "keys": packer.gaps(found.keys.tolist()),
        "counts": packer.counts(found.counts),
        "limit": found.limit,
    }


def write_series(series: SeriesProfile, packer: Packer) -> Any:
    """The ends of each series; the moments of its errors are written beside what merges to 1e-9."""
    there = np.arange(series.lag) < series.counts[:, None]  # ends of series with fewer rows are not there
    return {
        **{field: getattr(series, field) for field in _EXACT_SERIES},
        "keys": packer.gaps(series.keys.tolist()),
        "counts": packer.counts(series.counts),
        "first": series.first.tolist(),
        "last": series.last.tolist(),
        "heads": series.heads[there].tolist() if series.keys.size else [],
        "tails": series.tails[there[:, ::-1]].tolist() if series.keys.size else [],
    }


def write_embeddings(embeddings: dict[str, EmbeddingProfile]) -> dict[str, Any]:
    """Counts of vectors; their means and spreads are written beside what merges to 1e-9."""
    return {name: {field: getattr(each, field) for field in _EXACT_EMBEDDING} for name, each in embeddings.items()}


def write_rounded_embeddings(embeddings: dict[str, EmbeddingProfile]) -> dict[str, Any]:
    """Means and spreads, dimension by dimension."""
    return {
        name: {field: getattr(each, field).tolist() for field in _ROUNDED_EMBEDDING}
        for name, each in embeddings.items()
    }


def read_embeddings(raw: dict[str, Any], rounded: dict[str, Any]) -> dict[str, EmbeddingProfile]:
    """What both wrote."""
    found = {}
    for name, counts in raw.items():
        arrays: dict[str, Any] = {field: np.array(rounded[name][field], np.float64) for field in _ROUNDED_EMBEDDING}
        found[name] = EmbeddingProfile(**counts, **arrays)
    return found


def read_whole_rows(raw: Any, unpacker: Unpacker) -> WholeRows | None:
    """What :func:`write_whole_rows` wrote, or None."""
    if raw is None:
        return None
    keys = np.array(unpacker.gaps(raw["keys"]), np.uint64)
    return WholeRows(raw["rows"], raw["empty"], keys, unpacker.counts(raw["counts"]), raw["limit"])


def read_series(raw: Any, errors: Any, unpacker: Unpacker) -> SeriesProfile | None:
    """What :func:`write_series` wrote, or None.

    :param errors: its moments.
    """
    if raw is None:
        return None
    found = SeriesProfile(**{field: raw[field] for field in _EXACT_SERIES}, errors=Moments(*errors))
    keys = np.array(unpacker.gaps(raw["keys"]), np.uint64)
    counts = unpacker.counts(raw["counts"])
    if not keys.size:
        return found
    ends = [np.full((keys.size, found.lag), np.nan) for _ in range(2)]
    there = np.arange(found.lag) < counts[:, None]
    ends[0][there], ends[1][there[:, ::-1]] = raw["heads"], raw["tails"]
    first, last = (np.array(raw[name], np.int64) for name in ("first", "last"))
    return dataclasses.replace(found, keys=keys, counts=counts, first=first, last=last, heads=ends[0], tails=ends[1])


def read_ranking(raw: Any, scores: Any) -> RankingProfile | None:
    """What :func:`write_ranking` wrote, or None.

    :param scores: metric -> moments.
    """
    return (
        None if raw is None else RankingProfile(**raw, scores={name: Moments(*each) for name, each in scores.items()})
    )
