"""Baselines that are merges of stored profiles: no row is read, and what was merged is remembered as a version.

A merge is known by what is in it: the same profiles give the same key and version whenever they are merged, and a batch
that is deleted, restated or run again gives another one. The version names its members and no profile is kept twice.
"""

from __future__ import annotations

import dataclasses
import hashlib
import logging
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from airflow_monitoring_provider.definitions import (
    FixedRangeBaseline,
    JobDefinition,
    MergedBaseline,
    PreviousBatchBaseline,
    Window,
    WindowKind,
    job_id,
)
from airflow_monitoring_provider.exceptions import CorruptData, NotFound
from airflow_monitoring_provider.jobs.baseline_members import Members, members_of
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.metrics.reasons import Reason
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, from_bytes
from airflow_monitoring_provider.store.baseline_records import Candidate
from airflow_monitoring_provider.store.baseline_store import BaselineStore

log = logging.getLogger(__name__)

DAMAGED, GONE, CONTRADICTS = "damaged", "gone", "has other columns"
_AT_ONCE = 32
"""Profiles that are merged together: a merge of a thousand windows must not hold them all."""


class ProfileShelf:
    """Loads stored profiles; the newest loaded are kept, because neighbouring windows share most of their baselines."""

    def __init__(self, store: BaselineStore, most: int = _AT_ONCE) -> None:
        self._store, self._most = store, most
        self._held: dict[tuple[str, str], Profile] = {}

    def load(self, members: Sequence[Candidate]) -> tuple[dict[str, Profile], dict[str, str]]:
        """The profiles by id, and why others are not among them."""
        found = {
            each.id: self._held[place] for each in members if (place := (each.id, each.content_hash)) in self._held
        }
        stored = self._store.load_profiles([each.id for each in members if each.id not in found])
        absent: dict[str, str] = {}
        for each in members:
            if each.id in found:
                continue
            if each.id not in stored:
                absent[each.id] = GONE  # deleted since it was listed
                continue
            data, digest = stored[each.id].data, stored[each.id].content_hash
            try:
                profile = from_bytes(data, digest)
            except CorruptData as error:  # its rows are not ours to read again; running its job again heals it
                log.warning("Job %s is left out of a baseline until it runs again: %s", each.id, error)
                absent[each.id] = DAMAGED
                continue
            found[each.id] = self._held[(each.id, digest)] = profile
        for place in list(self._held)[: -self._most]:
            del self._held[place]
        return found, absent


@dataclasses.dataclass(frozen=True, slots=True)
class _Merge:
    profile: Profile | None
    used: tuple[Candidate, ...]
    left_out: dict[str, str]
    frozen: Profile | None


def merged_reference(
    definition: JobDefinition,
    own: Window,
    store: BaselineStore,
    *,
    candidates: Sequence[Candidate] | None = None,
    shelf: ProfileShelf | None = None,
    note: Callable[[str], None] = lambda text: None,
) -> Reference:
    """The baseline of a window by the stored profiles that there are now.

    :param candidates: what there is, where the caller has just asked.
    :param note: told what was left out, and why there is none.
    """
    baseline = definition.baseline
    if not isinstance(baseline, MergedBaseline):
        raise TypeError(f"{type(baseline).__name__} is no merge of windows")
    known = store.baseline_candidates(definition.id) if candidates is None else candidates
    shelf = shelf or ProfileShelf(store)
    members = members_of(
        baseline, own, known, definition.timezone, own_batch=_own_batch(definition, baseline, own, store)
    )
    absent = _too_small(baseline, members.chosen)
    if absent is not None:
        note(_told(absent))
        return _without(absent, members, _newest_layout(known, shelf))
    merge = _merge(members.chosen, shelf)
    absent = _too_small(baseline, merge.used)
    if absent is not None or merge.profile is None:
        absent = absent or {"windows": 0, "minimum_windows": baseline.minimum_windows}
        note(f"{_told(absent)}; left out: {merge.left_out}")
        return _without(absent, members, merge.frozen)
    if merge.left_out:
        note(f"the baseline lacks {len(merge.left_out)} windows: {merge.left_out}")
    key = members.key() if not merge.left_out else f"{members.key()}-{_digest(merge.left_out)}"
    version = _record(definition, baseline, store, key, merge.profile, merge, members)
    return Reference(profile=merge.profile, version=version, key=key, frozen=merge.frozen, moves=True)


def wanted_key(definition: JobDefinition, own: Window, batch_id: str, candidates: Sequence[Candidate]) -> str | None:
    """The key that :func:`merged_reference` would give, but for profiles that cannot be merged; None: there is none."""
    baseline = definition.baseline
    if not isinstance(baseline, MergedBaseline):
        raise TypeError(f"{type(baseline).__name__} is no merge of windows")
    members = members_of(baseline, own, candidates, definition.timezone, own_batch=batch_id)
    return None if _too_small(baseline, members.chosen) is not None else members.key()


def is_of(key: str | None, wanted: str | None) -> bool:
    """Whether a job that was compared with ``key`` was compared with what it should be."""
    return (key is None) == (wanted is None) and (key or "").split("-")[0] == (wanted or "")


def next_window(candidates: Iterable[Candidate]) -> Window | None:
    """Where the next window begins, as an interval without a length; None where there was none yet."""
    ends = [c.window.end for c in candidates if c.window is not None and c.window.kind is not WindowKind.AD_HOC]
    return Window.of(max(ends), max(ends)) if ends else None


def merge_members(store: BaselineStore, members: Iterable[tuple[str, int]]) -> Profile | None:
    """A merge that was recorded, of the profiles that its members have by now."""
    chosen = [Candidate(name, None, "", revision, "", 0) for name, revision in members]
    return _merge(chosen, ProfileShelf(store)).profile


def _own_batch(definition: JobDefinition, baseline: MergedBaseline, own: Window, store: BaselineStore) -> str | None:
    if not isinstance(baseline, PreviousBatchBaseline):
        return None
    try:
        return store.job(job_id(definition.id, own)).batch_id
    except NotFound:
        return None


def _without(absent: dict[str, int], members: Members, layout: Profile | None) -> Reference:
    reason = Reason.BASELINE_TOO_SMALL if members.chosen else Reason.BASELINE_MISSING
    if members.drifted:
        absent = {**absent, "drifted_windows_left_out": len(members.drifted)}
    return Reference(frozen=layout, moves=True, reason=reason, details=absent)


def _too_small(baseline: MergedBaseline, members: Sequence[Candidate]) -> dict[str, int] | None:
    """What there is and what is asked for, where that is more."""
    found = {"windows": len(members), "rows": sum(each.rows for each in members)}
    if found["windows"] < baseline.minimum_windows:
        return {"windows": found["windows"], "minimum_windows": baseline.minimum_windows}
    if found["rows"] < max(baseline.minimum_rows, 1):
        return {"rows": found["rows"], "minimum_rows": max(baseline.minimum_rows, 1)}
    return None


def _told(absent: dict[str, int]) -> str:
    return "no baseline: " + ", ".join(f"{name.replace('_', ' ')} {count}" for name, count in absent.items())


def _newest_layout(candidates: Sequence[Candidate], shelf: ProfileShelf) -> Profile | None:
    """The columns, kinds and segments of the definition's newest profile: windows without a baseline keep to them, so
    that they can be merged with each other. Nothing else of it, or equal rows would not always make equal profiles.
    """
    for each in reversed([each for each in candidates if each.window is not None]):
        found, _ = shelf.load([each])
        if found:
            plan = found[each.id].plan
            bare = tuple(dataclasses.replace(column, edges=(), named_levels=()) for column in plan.columns)
            return Profile(dataclasses.replace(plan, columns=bare))
    return None


def _merge(chosen: Sequence[Candidate], shelf: ProfileShelf) -> _Merge:
    """Merge from the newest back; what contradicts those after it is left out."""
    whole: Profile | None = None
    newest: Profile | None = None
    used: list[Candidate] = []
    left_out: dict[str, str] = {}
    for end in range(len(chosen), 0, -_AT_ONCE):
        part = chosen[max(0, end - _AT_ONCE) : end]
        found, absent = shelf.load(part)
        left_out |= absent
        there = [each for each in reversed(part) if each.id in found]
        if newest is None and there:
            newest = found[there[0].id]
        try:
            profiles = [found[each.id] for each in there]
            whole = _together(profiles if whole is None else [whole, *profiles])
            used += there
        except ValueError:
            for each in there:
                try:
                    whole = _together([found[each.id]] if whole is None else [whole, found[each.id]])
                    used.append(each)
                except ValueError as error:
                    log.warning("Job %s is left out of a baseline: %s", each.id, error)
                    left_out[each.id] = CONTRADICTS
    frozen = whole
    if whole is not None and newest is not None and whole.plan.segments != newest.plan.segments:
        frozen = dataclasses.replace(whole, plan=dataclasses.replace(whole.plan, segments=newest.plan.segments))
    return _Merge(whole, tuple(reversed(used)), left_out, frozen)


def _together(profiles: Sequence[Profile]) -> Profile | None:
    """The profile of all, without segments where these were cut in several ways.

    :raises ValueError: the plans contradict each other in more than segments.
    """
    if not profiles:
        return None
    if len({profile.plan.segments for profile in profiles}) > 1:
        profiles = [without_segments(profile) for profile in profiles]
    return profiles[0].merge(*profiles[1:])


def without_segments(profile: Profile) -> Profile:
    """The profile of the same rows as one group."""
    return dataclasses.replace(profile, segments={}, plan=dataclasses.replace(profile.plan, segments=()))


def _record(
    definition: JobDefinition,
    baseline: MergedBaseline,
    store: BaselineStore,
    key: str,
    profile: Profile,
    merge: _Merge,
    members: Members,
) -> int:
    windows = [each.window for each in merge.used if each.window is not None]
    span = (min(w.start for w in windows), max(w.end for w in windows)) if windows else (None, None)
    if isinstance(baseline, FixedRangeBaseline):
        span = (baseline.start, baseline.end)
    details: dict[str, Any] = {"members": [[each.id, each.revision] for each in merge.used]}
    left_out = merge.left_out | {each.id: "drifted" for each in members.drifted}
    if left_out:
        details["left_out"] = left_out
    return store.record_baseline(
        definition.id,
        key,
        kind=str(baseline.model_dump(include={"type"})["type"]),
        content_hash=profile.content_hash(),
        plan_hash=profile.plan.digest(),
        plan=profile.plan.to_dict(),
        format_version=FORMAT_VERSION,
        rows=profile.rows,
        window=span,
        details=details,
    )


def _digest(left_out: dict[str, str]) -> str:
    return hashlib.sha256("\0".join(sorted(left_out)).encode()).hexdigest()[:16]
