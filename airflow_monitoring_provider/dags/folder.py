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
        other definitions down: it becomes a DAG tagged ``broken definition`` whose documentation is the error and
        whose task fails with it.
    :param dag_kwargs: handed to :func:`monitoring_dag` for every definition.
    :raises DefinitionError: the folder is missing, two files define the same DAG, or ``strict`` and a file is broken.

    On a worker only the DAG of the running task is built. Nothing but the files is read.
    """
    wanted = get_parsing_context().dag_id
    dags: dict[str, DAG] = {}
    origins: dict[str, Path] = {}
    for path, loaded in sorted(read_definition_folder(Path(folder)).items()):
        if isinstance(loaded, DefinitionError):
            if strict:
                raise loaded
            log.error("Definition file %s is broken: %s", path.name, loaded)
            dag_id = f"monitoring__{slug(path.stem)}"
        else:
            dag_id = loaded.dag_id
        if dag_id in origins:
            raise DefinitionError(
                f"{path.name} and {origins[dag_id].name} both define the DAG {dag_id!r}; give one of them another name",
                field="name",
            )
        origins[dag_id] = path
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
        BrokenDefinitionOperator(task_id="definition_error", reason=f"{path.name}: {error}")
    return dag
