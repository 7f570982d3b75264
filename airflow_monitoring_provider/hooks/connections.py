"""From an Airflow connection to a SQLAlchemy engine or an fsspec filesystem; secrets stop here.

Databases: SQLite and PostgreSQL (psycopg 3) are opened by this module itself, because their sessions carry this
package's lock and isolation settings. Connections of type ``adbc`` (Airflow's Apache Arrow provider) are read, and not
written to, through their hook's own ADBC connection. Every other connection type goes through the hook of its own
provider, which must offer ``sqlalchemy_url`` (``DbApiHook`` subclasses do).

Files: the scheme of the URL picks the filesystem. Schemes that Airflow knows go through ``ObjectStoragePath`` with the
connection; any other fsspec scheme is opened with the connection's login, password and ``storage_options`` extra.
The connection's ``path`` extra (or, for local files, the one that Airflow's "File (path)" type asks for) is the root
that no definition leaves.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from airflow_monitoring_provider.exceptions import ConfigurationError, ConnectionUnavailable

if TYPE_CHECKING:
    from airflow.sdk import Connection
    from fsspec import AbstractFileSystem
    from sqlalchemy.engine import URL, Engine

_POSTGRES_TYPES = frozenset({"postgres", "postgresql", "pgvector"})
_POSTGRES_OPTIONS = frozenset(
    {
        "application_name",
        "connect_timeout",
        "options",
        "sslcert",
        "sslkey",
        "sslmode",
        "sslrootcert",
        "target_session_attrs",
    }
)
_STEPS_BETWEEN_QUESTIONS = 1_000_000  # of SQLite's virtual machine: about 10 ms
_LOCAL_SCHEMES = frozenset({"", "file", "local"})


@dataclasses.dataclass(frozen=True, slots=True)
class FileRoot:
    """A filesystem and the folder in it that no path may leave (``""`` means the whole filesystem)."""

    filesystem: AbstractFileSystem
    root: str


def find_connection(conn_id: str, *, purpose: str) -> Connection:
    """Look a connection up through Airflow's secrets backends.

    :raises ConfigurationError: there is none; the message names the id and what wanted it.
    :raises ConnectionUnavailable: nobody could say whether there is one.
    """
    from airflow.sdk import BaseHook
    from airflow.sdk.exceptions import AirflowNotFoundException

    try:
        return BaseHook.get_connection(conn_id)
    except AirflowNotFoundException:
        _ask_again(conn_id, purpose)
        raise ConfigurationError(
            f"{purpose}: there is no Airflow connection {conn_id!r}; create it in Admin > Connections, with "
            f"`airflow connections add`, or as AIRFLOW_CONN_{conn_id.upper()}"
        ) from None


def _ask_again(conn_id: str, purpose: str) -> None:
    """Make sure that a connection is missing.

    Airflow says that it is missing also when whoever was asked did not answer. A job that took that at its word would
    fail for good where a retry helps, or write into the embedded store where a store of its own is set up.
    """
    from airflow.sdk.execution_time.secrets.execution_api import ExecutionAPISecretsBackend
    from airflow.sdk.execution_time.supervisor import ensure_secrets_backend_loaded

    for backend in ensure_secrets_backend_loaded():
        try:
            if isinstance(backend, ExecutionAPISecretsBackend):
                found = _asked_api_server(conn_id)
            else:
                found = backend.get_connection(conn_id) is not None
        except Exception as error:
            problem = f"{type(backend).__name__} failed with {type(error).__name__}"
        else:
            if not found:
                continue
            problem = f"{type(backend).__name__} did not answer at first"
        raise ConnectionUnavailable(
            f"{purpose}: Airflow connection {conn_id!r} could not be looked up: {problem}"
        ) from None


def _asked_api_server(conn_id: str) -> bool:
    """Whether the API server has the connection; an error where it does not answer."""
    from airflow.sdk.exceptions import AirflowRuntimeError, ErrorType
    from airflow.sdk.execution_time.comms import ErrorResponse, GetConnection
    from airflow.sdk.execution_time.task_runner import SUPERVISOR_COMMS

    try:
        answer = SUPERVISOR_COMMS.send(GetConnection(conn_id=conn_id))
    except AirflowRuntimeError as error:
        answer = error.error
    if not isinstance(answer, ErrorResponse):
        return True
    if answer.error is not ErrorType.CONNECTION_NOT_FOUND:
        raise AirflowRuntimeError(answer)
    return False


def database_url(conn_id: str, credential_id: str | None = None, *, purpose: str) -> URL:
    """The SQLAlchemy URL of a connection; ``credential_id`` replaces login and password only."""
    return _database_url(find_connection(conn_id, purpose=purpose), credential_id, purpose)


def _database_url(connection: Connection, credential_id: str | None, purpose: str) -> URL:
    conn_id, url = connection.conn_id, _url_of(connection, purpose)
    if credential_id and credential_id != conn_id:
        credential = find_connection(credential_id, purpose=f"{purpose} (credentials)")
        url = url.set(username=credential.login or None, password=credential.password or None)
    return url


def open_database(
    conn_id: str,
    credential_id: str | None = None,
    *,
    purpose: str,
    cancelled: Callable[[], bool] | None = None,
    arrow: bool = False,
) -> Engine:
    """An engine for reading intake or writing output.

    :param cancelled: asked while SQLite works on a statement; true ends the statement with an error. Without it, not
        even a signal is heard before the statement ends, because SQLite runs inside this process.
    :param arrow: whether a connection of type ``adbc`` will do, from which rows are read and nothing else.
    :raises ConfigurationError: the connection is missing, is no database, or its driver is not installed.
    """
    import sqlalchemy as sa

    connection = find_connection(conn_id, purpose=purpose)
    if connection.conn_type == "adbc":
        return _open_adbc(connection, credential_id, purpose, arrow=arrow)
    url = _database_url(connection, credential_id, purpose)
    try:
        engine = sa.create_engine(url, pool_pre_ping=True)
    except (ImportError, sa.exc.ArgumentError) as error:
        raise ConfigurationError(
            f"{purpose}: connection {conn_id!r} needs a driver that is not installed ({type(error).__name__} for "
            f"{url.drivername!r}); install the provider or driver package of that database"
        ) from None
    if cancelled is not None and engine.dialect.name == "sqlite":

        def listen(connection: Any, _record: Any) -> None:
            connection.set_progress_handler(cancelled, _STEPS_BETWEEN_QUESTIONS)

        sa.event.listen(engine, "connect", listen)
    return engine


def open_files(url: str, conn_id: str | None, *, purpose: str) -> FileRoot:
    """The filesystem of a file URL and the root that its path must stay under.

    :raises ConfigurationError: the connection is missing, or no filesystem knows the scheme.
    """
    connection = find_connection(conn_id, purpose=purpose) if conn_id else None
    extra: dict[str, Any] = connection.extra_dejson if connection else {}
    root = str(extra.get("path") or (connection.host if connection and connection.conn_type == "fs" else "") or "")
    scheme = url.partition("://")[0] if "://" in url else ""
    if scheme in _LOCAL_SCHEMES:
        return _local_files(root, conn_id, purpose)
    return FileRoot(filesystem=_object_storage(url, scheme, conn_id, connection, purpose), root=root)


def _open_adbc(connection: Connection, credential_id: str | None, purpose: str, *, arrow: bool) -> Engine:
    from airflow.sdk.exceptions import AirflowException

    what = f"{purpose}: connection {connection.conn_id!r} of type 'adbc'"
    if not arrow:
        raise ConfigurationError(f"{what} can be read from and not written to; use one of the database's own type")
    if credential_id and credential_id != connection.conn_id:
        raise ConfigurationError(f"{what} has its credentials in itself; remove credentialId")
    for name in ("db_kwargs", "conn_kwargs"):
        options = connection.extra_dejson.get(name, {})
        if not isinstance(options, dict):
            raise ConfigurationError(f"{what}: {name} of its extra must be an object, not {type(options).__name__}")

    def connect() -> Any:
        with installed():
            return connection.get_hook().get_conn()

    @contextlib.contextmanager
    def installed() -> Iterator[None]:
        try:
            yield
        except (AirflowException, ImportError) as error:
            raise ConfigurationError(
                f"{what} cannot be opened ({type(error).__name__}); install apache-airflow-providers-apache-arrow and "
                "the database's ADBC driver"
            ) from None

    with installed():
        from airflow_monitoring_provider.intake.adbc_dialect import open_adbc

        return open_adbc(connect)


def _url_of(connection: Connection, purpose: str) -> URL:
    import sqlalchemy as sa

    if connection.conn_type == "sqlite":
        from pathlib import Path

        # ``sqlite:///relative`` and ``sqlite:////absolute`` both arrive in host and schema, whichever way Airflow
        # took the URI apart; a plain connection holds the path in host.
        path = connection.host or connection.schema or ""
        if not path:
            raise ConfigurationError(
                f"{purpose}: SQLite connection {connection.conn_id!r} has no path in its host field"
            )
        return sa.URL.create("sqlite", database=str(Path(path).expanduser()))
    if connection.conn_type in _POSTGRES_TYPES:
        query = {key: str(value) for key, value in connection.extra_dejson.items() if key in _POSTGRES_OPTIONS}
        return sa.URL.create(
            "postgresql+psycopg",
            username=connection.login or None,
            password=connection.password or None,
            host=connection.host or None,
            port=connection.port,
            database=connection.schema or None,
            query=query,
        )
    return _url_of_provider(connection, purpose)


def _url_of_provider(connection: Connection, purpose: str) -> URL:
    import sqlalchemy as sa
    from airflow.sdk.exceptions import AirflowException

    try:
        url = connection.get_hook().sqlalchemy_url
    except (AirflowException, ImportError, AttributeError, NotImplementedError) as error:
        raise ConfigurationError(
            f"{purpose}: connection {connection.conn_id!r} of type {connection.conn_type!r} gives no SQLAlchemy engine "
            f"({type(error).__name__}); use a database connection whose Airflow provider is installed"
        ) from None
    return sa.make_url(url)


def _local_files(root: str, conn_id: str | None, purpose: str) -> FileRoot:
    import fsspec

    if not root:
        raise ConfigurationError(
            f"{purpose}: local files need a connection of type 'fs' whose extra names the folder they live under, for "
            f'example {{"path": "/data"}}; '
            + (f"connection {conn_id!r} has none" if conn_id else "no connection is named")
        )
    return FileRoot(filesystem=fsspec.filesystem("file"), root=root)


def _object_storage(
    url: str, scheme: str, conn_id: str | None, connection: Connection | None, purpose: str
) -> AbstractFileSystem:
    from airflow.sdk import ObjectStoragePath
    from airflow.sdk.io.fs import has_fs

    try:
        if has_fs(scheme):
            return ObjectStoragePath(url, conn_id=conn_id).fs
        return _plain_filesystem(scheme, connection)
    except (ImportError, ValueError) as error:
        raise ConfigurationError(
            f"{purpose}: no filesystem for {scheme}:// is installed ({type(error).__name__}); install the Airflow "
            "provider or the fsspec package of that storage"
        ) from None


def _plain_filesystem(scheme: str, connection: Connection | None) -> AbstractFileSystem:
    import fsspec

    options: dict[str, Any] = {}
    if connection:
        if connection.login:
            options["username"] = connection.login
        if connection.password:
            options["password"] = connection.password
        if connection.host:
            options["host"] = connection.host
        if connection.port:
            options["port"] = connection.port
        options.update(connection.extra_dejson.get("storage_options") or {})
    return fsspec.filesystem(scheme, **options)
