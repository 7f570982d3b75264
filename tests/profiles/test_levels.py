"""Level counts past the cap: what stays exact, what is estimated, and what may not be kept at all."""

from __future__ import annotations

import hashlib

import numpy as np
import pytest

from airflow_monitoring_provider.profiles.arrays import from_texts
from airflow_monitoring_provider.profiles.hashing import hash_text, hash_texts
from airflow_monitoring_provider.profiles.levels import LevelCounts, LevelsBuilder, pseudonym


def test_levels_are_exact_up_to_the_cap() -> None:
    levels = LevelCounts.of(["b", "a", "b"], cap=2)
    assert {"a": 1, "b": 2} == levels.counts
    assert (2, True, False) == (levels.distinct, levels.distinct_exact, levels.truncated)
    assert ("b", "a") == levels.top(5)


def test_named_levels_keep_exact_counts_past_the_cap() -> None:
    rows = [f"rare{i}" for i in range(50)] + ["x"] * 7 + ["y"] * 2
    levels = LevelCounts.of(rows, cap=10, named=["x", "never"])
    assert levels.truncated
    assert {"x": 7} == levels.counts
    assert 52 == sum(levels.hashed.values())
    assert len(levels.hashed) <= 10
    assert 52 == levels.distinct
    assert levels.distinct_exact  # fewer levels than the sketch holds


def test_distinct_levels_past_the_sketch_are_estimated() -> None:
    builder = LevelsBuilder(cap=1000)
    for start in range(0, 200_000, 20_000):
        builder.update(from_texts([f"user-{i}" for i in range(start, start + 20_000)]), np.ones(20_000, np.int64))
    levels = builder.finish()
    assert not levels.distinct_exact
    assert levels.distinct == pytest.approx(200_000, rel=0.1)
    assert 200_000 == levels.total
    assert 500 <= len(levels.hashed) <= 1000


def test_aligned_levels_share_their_bins() -> None:
    baseline = LevelCounts.of({f"l{i}": i + 1 for i in range(40)}, cap=50)
    current = LevelCounts.of({f"l{i}": 2 for i in range(20, 120)}, cap=50, named=["l30", "l39", "gone"])
    left, right = baseline.align(current)
    assert {"l30": 31, "l39": 40} == left.counts
    assert {"l30": 2, "l39": 2} == right.counts
    assert left.shift == right.shift
    assert (baseline.total, current.total) == (left.total, right.total)
    mirrored = current.align(baseline)
    assert (right, left) == mirrored
    assert set(left.hashed) <= set(right.hashed) | {hash_text(f"l{i}") >> left.shift for i in range(20)}


def test_exact_levels_need_no_alignment() -> None:
    a, b = LevelCounts.of(["x"]), LevelCounts.of(["y"])
    assert (a, b) == a.align(b)


def test_hashed_names_are_pseudonyms() -> None:
    levels = LevelCounts.of(["secret", "secret", "other"], names="hash")
    assert {pseudonym(hash_text("secret")): 2, pseudonym(hash_text("other")): 1} == levels.counts
    assert "secret" not in repr(levels)


def test_dropped_names_leave_prefixes_only() -> None:
    levels = LevelCounts.of([f"level{i}" for i in range(300)] * 2, names="drop")
    assert {} == levels.counts
    assert () == levels.sketch
    assert all(prefix < 1 << 16 for prefix in levels.hashed)
    assert levels.distinct == pytest.approx(300, rel=0.05)
    assert not levels.distinct_exact


def test_policies_cannot_be_mixed() -> None:
    with pytest.raises(ValueError, match="cannot be merged"):
        LevelCounts.of(["a"]).merge(LevelCounts.of(["a"], names="hash"))
    with pytest.raises(ValueError, match="keep, hash, drop"):
        LevelCounts.of(["a"], names="forget")


def test_very_long_texts_go_by_their_beginning_and_hash() -> None:
    a, b = "x" * 5000, "x" * 4999 + "y"
    levels = LevelCounts.of([a, b, a])
    assert [2, 1] == sorted(levels.counts.values(), reverse=True)
    assert all(name.startswith("x" * 200 + "…#") and len(name) < 250 for name in levels.counts)


def test_texts_hash_alike_wherever_they_stand() -> None:
    texts = ["", "a", "ab" * 4, "é" * 5, "日本語のテキスト", "x" * 1025, "\x00", "\x00\x00", None, "a" * 16, "a" * 17]
    array = from_texts(texts)
    hashes = hash_texts(array).tolist()
    assert [hash_text(text or "") for text in texts] == hashes
    assert hashes[3:7] == hash_texts(array.slice(3, 4)).tolist()
    assert len(set(hashes)) == len(texts) - 1  # the null hashes like the empty text
    assert not set(hashes) & set(hash_texts(array, lane=1).tolist())


def test_hashes_are_the_documented_function() -> None:
    """Stored prefixes are compared with new ones, so the function may never change."""
    texts = ["", "a", "ab" * 4, "é" * 5, "level 17, quite long", "x" * 1024]
    assert [documented_hash(text.encode()) for text in texts] == [hash_text(text) for text in texts]
    expected = int.from_bytes(hashlib.blake2b(b"z" * 2000, digest_size=8, salt=b"\0").digest(), "little")
    assert expected == hash_text("z" * 2000)


def documented_hash(data: bytes) -> int:
    """Words of eight bytes, little-endian, mixed by SplitMix64's finaliser, one number at a time."""
    seed, mask = 0x9E3779B97F4A7C15, (1 << 64) - 1

    def mix(x: int) -> int:
        x = (x ^ (x >> 30)) * 0xBF58476D1CE4E5B9 & mask
        x = (x ^ (x >> 27)) * 0x94D049BB133111EB & mask
        return x ^ (x >> 31)

    state = mix(len(data) ^ seed)
    for start in range(0, len(data), 8):
        word = int.from_bytes(data[start : start + 8], "little")
        state = mix((state * 3 + (word ^ seed)) & mask)
    return state
