"""Which baseline a job is compared with, and how a reference data set is profiled once and kept.

A baseline that a person chose for the definition (``use``) counts before the definition's own. A reference baseline is
known by what it was made from (intake, range, columns, kinds, profile format): an edited definition makes a new
version, a retry finds the old one. The first-window baseline is no copy: it is the committed profile of the job over
the definition's first window. All others are merges (:mod:`.merged_baseline`).
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from airflow_monitoring_provider.definitions import (
    FirstWindowBaseline,
    FixedRangeBaseline,
    JobDefinition,
    MergedBaseline,
    NamedBaseline,
    ReferenceBaseline,
    UnservedIntake,
    Window,
    dump_definition,
    first_window,
    job_id,
    load_definition,
)
from airflow_monitoring_provider.engines.arrow import ProfileBuilder, usable_cores
from airflow_monitoring_provider.engines.kinds import read_columns
from airflow_monitoring_provider.engines.plans import reference_plan
from airflow_monitoring_provider.engines.screen import Screen
from airflow_monitoring_provider.engines.segment_plans import with_segments
from airflow_monitoring_provider.exceptions import CorruptData, DefinitionError, NotFound, Superseded
from airflow_monitoring_provider.intake.source import TimeFilter, open_stretches
from airflow_monitoring_provider.jobs.merged_baseline import ProfileShelf, merged_reference, next_window
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import Progress, told
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import FORMAT_VERSION, from_bytes, to_bytes
from airflow_monitoring_provider.store.baseline_records import Candidate
from airflow_monitoring_provider.store.baseline_store import BaselineStore
from airflow_monitoring_provider.store.records import Baseline

log = logging.getLogger(__name__)

_DECIDING_FIELDS = {
    "features",
    "column_types",
    "monitoring_columns",
    "monitoring_output_settings",
    "passthrough_columns",
    "timestamp_column",
    "timestamp_timezone",
    "target_type",
    "positive_class",
    "negative_class",
    "prediction_threshold",
    "level_names",
    "csv_settings",
    "ranking",
    "prediction_interval",
    "naive_forecast",
    "embeddings",
    "segments",
}
_YOUNGER_FIELDS = ("segments", "ranking", "prediction_interval", "naive_forecast", "negative_class", "embeddings")
"""Left out where they are empty, so that the keys of baselines that were made before them are kept."""


def find_reference(definition: JobDefinition, window: Window, ports: Ports, progress: Progress) -> Reference:
    """The baseline of a job, made now where it is rows that nobody has profiled yet.

    :raises SourceError: the reference data set is not what the definition says.
    :raises NotFound: the definition names a baseline that the store does not hold.
    """
    store = ports.store
    definition = with_baseline_in_use(definition, store)
    baseline = definition.baseline
    if isinstance(baseline, ReferenceBaseline):
        return _kept_reference(definition, baseline, ports, progress)
    if isinstance(baseline, FirstWindowBaseline):
        first = first_window(definition)
        if first.key() == window.key():
            return Reference(is_this_window=True)
        return stored_first_window(definition, store, progress.note)
    if isinstance(baseline, FixedRangeBaseline):
        kept = kept_range(definition, store)
        if kept is not None:
            return kept
        if _unseen(definition, baseline, window, store):
            return _kept_reference(definition, _as_rows(definition, baseline), ports, progress)
    if isinstance(baseline, MergedBaseline):
        return merged_reference(definition, window, store, note=progress.note)
    return Reference()


def stored_reference(
    definition: JobDefinition,
    store: BaselineStore,
    window: Window | None = None,
    *,
    candidates: Sequence[Candidate] | None = None,
    shelf: ProfileShelf | None = None,
) -> Reference:
    """The baseline that the store holds by now; no row is read.

    :param window: what is compared; None: the window that comes next.
    :param candidates, shelf: as for :func:`merged_reference`.
    """
    definition = with_baseline_in_use(definition, store)
    baseline = definition.baseline
    if isinstance(baseline, ReferenceBaseline):
        return _loaded(store.load_baseline(definition.id, baseline_key(definition, baseline))) or Reference()
    if isinstance(baseline, FirstWindowBaseline):
        return stored_first_window(definition, store)
    if isinstance(baseline, FixedRangeBaseline) and (kept := kept_range(definition, store)) is not None:
        return kept
    if not isinstance(baseline, MergedBaseline):
        return Reference()
    known = store.baseline_candidates(definition.id) if candidates is None else candidates
    own = window or next_window(known)
    return (
        Reference(moves=True)
        if own is None
        else merged_reference(definition, own, store, candidates=known, shelf=shelf)
    )


def with_baseline_in_use(definition: JobDefinition, store: BaselineStore) -> JobDefinition:
    """The definition with the baseline that its jobs are compared with: a named one that was chosen for it, else its
    own, which may name one.

    :raises NotFound: there is no baseline of that name.
    """
    choice, own = store.baseline_choice(definition.id), definition.baseline
    if choice is not None:
        name, version = choice.name, choice.version
    elif isinstance(own, NamedBaseline):
        name, version = own.name, own.version
    else:
        return definition
    return with_settings(definition, store.named_baseline(definition.id, name, version).settings)


def with_settings(definition: JobDefinition, settings: Mapping[str, Any]) -> JobDefinition:
    """The definition with another baseline, checked with it as a whole.

    :param settings: a ``baseline`` in either spelling.
    :raises DefinitionError: it breaks a rule, or is itself only a name.
    """
    changed = load_definition({**dump_definition(definition, "payload"), "id": definition.id, "baseline": settings})
    if isinstance(changed.baseline, NamedBaseline):
        raise DefinitionError("a name cannot stand for another name; give the baseline itself", field="baseline.type")
    return changed


def kept_range(definition: JobDefinition, store: BaselineStore) -> Reference | None:
    """A fixed range whose rows were read, because no job had run over any of it; None where there is none, or where a
    batch in it was deleted since: the rows that were read are not told apart.
    """
    baseline = definition.baseline
    if not isinstance(baseline, FixedRangeBaseline):
        return None
    kept = _loaded(store.load_baseline(definition.id, baseline_key(definition, _as_rows(definition, baseline))))
    if kept is None or any(_overlap(window, baseline) for window in store.deleted_windows(definition.id)):
        return None
    return kept


def _as_rows(definition: JobDefinition, baseline: FixedRangeBaseline) -> ReferenceBaseline:
    return ReferenceBaseline(
        type="reference", intake_settings=definition.intake_settings, start=baseline.start, end=baseline.end
    )


def _overlap(window: Window, baseline: FixedRangeBaseline) -> bool:
    return window.start < baseline.end and baseline.start < window.end


def _unseen(definition: JobDefinition, baseline: FixedRangeBaseline, own: Window, store: BaselineStore) -> bool:
    """The rows of a range can be told from others, are past, and no job has looked at any of them."""
    if definition.timestamp_column is None or isinstance(definition.intake_settings, UnservedIntake):
        return False
    if own.start < baseline.end:
        return False
    seen = [*store.deleted_windows(definition.id), *(each.window for each in store.baseline_candidates(definition.id))]
    return not any(window is not None and _overlap(window, baseline) for window in seen)


def stored_first_window(
    definition: JobDefinition, store: BaselineStore, note: Callable[[str], None] = lambda text: None
) -> Reference:
    """The committed profile of the definition's first window, or nothing where that job has not completed yet.

    A damaged one counts as absent, which ``note`` is told: its rows are not ours to read again, but running that
    window's job again heals it, and then what was compared with nothing meanwhile.
    """
    first = job_id(definition.id, first_window(definition))
    try:
        stored = store.load_profile(first)
    except NotFound:
        return Reference()
    if stored is None:
        return Reference()
    try:
        return Reference(profile=from_bytes(stored.data, stored.content_hash), version=stored.revision)
    except CorruptData as error:
        text = f"no baseline: the profile of the first window is damaged; run its job {first} again. {error}"
        log.warning("Definition %s has %s", definition.id, text)
        note(text)
        return Reference()


def baseline_key(definition: JobDefinition, baseline: ReferenceBaseline) -> str:
    """SHA-256, as hex, of everything that decides what the reference profile holds."""
    fields = _DECIDING_FIELDS - {name for name in _YOUNGER_FIELDS if not getattr(definition, name)}
    parts = {
        "baseline": baseline.model_dump(mode="json"),
        "format": FORMAT_VERSION,
        **definition.model_dump(mode="json", include=fields),
    }
    return hashlib.sha256(json.dumps(parts, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def profile_reference(
    definition: JobDefinition, baseline: ReferenceBaseline, ports: Ports, progress: Progress
) -> Profile:
    """Profile the reference data set; it may lack predictions, actuals and identifiers, but not the features."""
    source = ports.source(definition, baseline.intake_settings, ())
    schema = source.schema()
    plan = reference_plan(definition, schema, source.label)
    screen = Screen(plan)
    window = None
    if baseline.start is not None or baseline.end is not None:
        window = TimeFilter(
            column=str(definition.timestamp_column),
            start=baseline.start,
            end=baseline.end,
            timezone=definition.timestamp_timezone,
        )
    plan = with_segments(definition, plan, source, schema, window, lacking="leave out")
    with (
        open_stretches(source, read_columns(plan), window) as stretches,
        ProfileBuilder(plan, threads=usable_cores()) as builder,
    ):
        names = tuple(dict.fromkeys([*builder.row_columns, *screen.columns]))
        for stretch in stretches:
            seen = []
            for batch in stretch.read(names, encoded=frozenset(builder.row_columns)):
                progress.rows(0, 0)
                statuses = screen.statuses(batch)
                builder.see(batch, statuses)
                seen.append(statuses)
            builder.count(stretch, np.concatenate(seen))
        return builder.finish()


def _kept_reference(
    definition: JobDefinition, baseline: ReferenceBaseline, ports: Ports, progress: Progress
) -> Reference:
    store, key = ports.store, baseline_key(definition, baseline)
    kept = _loaded(store.load_baseline(definition.id, key))
    if kept is not None:
        return kept
    claim = store.claim_baseline(definition.id, key)
    try:
        profile = profile_reference(definition, baseline, ports, progress)
    except Exception as error:
        store.fail_baseline(claim, told(error))
        raise
    if not profile.rows:  # kept, it would say for ever that there is nothing to compare with
        reason = "the reference data set has no rows; check its intake, start and end"
        store.fail_baseline(claim, reason)
        progress.note(f"no baseline: {reason}")
        return Reference()
    try:
        version = store.commit_baseline(
            claim,
            profile_bytes=to_bytes(profile),
            content_hash=profile.content_hash(),
            plan_hash=profile.plan.digest(),
            plan=profile.plan.to_dict(),
            format_version=FORMAT_VERSION,
            rows=profile.rows,
            window=(baseline.start, baseline.end),
        )
    except Superseded:  # another job made the same baseline meanwhile, and jobs are compared with that one
        return _loaded(store.load_baseline(definition.id, key)) or Reference(profile=profile)
    log.info("Profiled the baseline of %s: %d rows, version %d", definition.id, profile.rows, version)
    return Reference(profile=profile, version=version, key=key)


def _loaded(kept: Baseline | None) -> Reference | None:
    """The stored baseline; a damaged one counts as absent, and is made again."""
    if kept is None:
        return None
    try:
        return Reference(from_bytes(kept.profile_bytes, kept.content_hash), kept.version, kept.key)
    except CorruptData as error:
        log.warning("Version %d of the baseline of %s is made again: %s", kept.version, kept.definition_id, error)
        return None
