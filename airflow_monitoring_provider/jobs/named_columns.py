"""What a definition says of columns, held against the first rows it meets: a name that nothing has says nothing, ever.

Only the first job of a revision ends with an error. Once one is committed, the names were there (or are the
baseline's), so that a column which is gone from a later batch is a finding, ``missing_columns``, and no error.
"""

from __future__ import annotations

from collections.abc import Callable

import pyarrow as pa

from airflow_monitoring_provider.definitions import JobDefinition
from airflow_monitoring_provider.definitions.named_columns import misfit_cells, unknown_columns
from airflow_monitoring_provider.definitions.wording import error_of, written_path
from airflow_monitoring_provider.exceptions import DefinitionError
from airflow_monitoring_provider.jobs.reference import Reference
from airflow_monitoring_provider.profiles.plan import ProfilePlan
from airflow_monitoring_provider.store.records import Claim
from airflow_monitoring_provider.store.store import MonitoringStore


def check_named_columns(
    definition: JobDefinition,
    schema: pa.Schema,
    plan: ProfilePlan,
    reference: Reference,
    store: MonitoringStore,
    claim: Claim,
    note: Callable[[str], None],
) -> None:
    """Refuse names that no column has, and cells for numbers where the column holds none.

    :param schema: of the rows. :param plan: what is profiled of them.
    :param note: told what would have been refused, where a job of the revision is committed already.
    :raises DefinitionError: names every field, and the column that may be meant.
    """
    wrong = named_wrongly(definition, schema, plan, reference)
    if wrong is None:
        return
    revision = store.job(claim.job_id).definition_revision
    if not store.has_committed(definition.id, revision):
        raise wrong
    note(f"without effect on this batch: {wrong}")


def named_wrongly(
    definition: JobDefinition, schema: pa.Schema, plan: ProfilePlan, reference: Reference
) -> DefinitionError | None:
    """What is wrong with the columns that the definition names, as an error; None where nothing is."""
    known = set(schema.names)
    for profile in (reference.profile, reference.layout):
        known |= set() if profile is None else {column.name for column in profile.plan.columns}
    untyped = {field.name for field in schema if pa.types.is_null(field.type)}  # all null: no kind to speak of
    kinds = {column.name: column.kind for column in plan.columns if column.name not in untyped}
    problems = [*unknown_columns(definition, known), *misfit_cells(definition, kinds)]
    return error_of([(written_path(path), text) for path, text in problems]) if problems else None
