"""The way of one job, from claim to commit, and the protocol that lets it be killed or run twice at any moment.

``run_job`` reads the rows of one window once, reduces them to a profile, compares it with the baseline, writes a status
for every row, and commits a snapshot. Whatever dies, freezes or runs beside itself, a window's rows are in the output
once, its snapshot in the store once, both of the newest attempt, and readers of the store see nothing unfinished:

1. *Claim.* One upsert in the store counts the job's **token** up; the attempt that holds the last one is the newest.
   The output's marker is looked at: it holds (store id, token) of the attempt that wrote last.
2. *Profile*, 3. *compare.* Nothing is written; rows wait in a private file.
4. *Write.* **Marker first**: the first statement of the output's transaction takes the marker, and changes nothing
   where a newer attempt has it; then this job's earlier rows go, the new ones come, the store is asked whether the
   attempt is still the newest, the marker is completed, all in one commit. Where the answer to COMMIT is lost, the
   marker says what became of it.
5. *Commit.* One transaction in the store that holds only while the job still carries the attempt's token: snapshot,
   metrics, batch, "evaluation due". Evaluation, its own task, writes statuses, monitor states and the **outbox** in one
   transaction, from which alerts are delivered at least once, each with a key that stays.

A worker that dies before the commit of 4 leaves nothing; between 4 and 5, rows that the retry replaces. One that wakes
up late is refused by its token, at the marker and again in 5.

========================= ============================================================================================
output                    step 4, and what is weaker
========================= ============================================================================================
table                     as above. With ``commitInterval`` each further transaction confirms the marker first, and
                          the marker stays ``writing`` until the last: readers of the table may see a prefix, and a
                          retry removes it.
table in the database     with ``engine: sql`` the rows never leave it: it profiles them in one transaction, and step 4
of the intake             is one ``INSERT … SELECT`` after the marker. That sees a later moment, so a fingerprint of
                          what goes in is held against that of what was profiled; if rows changed meanwhile, nothing is
                          written.
table, no right to make   ``insert_update`` on columns with a unique constraint only, each row once: the write replaces
the marker tables         itself. An attempt that freezes between its question to the store and COMMIT holds the locks
                          of its rows, so a newer one waits for it or ends retryable; rows that only the frozen one
                          had may then stay.
file on a disk            the marker is a file beside it, looked at and taken under a lock, at the start and again
                          around the rename that gives the whole file its name. Killed between rename and marker: the
                          file is whole and its marker says ``writing``; the retry replaces both.
object in a store         the same without a lock (:mod:`~airflow_monitoring_provider.outputs.object_store`): an attempt
                          that freezes between its last look and its put may leave a stale, whole object.
========================= ============================================================================================

The token counts one store's attempts, so the marker remembers whose they were:

- *A store restored from an older backup* keeps its id. In 1 its new attempt meets a marker with a token that it never
  gave; being the newest by its claim, it goes on with a token past the marker's, and says so in the job's log. A token
  given twice (before the backup was restored and after it) is told apart by nothing: end running jobs before restoring.
- *A lost store that was made anew* has another id: its jobs end with an error until somebody says that it continues the
  lost one (``airflow monitoring db adopt``). Taking over without a word would let *two live stores* that share an
  output fight over it; the same error tells them so. Only a copy of a store that is used beside its original goes
  unnoticed but for the line in the log.
"""

from __future__ import annotations

from collections.abc import Callable

from airflow_monitoring_provider.definitions import JobDefinition, Window
from airflow_monitoring_provider.jobs.baseline import find_reference
from airflow_monitoring_provider.jobs.claiming import claim_window, rows_last_time, settled
from airflow_monitoring_provider.jobs.finishing import JobSummary, finish_job
from airflow_monitoring_provider.jobs.ports import Ports
from airflow_monitoring_provider.jobs.progress import Progress
from airflow_monitoring_provider.jobs.reading import read_rows
from airflow_monitoring_provider.store.records import Claim, RunInfo

__all__ = ["JobSummary", "run_job"]


def run_job(
    definition: JobDefinition,
    window: Window,
    ports: Ports,
    *,
    run: RunInfo | None = None,
    batch_name: str | None = None,
    batch_id: str | None = None,
    cancelled: Callable[[], bool] = lambda: False,
    on_claim: Callable[[Claim], None] = lambda claim: None,
) -> JobSummary:
    """Run one monitoring job over one window.

    :param run: which Airflow run and try this is; recorded with the attempt.
    :param batch_name: name of the job's batch instead of prefix + window.
    :param batch_id: an existing batch to add the rows to; None: one of the job's own.
    :param cancelled: polled while rows are read; true ends the job as aborted.
    :param on_claim: called with the claim as soon as there is one.
    :raises RetryableError: intake, output or store could not be reached; the same call may succeed later.
    :raises TerminalError: the definition, the data or somebody's decision ends the job; ``Superseded`` when a newer
        attempt owns the window.
    """
    store = ports.store
    claim, writer = claim_window(definition, window, ports, run, batch_name, batch_id)  # 1 claim
    on_claim(claim)
    with settled(store, claim):
        progress = Progress(store, claim, cancelled, expected_rows=rows_last_time(store, claim))
        reference = find_reference(definition, window, ports, progress)
        with read_rows(definition, window, ports, claim, writer, reference, progress) as reading:  # 2 profile
            return finish_job(definition, store, claim, writer, reading, reference, progress)  # 3 4 5
