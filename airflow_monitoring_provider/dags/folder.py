"""A folder of definition files beside the DAGs becomes one DAG a file."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from airflow.sdk import DAG, BaseOperator, get_parsing_context

from airflow_monitoring_provider.dags.monitoring_dag import TAG, monitoring_dag
from airflow_monitoring_provider.definitions.load import read_definition_folder
from airflow_monitoring_provider.definitions.names import slug
from airflow_monitoring_provider.exceptions import DefinitionError

log = logging.getLogger(__name__)

BROKEN_TAG = "broken definition"


def load_monitoring_dags(folder: str | Path, *, strict: bool = False, **dag_kwargs: Any) -> dict[str, DAG]:
    """Every definition in a folder (``*.yaml``, ``*.yml``, ``*.json``, recursively) as a DAG, by DAG id.

    Put the result into the module's globals, where Airflow looks for DAGs::

        globals().update(load_monitoring_dags(Path(__file__).parent / "definitions"))

    :param strict: raise on the first broken file instead of showing it. By default a broken file does not take the
        other definitions down: it becomes a DAG ``monitoring__broken__<file>``, tagged ``broken definition``, whose
        documentation is the error and whose task fails with it.
    :param dag_kwargs: handed to :func:`monitoring_dag` for every definition.
    :raises DefinitionError: the folder is missing; or ``strict``, and a file is broken.

    On a worker only the DAG of the running task is built. Nothing but the files is read.
    """
    folder = Path(folder)
    wanted = get_parsing_context().dag_id
    dags: dict[str, DAG] = {}
    taken: dict[str, Path] = {}
    for path, loaded in sorted(read_definition_folder(folder).items()):
        if not isinstance(loaded, DefinitionError):
            other = taken.setdefault(loaded.dag_id, path)
            if other != path:
                loaded = DefinitionError(
                    f"{path.name}: name: makes the DAG id {loaded.dag_id!r}, as {other.name} does; choose another",
                    field="name",
                )
        if isinstance(loaded, DefinitionError):
            if strict:
                raise loaded
            log.error("Broken definition file: %s", loaded)
            dag_id = f"monitoring__broken__{slug(str(path.relative_to(folder)))}"
        else:
            dag_id = loaded.dag_id
        if wanted in (None, dag_id):
            dags[dag_id] = (
                _broken_dag(dag_id, path, loaded)
                if isinstance(loaded, DefinitionError)
                else monitoring_dag(loaded, **dag_kwargs)
            )
    return dags


class BrokenDefinitionOperator(BaseOperator):
    """Fails with the reason why a definition file could not be read."""

    def __init__(self, *, reason: str, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.reason = reason

    def execute(self, context: Any) -> None:
        """Fail at once; only mending the file helps."""
        from airflow.sdk.exceptions import AirflowFailException

        raise AirflowFailException(self.reason)


def _broken_dag(dag_id: str, path: Path, error: DefinitionError) -> DAG:
    with DAG(
        dag_id=dag_id,
        description=f"{path.name} is broken",
        schedule=None,
        tags={TAG, BROKEN_TAG},
        doc_md="\n".join([f"`{path.name}` could not be read:", "", *(f"* {message}" for _, message in error.problems)]),
        is_paused_upon_creation=False,
    ) as dag:
        BrokenDefinitionOperator(task_id="definition_error", reason=str(error))
    return dag
