"""A folder of definitions becomes DAGs, and one broken file does not take the others down."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_monitoring_provider.dags import load_monitoring_dags
from airflow_monitoring_provider.dags.folder import BROKEN_TAG
from airflow_monitoring_provider.exceptions import DefinitionError


def _write(folder: Path, name: str, payload: dict[str, Any]) -> None:
    (folder / name).write_text(yaml.safe_dump(payload))


def test_one_dag_a_file(tmp_path: Path, churn_payload: dict[str, Any]) -> None:
    _write(tmp_path, "a.yaml", churn_payload)
    _write(tmp_path, "b.yml", churn_payload | {"name": "other"})
    assert ["monitoring__churn", "monitoring__other"] == sorted(load_monitoring_dags(tmp_path))


def test_broken_file_becomes_a_dag_that_says_so(tmp_path: Path, churn_payload: dict[str, Any]) -> None:
    _write(tmp_path, "good.yaml", churn_payload)
    _write(tmp_path, "bad.yaml", churn_payload | {"name": "bad", "intake_settings": {"type": "sqll"}})
    dags = load_monitoring_dags(tmp_path)
    assert ["monitoring__broken__bad.yaml", "monitoring__churn"] == sorted(dags)
    broken = dags["monitoring__broken__bad.yaml"]
    assert BROKEN_TAG in broken.tags
    assert "intake_settings.type" in str(broken.doc_md)


def test_strict_raises_for_a_broken_file(tmp_path: Path) -> None:
    _write(tmp_path, "bad.yaml", {"name": "bad"})
    with pytest.raises(DefinitionError, match="deployment_id"):
        load_monitoring_dags(tmp_path, strict=True)


def test_two_files_with_one_name_are_refused(tmp_path: Path, churn_payload: dict[str, Any]) -> None:
    _write(tmp_path, "a.yaml", churn_payload)
    _write(tmp_path, "b.yaml", churn_payload)
    with pytest.raises(DefinitionError, match=r"b\.yaml.*a\.yaml"):
        load_monitoring_dags(tmp_path, strict=True)
    assert ["monitoring__broken__b.yaml", "monitoring__churn"] == sorted(load_monitoring_dags(tmp_path))


def test_two_ids_with_one_name_make_no_two_dags_of_one_id(tmp_path: Path, churn_payload: dict[str, Any]) -> None:
    _write(tmp_path, "a.yaml", churn_payload | {"id": "one"})
    _write(tmp_path, "b.yaml", churn_payload | {"id": "two"})
    assert ["monitoring__broken__b.yaml", "monitoring__churn"] == sorted(load_monitoring_dags(tmp_path))


def test_missing_folder_is_an_error_and_not_an_empty_list(tmp_path: Path) -> None:
    with pytest.raises(DefinitionError, match="nowhere"):
        load_monitoring_dags(tmp_path / "nowhere")


def test_a_worker_builds_only_the_dag_it_needs(
    tmp_path: Path, churn_payload: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(5):
        _write(tmp_path, f"{number}.yaml", churn_payload | {"name": f"d{number}"})
    monkeypatch.setenv("_AIRFLOW_PARSING_CONTEXT_DAG_ID", "monitoring__d3")
    assert ["monitoring__d3"] == list(load_monitoring_dags(tmp_path))
