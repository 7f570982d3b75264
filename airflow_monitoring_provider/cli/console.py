"""What every command does: open the store, put errors into sentences, print rows as Airflow's own commands do."""

from __future__ import annotations

import datetime as dt
import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from airflow.cli.simple_table import AirflowConsole

from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.exceptions import DefinitionError, MonitoringError

if TYPE_CHECKING:
    from argparse import Namespace

    from airflow_monitoring_provider.store.store import MonitoringStore

_LONGEST = 4000  # characters of a cell


@contextmanager
def plain_errors() -> Iterator[None]:
    """This package's errors are sentences for people; a traceback would hide them."""
    try:
        yield
    except MonitoringError as error:
        raise SystemExit(f"airflow monitoring: {error}") from None


@contextmanager
def open_store(args: Namespace) -> Iterator[MonitoringStore]:
    """The store of the command's connection."""
    # Commands run beside Airflow's own database, as its other commands do; this is how the SDK is told to look
    # connections up there and not only in the environment.
    os.environ.setdefault("_AIRFLOW_PROCESS_CONTEXT", "server")
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

    with plain_errors(), MonitoringStoreHook(args.store_conn_id).get_conn() as store:
        yield store


def print_rows(args: Namespace, rows: list[dict[str, Any]]) -> None:
    """As Airflow's own commands print, but JSON and YAML keep numbers, and null for what is absent."""
    console: Any = AirflowConsole()  # its annotations say dict and mean a list of them
    if args.output == "json":
        console.print_as_json(rows)
    elif args.output == "yaml":
        console.print_as_yaml(rows)
    else:
        from rich.markup import escape

        # A table of Airflow's reads [red] in a name as an order; plain output does not.
        shown = escape if args.output == "table" else str
        data = [{key: shown(_cell(key, value)) for key, value in row.items()} for row in rows]
        console.print_as(data=data, output=args.output)


def _cell(key: str, value: Any) -> str:
    """What is wrong with a definition is a list of several lines; every other text is one line."""
    return _text(value.split("\n") if key == "problem" else value)


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "\n".join(_text(item) for item in value)
    if isinstance(value, dict):
        return ", ".join(_text(f"{key}: {count}") for key, count in sorted(value.items()))
    return printable(str(value), _LONGEST)


def as_instant(text: str | None, field: str) -> dt.datetime | None:
    """An argument in ISO 8601, in UTC where it names no zone."""
    if text is None:
        return None
    try:
        instant = dt.datetime.fromisoformat(text)
    except ValueError:
        raise DefinitionError(f"{field} must be ISO 8601, such as 2026-01-31T00:00:00Z", field=field) from None
    return instant if instant.tzinfo is not None else instant.replace(tzinfo=dt.UTC)
