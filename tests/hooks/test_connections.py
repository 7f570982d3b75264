"""Connections become engines and filesystems here, and their secrets appear in no message."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy as sa
from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
from airflow.sdk.execution_time import task_runner
from airflow.sdk.execution_time.comms import ErrorResponse

from airflow_monitoring_provider.definitions import SqlIntake
from airflow_monitoring_provider.exceptions import ConfigurationError, ConnectionUnavailable
from airflow_monitoring_provider.hooks.connections import database_url, open_database, open_files
from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook
from airflow_monitoring_provider.intake.sql import SqlSource

PASSWORD = "canary-p4ss"


def test_missing_connection_is_named_with_its_field_and_how_to_make_it() -> None:
    with pytest.raises(
        ConfigurationError, match=r"intakeSettings\.dataStoreId: there is no Airflow connection 'nowhere'"
    ):
        open_database("nowhere", purpose="intakeSettings.dataStoreId")


class Supervisor:
    """Stands for Airflow's own: what a task hears from it when it asks for a connection."""

    def __init__(self, *answers: str) -> None:
        self.answers = list(answers)

    def send(self, message: Any) -> Any:
        error = ErrorType[self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]]
        if error is ErrorType.CONNECTION_NOT_FOUND:
            return ErrorResponse(error=error, detail={"conn_id": message.conn_id})
        raise AirflowRuntimeError(ErrorResponse(error=error, detail={"message": "refused"}))


@pytest.fixture
def supervised(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def supervise(*answers: str) -> None:
        monkeypatch.setattr(task_runner, "SUPERVISOR_COMMS", Supervisor(*answers), raising=False)

    return supervise


def test_api_server_that_is_away_is_no_missing_connection(supervised: Callable[..., None]) -> None:
    supervised("API_SERVER_ERROR")
    with pytest.raises(ConnectionUnavailable, match=r"intake: Airflow connection 'scores_db' could not be looked up"):
        open_database("scores_db", purpose="intake")


def test_api_server_that_was_away_for_the_first_question_is_asked_again(supervised: Callable[..., None]) -> None:
    supervised("API_SERVER_ERROR", "CONNECTION_NOT_FOUND")
    with pytest.raises(ConfigurationError, match="there is no Airflow connection 'nowhere'"):
        open_database("nowhere", purpose="intake")


def test_store_is_not_embedded_because_nobody_could_be_asked_for_its_connection(
    supervised: Callable[..., None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("AIRFLOW_HOME", str(tmp_path))
    supervised("API_SERVER_ERROR")
    with pytest.raises(ConnectionUnavailable, match="monitoring store"):
        MonitoringStoreHook().get_conn()
    assert [] == list(tmp_path.iterdir())
    supervised("CONNECTION_NOT_FOUND")
    with MonitoringStoreHook().get_conn() as store:
        assert [] == list(store.jobs())
    assert (tmp_path / "monitoring" / "store.sqlite").exists()


def test_secrets_backend_that_fails_is_no_missing_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_BROKEN", f'{{"conn_type": "sqlite", "password": "{PASSWORD}"')
    with pytest.raises(ConnectionUnavailable, match="EnvironmentVariablesBackend failed with") as caught:
        open_database("broken", purpose="intake")
    assert PASSWORD not in str(caught.value)


def test_sqlite_file(set_connection: Callable[..., None], tmp_path: Path) -> None:
    set_connection("files_db", conn_type="sqlite", host=str(tmp_path / "a.sqlite"))
    engine = open_database("files_db", purpose="intake")
    with engine.connect() as connection:
        assert 1 == connection.execute(sa.select(sa.literal(1))).scalar()
    engine.dispose()
    assert (tmp_path / "a.sqlite").exists()


def test_sqlite_address_form(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("AIRFLOW_CONN_URI_DB", f"sqlite:///{tmp_path}/b.sqlite")
    assert str(tmp_path / "b.sqlite") == database_url("uri_db", purpose="intake").database


def test_postgres_with_options(set_connection: Callable[..., None]) -> None:
    set_connection(
        "warehouse",
        conn_type="postgres",
        host="db.example.com",
        port=5433,
        login="reader",
        password=PASSWORD,
        schema="sales",
        extra={"sslmode": "require", "unrelated": "x"},
    )
    url = database_url("warehouse", purpose="intake")
    assert f"postgresql+psycopg://reader:{PASSWORD}@db.example.com:5433/sales?sslmode=require" == url.render_as_string(
        hide_password=False
    )


def test_postgres_is_reached_for_real(set_connection: Callable[..., None], postgres_url: str) -> None:
    url = sa.make_url(postgres_url)
    set_connection("real_pg", conn_type="postgres", login=url.username, schema=url.database, host=url.query["host"])
    engine = open_database("real_pg", purpose="intake")
    with engine.connect() as connection:
        assert url.database == connection.execute(sa.select(sa.func.current_database())).scalar()
    engine.dispose()


def test_credential_replaces_login_and_password_only(set_connection: Callable[..., None]) -> None:
    set_connection("warehouse", conn_type="postgres", host="db", login="a", password="b", schema="sales")
    set_connection("other", conn_type="generic", host="elsewhere", login="c", password="d", schema="no")
    url = database_url("warehouse", "other", purpose="intake")
    assert ("c", "d", "db", "sales") == (url.username, url.password, url.host, url.database)


def test_arrow_is_read_through_the_hook_of_its_connection(
    set_connection: Callable[..., None], postgres_url: str
) -> None:
    place = {"uri": postgres_url.replace("+psycopg", "")}
    extra = {"driver": "adbc_driver_postgresql", "dialect": "postgresql", "db_kwargs": place}
    set_connection("arrows", conn_type="adbc", extra=extra)
    engine = open_database("arrows", purpose="intake", arrow=True)
    source = SqlSource(engine, SqlIntake(type="jdbc", data_store_id="arrows", query="SELECT 1.5::numeric(5, 2) AS n"))
    with source.read(["n"], None) as batches:
        assert [[Decimal("1.50")]] == [batch.column(0).to_pylist() for batch in batches]
    assert "adbc" == engine.dialect.name
    engine.dispose()

    with pytest.raises(ConfigurationError, match="'arrows' of type 'adbc' can be read from and not written to"):
        open_database("arrows", purpose="output")
    with pytest.raises(ConfigurationError, match="'arrows' of type 'adbc' has its credentials in itself"):
        open_database("arrows", "other", purpose="intake", arrow=True)


def test_arrow_without_its_driver_says_what_to_install(set_connection: Callable[..., None]) -> None:
    set_connection("arrows", conn_type="adbc", password=PASSWORD, extra={"driver": "adbc_driver_nowhere"})
    source = SqlSource(
        open_database("arrows", purpose="intake", arrow=True), SqlIntake(type="jdbc", data_store_id="arrows", table="t")
    )
    with pytest.raises(ConfigurationError, match="'arrows' of type 'adbc' cannot be opened") as caught:
        source.schema()
    assert PASSWORD not in str(caught.value)


def test_options_of_adbc_that_are_no_object_are_named(set_connection: Any) -> None:
    extra = {"driver": "adbc_driver_postgresql", "db_kwargs": '{"uri": "postgresql://"}'}
    set_connection("arrows", conn_type="adbc", extra=extra)

    with pytest.raises(
        ConfigurationError, match="'arrows' of type 'adbc': db_kwargs of its extra must be an object, not str"
    ):
        open_database("arrows", purpose="intake", arrow=True)


def test_connection_that_is_no_database(set_connection: Callable[..., None]) -> None:
    set_connection("web", conn_type="http", host="example.com", password=PASSWORD)
    with pytest.raises(ConfigurationError, match="'web' of type 'http' gives no SQLAlchemy engine") as caught:
        open_database("web", purpose="intake")
    assert PASSWORD not in str(caught.value)


def test_local_files_need_a_root(set_connection: Callable[..., None], tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="no connection is named"):
        open_files("data/*.csv", None, purpose="intake")
    set_connection("empty", conn_type="fs")
    with pytest.raises(ConfigurationError, match="'empty' has none"):
        open_files("data/*.csv", "empty", purpose="intake")
    set_connection("lake", conn_type="fs", extra={"path": str(tmp_path)})
    assert str(tmp_path) == open_files("data/*.csv", "lake", purpose="intake").root


def test_any_fsspec_scheme_with_its_options(set_connection: Callable[..., None]) -> None:
    set_connection(
        "mem", conn_type="generic", extra={"path": "/bucket", "storage_options": {"use_listings_cache": False}}
    )
    files = open_files("memory://bucket/x.csv", "mem", purpose="intake")
    assert ("MemoryFileSystem", "/bucket") == (type(files.filesystem).__name__, files.root)


def test_unknown_scheme_is_a_sentence(set_connection: Callable[..., None]) -> None:
    with pytest.raises(ConfigurationError, match="no filesystem for nosuch://"):
        open_files("nosuch://bucket/x.csv", None, purpose="intake")
