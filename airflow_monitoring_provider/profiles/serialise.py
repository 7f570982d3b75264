"""The stored form of a profile: stable bytes under a checksum, read back to an equal profile or refused.

Layout, integers little-endian: ``AMPF``, format version (u16), SHA-256 of all that follows, length of the document
(u64), then the document, deflated. The document is two sections, each JSON (u32 length, keys sorted) and packed numbers
(u32 length). The first section holds what merges exactly: its SHA-256 is the profile's content hash, whatever
compresses the file. The second holds moments and sums, which merge to 1e-9 only. Nothing in it is executed on reading.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import struct
import zlib
from typing import Any

import numpy as np

from airflow_monitoring_provider.definitions.terms import ColumnKind
from airflow_monitoring_provider.exceptions import CorruptData
from airflow_monitoring_provider.profiles.classification import ClassificationProfile
from airflow_monitoring_provider.profiles.column import ColumnProfile
from airflow_monitoring_provider.profiles.histogram import Histogram
from airflow_monitoring_provider.profiles.levels import LevelCounts
from airflow_monitoring_provider.profiles.moments import Moments
from airflow_monitoring_provider.profiles.plan import ColumnRole, ProfilePlan
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.regression import ErrorSums, IntervalCounts, RegressionProfile
from airflow_monitoring_provider.profiles.stored_rows import (
    read_embeddings,
    read_ranking,
    read_series,
    read_whole_rows,
    write_embeddings,
    write_ranking,
    write_rounded_embeddings,
    write_series,
    write_whole_rows,
)
from airflow_monitoring_provider.profiles.varints import Packer, Unpacker

MAGIC = b"AMPF"
FORMAT_VERSION = 1
LARGEST_DOCUMENT = 1 << 31

_HEAD = struct.Struct("<4sH32sQ")
_LENGTH = struct.Struct("<I")
_EXACT_COLUMN = (
    "rows",
    "missing",
    "invalid",
    "positive_inf",
    "negative_inf",
    "zero",
    "negative",
    "minimum",
    "maximum",
    "earliest",
    "latest",
)
_EXACT_CLASSIFICATION = ("positive_class", "threshold", "scored", "labelled", "invalid_actual", "renormalised")
_CLASSIFICATION_ARRAYS = ("predicted", "calibration_counts", "calibration_positives", "top_k_hits")
_EXACT_REGRESSION = ("scored", "labelled", "invalid_actual", "max_error", "zero_actuals", "log_undefined")
_REGRESSION_MOMENTS = ("errors", "absolute_errors", "predicted", "actual", "percentage_errors")
_EXACT_INTERVALS = ("rows", "below", "above", "missing", "crossed")
_REGRESSION_SUMS = ("squared_error_sum", "smape_sum", "squared_log_error_sum", "absolute_actual_sum")


def to_bytes(profile: Profile) -> bytes:
    """The profile in its stored form; equal profiles give equal bytes (with one zlib)."""
    document = _section(*_write_exact(profile)) + _section(_write_rounded(profile), b"")
    body = struct.pack("<Q", len(document)) + zlib.compress(document, 6)
    return MAGIC + struct.pack("<H", FORMAT_VERSION) + hashlib.sha256(body).digest() + body


def from_bytes(data: bytes, expected_hash: str | None = None) -> Profile:
    """Read what :func:`to_bytes` wrote.

    :param expected_hash: the content hash that was noted elsewhere: another profile is refused, however whole.
    :raises CorruptData: the data is no profile, was cut off or changed, or was written by a newer version.
    """
    document = _checked_document(data)
    try:
        exact, packed, rest = _read_section(document)
        found = hashlib.sha256(document[: len(document) - len(rest)]).hexdigest()
        if expected_hash not in {None, found}:
            raise CorruptData("The stored profile is whole, but it is another one than was committed here.")
        rounded, _, _ = _read_section(rest)
        return _read_profile(exact, packed, rounded)
    except (KeyError, TypeError, ValueError, IndexError, struct.error) as error:
        raise CorruptData("The stored profile has a valid checksum but no readable content.") from error


def content_hash(profile: Profile) -> str:
    """SHA-256, as hex, of the section that merges exactly."""
    return hashlib.sha256(_section(*_write_exact(profile))).hexdigest()


def _checked_document(data: bytes) -> bytes:
    if len(data) < _HEAD.size or data[:4] != MAGIC:
        raise CorruptData("The stored bytes are not a profile, or their beginning is cut off.")
    _, version, checksum, length = _HEAD.unpack_from(data)
    if version > FORMAT_VERSION:
        raise CorruptData(
            f"The stored profile has format version {version}; this code reads up to {FORMAT_VERSION}. "
            "Upgrade airflow-monitoring-provider."
        )
    if version < 1:
        raise CorruptData(f"The stored profile has the unknown format version {version}.")
    body = data[_HEAD.size - 8 :]
    if hashlib.sha256(body).digest() != checksum:
        raise CorruptData("The stored profile does not match its checksum: it was cut off or changed.")
    if length > LARGEST_DOCUMENT:
        raise CorruptData(f"The stored profile claims {length} bytes, more than any profile has.")
    unpacker = zlib.decompressobj()
    try:
        document = unpacker.decompress(body[8:], length + 1)
    except zlib.error as error:
        raise CorruptData("The stored profile has a valid checksum but cannot be decompressed.") from error
    if len(document) != length:
        raise CorruptData("The stored profile does not have the length it states.")
    return document


def _section(content: Any, packed: bytes) -> bytes:
    text = json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()
    return _LENGTH.pack(len(text)) + text + _LENGTH.pack(len(packed)) + packed


def _read_section(data: bytes) -> tuple[Any, bytes, bytes]:
    (size,) = _LENGTH.unpack_from(data)
    content, rest = data[4 : 4 + size], data[4 + size :]
    (packed_size,) = _LENGTH.unpack_from(rest)
    packed, rest = rest[4 : 4 + packed_size], rest[4 + packed_size :]
    if len(content) != size or len(packed) != packed_size:
        raise ValueError("a section is cut off")
    return json.loads(content), packed, rest


# What merges exactly.


def _write_exact(profile: Profile) -> tuple[Any, bytes]:
    packer = Packer()
    content = {"plan": profile.plan.to_dict(), **_write_rows(profile, packer)}
    if profile.segments:
        content["segments"] = [[name, _write_rows(rows, packer)] for name, rows in sorted(profile.segments.items())]
    return content, bytes(packer.data)


def _write_rows(profile: Profile, packer: Packer) -> dict[str, Any]:
    content = {
        "rows": profile.rows,
        "status_counts": profile.status_counts,
        "earliest": profile.earliest,
        "latest": profile.latest,
        "columns": [_write_column(profile.columns[name], packer) for name in sorted(profile.columns)],
        "target": _write_target(profile.target, packer),
    }
    if profile.label_lag is not None:
        content["label_lag"] = _write_histogram(profile.label_lag, packer)
    if profile.whole_rows is not None:
        content["whole_rows"] = write_whole_rows(profile.whole_rows, packer)
    if profile.ranking is not None:
        content["ranking"] = write_ranking(profile.ranking)
    if profile.series is not None:
        content["series"] = write_series(profile.series, packer)
    if profile.embeddings:
        content["embeddings"] = write_embeddings(profile.embeddings)
    return content


def _write_column(column: ColumnProfile, packer: Packer) -> dict[str, Any]:
    return {
        "name": column.name,
        "kind": column.kind.value,
        "role": column.role.value,
        **{field: getattr(column, field) for field in _EXACT_COLUMN},
        "edge_counts": [[edge, column.edge_counts[edge]] for edge in sorted(column.edge_counts)],
        "histogram": _write_histogram(column.histogram, packer),
        "length_histogram": _write_histogram(column.length_histogram, packer),
        "levels": None if column.levels is None else _write_levels(column.levels, packer),
    }


def _write_histogram(histogram: Histogram | None, packer: Packer) -> Any:
    if histogram is None:
        return None
    return {
        "shift": histogram.shift,
        "buckets": histogram.buckets,
        "mirrored": histogram.mirrored,
        "codes": packer.increasing(histogram.codes),
        "counts": packer.counts(histogram.counts),
    }


def _write_levels(levels: LevelCounts, packer: Packer) -> Any:
    texts = sorted(levels.counts)
    prefixes = sorted(levels.hashed)
    return {
        "texts": texts,
        "counts": packer.counts([levels.counts[text] for text in texts]),
        "prefixes": packer.gaps(prefixes),
        "prefix_counts": packer.counts([levels.hashed[prefix] for prefix in prefixes]),
        "shift": levels.shift,
        "cap": levels.cap,
        "named": sorted(levels.named),
        "names": levels.names,
        "sketch": packer.gaps(levels.sketch),
    }


def _write_target(target: ClassificationProfile | RegressionProfile | None, packer: Packer) -> Any:
    if target is None:
        return None
    if isinstance(target, RegressionProfile):
        content = {
            "type": "regression",
            **{field: getattr(target, field) for field in _EXACT_REGRESSION},
            "absolute_error_histogram": _write_histogram(target.absolute_error_histogram, packer),
        }
        if target.intervals is not None:
            content["intervals"] = {field: getattr(target.intervals, field) for field in _EXACT_INTERVALS}
        return content
    return {
        "type": "classification",
        "classes": list(target.classes),
        **{field: getattr(target, field) for field in _EXACT_CLASSIFICATION},
        **{field: packer.counts(getattr(target, field)) for field in _CLASSIFICATION_ARRAYS},
        "confusion": packer.counts(target.confusion.ravel()),
        "curves": [
            [name, _write_histogram(when, packer), _write_histogram(target.scores_otherwise[name], packer)]
            for name, when in target.scores_when.items()
        ],
    }


# What merges to 1e-9.


def _write_rounded(profile: Profile) -> Any:
    content = _write_rounded_rows(profile)
    if profile.segments:
        content["segments"] = {name: _write_rounded_rows(rows) for name, rows in profile.segments.items()}
    return content


def _write_rounded_rows(profile: Profile) -> dict[str, Any]:
    content: dict[str, Any] = {
        "columns": {
            name: {"moments": _write_moments(column.moments), "lengths": _write_moments(column.lengths)}
            for name, column in profile.columns.items()
        },
        "target": _write_rounded_target(profile.target),
    }
    if profile.ranking is not None:
        content["ranking"] = {name: _write_moments(moments) for name, moments in profile.ranking.scores.items()}
    if profile.series is not None:
        content["series"] = _write_moments(profile.series.errors)
    if profile.embeddings:
        content["embeddings"] = write_rounded_embeddings(profile.embeddings)
    return content


def _write_rounded_target(target: ClassificationProfile | RegressionProfile | None) -> Any:
    if target is None:
        return None
    if isinstance(target, RegressionProfile):
        return {
            **{field: _write_moments(getattr(target, field)) for field in _REGRESSION_MOMENTS},
            **{field: getattr(target, field) for field in _REGRESSION_SUMS},
            "sums": None if target.sums is None else dataclasses.asdict(target.sums),
            **({} if target.intervals is None else {"widths": _write_moments(target.intervals.widths)}),
        }
    return {
        "log_loss_sum": target.log_loss_sum,
        "brier_sum": target.brier_sum,
        "calibration_scores": target.calibration_scores.tolist(),
    }


def _write_moments(moments: Moments | None) -> Any:
    return None if moments is None else list(dataclasses.astuple(moments))


# Reading.


def _read_profile(exact: Any, packed: bytes, rounded: Any) -> Profile:
    unpacker, plan = Unpacker(packed), ProfilePlan.from_dict(exact["plan"])
    whole = _read_rows(exact, rounded, plan, unpacker)
    if "segments" not in exact:
        return whole
    plain = plan.of_segment()
    segments = {name: _read_rows(raw, rounded["segments"][name], plain, unpacker) for name, raw in exact["segments"]}
    return dataclasses.replace(whole, segments=segments)


def _read_rows(exact: Any, rounded: Any, plan: ProfilePlan, unpacker: Unpacker) -> Profile:
    columns = [_read_column(raw, rounded["columns"][raw["name"]], unpacker) for raw in exact["columns"]]
    return Profile(
        plan=plan,
        rows=exact["rows"],
        status_counts=exact["status_counts"],
        columns={column.name: column for column in columns},
        target=_read_target(exact["target"], rounded["target"], unpacker),
        label_lag=_read_histogram(exact.get("label_lag"), unpacker),
        whole_rows=read_whole_rows(exact.get("whole_rows"), unpacker),
        ranking=read_ranking(exact.get("ranking"), rounded.get("ranking", {})),
        series=read_series(exact.get("series"), rounded.get("series"), unpacker),
        embeddings=read_embeddings(exact.get("embeddings", {}), rounded.get("embeddings", {})),
        earliest=exact["earliest"],
        latest=exact["latest"],
    )


def _read_column(raw: Any, rounded: Any, unpacker: Unpacker) -> ColumnProfile:
    return ColumnProfile(
        name=raw["name"],
        kind=ColumnKind(raw["kind"]),
        role=ColumnRole(raw["role"]),
        **{field: raw[field] for field in _EXACT_COLUMN},
        edge_counts=dict(raw["edge_counts"]),
        histogram=_read_histogram(raw["histogram"], unpacker),
        length_histogram=_read_histogram(raw["length_histogram"], unpacker),
        levels=None if raw["levels"] is None else _read_levels(raw["levels"], unpacker),
        moments=_read_moments(rounded["moments"]),
        lengths=_read_moments(rounded["lengths"]),
    )


def _read_histogram(raw: Any, unpacker: Unpacker) -> Histogram | None:
    if raw is None:
        return None
    codes = unpacker.increasing(raw["codes"])
    return Histogram(raw["shift"], codes, unpacker.counts(raw["counts"]), raw["buckets"], raw["mirrored"])


def _read_levels(raw: Any, unpacker: Unpacker) -> LevelCounts:
    return LevelCounts(
        counts=dict(zip(raw["texts"], unpacker.counts(raw["counts"]).tolist(), strict=True)),
        hashed=dict(zip(unpacker.gaps(raw["prefixes"]), unpacker.counts(raw["prefix_counts"]).tolist(), strict=True)),
        shift=raw["shift"],
        cap=raw["cap"],
        named=frozenset(raw["named"]),
        names=raw["names"],
        sketch=tuple(unpacker.gaps(raw["sketch"])),
    )


def _read_target(raw: Any, rounded: Any, unpacker: Unpacker) -> ClassificationProfile | RegressionProfile | None:
    if raw is None:
        return None
    if raw["type"] == "regression":
        histogram = _read_histogram(raw["absolute_error_histogram"], unpacker)
        if histogram is None:
            raise ValueError("a regression without its errors")
        fields: dict[str, Any] = {field: raw[field] for field in _EXACT_REGRESSION}
        fields |= {field: rounded[field] for field in _REGRESSION_SUMS}
        fields |= {field: _read_moments(rounded[field]) for field in _REGRESSION_MOMENTS}
        sums = rounded.get("sums")  # profiles of the first versions have none
        fields["sums"] = None if sums is None else ErrorSums(**sums)
        if "intervals" in raw:
            fields["intervals"] = IntervalCounts(**raw["intervals"], widths=Moments(*rounded["widths"]))
        return RegressionProfile(**fields, absolute_error_histogram=histogram)
    k = len(raw["classes"])
    fields = {field: raw[field] for field in _EXACT_CLASSIFICATION}
    fields |= {field: unpacker.counts(raw[field]) for field in _CLASSIFICATION_ARRAYS}
    confusion = unpacker.counts(raw["confusion"]).reshape(k, k)
    curves = [
        (name, _read_histogram(when, unpacker), _read_histogram(otherwise, unpacker))
        for name, when, otherwise in raw["curves"]
    ]
    return ClassificationProfile(
        classes=tuple(raw["classes"]),
        **fields,
        confusion=confusion,
        scores_when={name: when for name, when, _ in curves if when is not None},
        scores_otherwise={name: otherwise for name, _, otherwise in curves if otherwise is not None},
        log_loss_sum=rounded["log_loss_sum"],
        brier_sum=rounded["brier_sum"],
        calibration_scores=np.array(rounded["calibration_scores"], np.float64),
    )


def _read_moments(raw: Any) -> Moments | None:
    return None if raw is None else Moments(*raw)
