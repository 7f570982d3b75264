"""A job's doors: what only shows where connections and definition meet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.exceptions import ConfigurationError
from airflow_monitoring_provider.hooks.ports import open_ports


@pytest.mark.parametrize("how", ["another connection", "an absolute path", "a link"])
def test_results_below_what_is_read_are_refused_whatever_hides_it(
    how: str, airflow_home: Path, tmp_path: Path, set_connection: Callable[..., None]
) -> None:
    (tmp_path / "data" / "in").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "data")
    set_connection("disk", conn_type="fs", extra={"path": str(tmp_path)})
    set_connection("other", conn_type="fs", extra={"path": str(tmp_path / "data")})
    connection, hidden = {
        "another connection": ("other", "in/out"),
        "an absolute path": ("disk", str(tmp_path / "data" / "in" / "out")),
        "a link": ("disk", "link/in/out.csv"),
    }[how]

    def definition(url: str) -> Any:
        return load_definition(
            {
                "name": "scores",
                "deployment_id": "d",
                "monitoring_columns": {"predictions_columns": "score"},
                "intake_settings": {"type": "file", "data_store_id": "disk", "url": "data/in"},
                "output_settings": {"type": "file", "data_store_id": connection, "url": url},
            }
        )

    with open_ports("monitoring_store_default") as ports:
        with pytest.raises(ConfigurationError, match="the next run would read its own results"):
            ports.writer(definition(hidden))
        assert ports.writer(definition(hidden.replace("in/", "beside/")))


@pytest.mark.parametrize("written", ["output", "store"])
def test_a_sqlite_file_is_not_read_by_a_second_sqlite_while_it_is_written(
    written: str, airflow_home: Path, tmp_path: Path, set_connection: Callable[..., None]
) -> None:
    def arrows(path: Path) -> None:
        extra = {"driver": "adbc_driver_sqlite", "dialect": "sqlite", "db_kwargs": {"uri": f"file:{path}"}}
        set_connection("arrows", conn_type="adbc", extra=extra)

    set_connection("lite", conn_type="sqlite", host=str(tmp_path / "results.sqlite"))
    definition = load_definition(
        {
            "name": "scores",
            "deployment_id": "d",
            "monitoring_columns": {"predictions_columns": "score"},
            "intake_settings": {"type": "jdbc", "data_store_id": "arrows", "table": "scores"},
            "output_settings": {
                "type": "jdbc",
                "data_store_id": "lite",
                "table": "results",
                "statement_type": "insert",
                "create_table_if_not_exists": True,
            },
        }
    )
    with open_ports("monitoring_store_default") as ports:
        files = {"output": tmp_path / "results.sqlite", "store": Path(str(ports.store.sqlite_file))}
        arrows(files[written])
        with pytest.raises(ConfigurationError, match="reads an SQLite file through ADBC that this job also writes to"):
            ports.source(definition, definition.intake_settings, ())
        arrows(tmp_path / "rows.sqlite")
        assert ports.source(definition, definition.intake_settings, ())
