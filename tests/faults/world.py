"""Databases, files and a store for one kind of job, with a first window that was run undisturbed.

A template is made once a case and copied for every fault: files are copied, PostgreSQL databases cloned.
"""

from __future__ import annotations

import contextlib
import csv
import dataclasses
import datetime as dt
import itertools
import json
import os
import random
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import sqlalchemy as sa

import postgres
from airflow_monitoring_provider.definitions import JobDefinition, Window, load_definition

FIRST_DAY = dt.datetime(2026, 3, 1, tzinfo=dt.UTC)
ROWS_A_DAY = 60
FEATURES = ("amount", "region")
NAMES = ("id", "at", "amount", "region", "score", "churned")
_TYPES: dict[str, Any] = {
    "id": sa.BigInteger(),
    "at": sa.DateTime(),
    "amount": sa.Float(),
    "region": sa.Text(),
    "score": sa.Float(),
    "churned": sa.Text(),
}
WRITER = "faults_writer"  # a login that may write rows and not make tables
KEPT = 900_000  # ids of rows that were in the output table before any job
_numbers = itertools.count()

Row = dict[str, Any]


@dataclasses.dataclass(frozen=True)
class Case:
    """One combination of intake, output and store.

    :param intake: ``sqlite postgres csv parquet jsonl``.
    :param output: ``none``, a file format, or how rows meet a table: ``insert create_table keyed update upsert
        upsert_unique interval keyed_interval``, ``unmarked``: an upsert by a login that may not make tables, and
        ``pushed``: the intake's database profiles the rows and inserts their statuses by itself.
    :param database: ``sqlite`` or ``postgres``: where the output table is.
    :param store: ``sqlite`` or ``postgres``.
    :param fresh: nothing was run before: no store row, no output table, no markers, no baseline.
    """

    intake: str
    output: str
    database: str
    store: str
    fresh: bool = False

    @property
    def name(self) -> str:
        """For people and test ids."""
        place = f"{self.output}@{self.database}" if self.is_table else self.output
        return f"{self.intake}-{place}-{self.store}" + ("-fresh" if self.fresh else "")

    def __str__(self) -> str:
        return self.name

    @property
    def is_table(self) -> bool:
        """The output is a table."""
        return self.output not in ("none", "csv", "parquet")

    @property
    def has_own_table(self) -> bool:
        """The output table was there before, with rows of somebody else."""
        return self.output in ("keyed", "keyed_interval", "update", "upsert", "upsert_unique", "unmarked")

    @property
    def clean(self) -> bool:
        """Rows have unique identifiers, because this output finds its rows by them, or no row is read to tell."""
        return self.has_own_table or self.output == "pushed"

    @property
    def one_transaction(self) -> bool:
        """No reader may see a part of the rows."""
        return not self.output.endswith("interval")

    @property
    def has_marker(self) -> bool:
        """The output remembers which attempt wrote it."""
        return self.output not in ("none", "unmarked")

    @property
    def servers(self) -> set[str]:
        """Which of its parts live on a PostgreSQL server."""
        parts = {"data": self.intake, "output": self.database if self.is_table else "", "store": self.store}
        return {part for part, kind in parts.items() if kind == "postgres"}

    def definition(self, **changes: Any) -> JobDefinition:
        """The job definition of this case."""
        files = {"data_store_id": "files", "type": "fileSystem"}
        intake: dict[str, Any] = files | {"url": f"in/rows.{self.intake}"}
        if self.intake in ("sqlite", "postgres"):
            intake = {"type": "sql", "data_store_id": f"{self.intake}_db", "table": "scores"}
        payload: dict[str, Any] = {
            "id": "churn-definition",
            "name": "churn",
            "deployment_id": "churn-model",
            "intake_settings": intake,
            "timestamp_column": "at",
            "monitoring_columns": {
                "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
                "actuals_value_column": "churned",
                "association_id_column": "id",
            },
            "baseline": {"type": "first_window"},
            "passthrough_columns": ["region"],
            "features": list(FEATURES),
            "minimums": {"reference_rows": 5, "current_rows": 5, "labelled_rows": 5, "per_class": 1},
            "thresholds": {"accuracy": {"warning": 0.99, "critical": 0.95}},
            "monitoring_output_settings": {
                "unique_row_identifier_columns": ["id"],
                "monitored_status_column": "status",
            },
            "schedule": "0 0 * * *",
            "start_date": FIRST_DAY.isoformat(),
        }
        if self.output != "none":
            payload["output_settings"] = self._output(files)
        if self.output == "pushed":
            payload["engine"] = "sql"
            del payload["monitoring_columns"]["association_id_column"]
        return load_definition(payload | changes)

    def _output(self, files: dict[str, Any]) -> dict[str, Any]:
        if not self.is_table:
            return files | {"url": "out", "format": self.output}
        table: dict[str, Any] = {
            "type": "sql",
            "data_store_id": f"{self.database}_db",
            "table": "results",
            "statement_type": "insert",
        }
        if self.output in ("insert", "interval", "pushed"):
            table["create_table_if_not_exists"] = True
        elif self.output == "create_table":
            table["statement_type"] = "create_table"
        elif self.output == "update":
            table |= {"statement_type": "update", "where_columns": ["id"], "update_columns": ["status"]}
        elif self.output in ("upsert", "upsert_unique", "unmarked"):
            table |= {"statement_type": "insert_update", "where_columns": ["id"]}
        if self.output.endswith("interval"):
            table["commit_interval"] = 1
        return table


def window(day: int) -> Window:
    """The window of a day."""
    return Window.of(FIRST_DAY + dt.timedelta(days=day), FIRST_DAY + dt.timedelta(days=day + 1))


def day_rows(case: Case, day: int, edition: int = 0) -> list[Row]:
    """Rows of a day; another edition is what somebody made of them later: other values, and one row more."""
    chance = random.Random(f"{day} {edition}")
    count = ROWS_A_DAY + edition
    rows = []
    for i in range(count):
        score = round(chance.random(), 6)
        rows.append(
            {
                "id": day * 10_000 + i,
                "at": FIRST_DAY.replace(tzinfo=None) + dt.timedelta(days=day, minutes=7 * i),
                "amount": None if i % 19 == 7 else round(chance.gauss(2.0 * (day == 1) + edition, 1), 6),
                "region": None if i % 23 == 5 else chance.choice(["north", "south", "Straße 7"]),
                "score": score,
                "churned": None if i % 5 == 0 else "yes" if chance.random() < score else "no",
            }
        )
    rows[0]["score"], rows[1]["score"] = None, 1.5
    if not case.clean:
        rows[3]["id"], rows[4]["id"] = rows[2]["id"], None
    return rows


class World:
    """One copy of a case's databases, files and store.

    :param folder: everything but PostgreSQL databases lives below it.
    :param server: SQLAlchemy URL of a PostgreSQL server, where the case needs one.
    """

    def __init__(self, case: Case, folder: Path, server: str | None) -> None:
        self.case = case
        self.folder = folder
        self.server = server
        self.databases = dict.fromkeys(("data", "store"), "")
        self.history = folder / "history.jsonl"

    @property
    def data_on_server(self) -> bool:
        """Intake or output table are on PostgreSQL."""
        return bool(self.case.servers & {"data", "output"})

    def url(self, kind: str) -> str:
        """Of the data database of a kind."""
        if kind == "sqlite":
            return f"sqlite:///{self.folder / 'data.sqlite'}"
        return self._on_server(self.databases["data"])

    @property
    def store_url(self) -> str:
        """Of the store."""
        if self.case.store == "sqlite":
            return f"sqlite:///{self.folder / 'store.sqlite'}"
        return self._on_server(self.databases["store"])

    def _on_server(self, database: str) -> str:
        assert self.server is not None
        return sa.make_url(self.server).set(database=database).render_as_string(hide_password=False)

    def spec(self) -> dict[str, Any]:
        """All that another process needs to open this world."""
        return {
            "case": dataclasses.asdict(self.case),
            "folder": str(self.folder),
            "server": self.server,
            "databases": self.databases,
        }

    @classmethod
    def of(cls, spec: dict[str, Any]) -> World:
        """The world of a :meth:`spec`."""
        world = cls(Case(**spec["case"]), Path(spec["folder"]), spec["server"])
        world.databases = spec["databases"]
        return world

    # Making and unmaking

    def create(self) -> None:
        """Empty databases with the intake of two days, and an output table where the case has one of its own."""
        for name in ("files/in", "files/out", "storage", "tmp"):
            (self.folder / name).mkdir(parents=True)
        for part in self._parts_on_server():
            self.databases[part] = f"faults_{os.getpid()}_{next(_numbers)}"
            self._administer(postgres.create(self.databases[part]))
        self.fill({0: 0, 1: 0})
        if self.case.has_own_table:
            self._make_table()

    def copy(self, folder: Path) -> World:
        """Another world like this one; nobody may be connected to this one."""
        shutil.copytree(self.folder, folder)
        made = World(self.case, folder, self.server)
        made.history.unlink(missing_ok=True)
        for part in self._parts_on_server():
            made.databases[part] = f"faults_{os.getpid()}_{next(_numbers)}"
            self._administer(postgres.create(made.databases[part], self.databases[part]))
        if self._parts_on_server():
            # A clone's sequences hand out numbers that the template's had logged in advance; a crash before the next
            # checkpoint would give them out again (PostgreSQL logs a clone's pages and not what is drawn from them).
            self._administer("CHECKPOINT")
        return made

    def remove(self) -> None:
        """Everything goes."""
        for part in self._parts_on_server():
            self._administer(postgres.drop(self.databases[part]))
        shutil.rmtree(self.folder)

    def fill(self, editions: dict[int, int]) -> bool:
        """Replace the intake by these editions of these days; false where somebody holds its lock."""
        rows = [row for day, edition in editions.items() for row in day_rows(self.case, day, edition)]
        kind = self.case.intake
        if kind in ("sqlite", "postgres"):
            return self._fill_table(rows)
        path = self.folder / "files" / "in" / f"rows.{kind}"
        plain = [row | {"at": row["at"].isoformat(sep=" ")} for row in rows]
        part = path.with_suffix(".part")
        if kind == "csv":
            with part.open("w", newline="") as file:
                writer = csv.DictWriter(file, NAMES)
                writer.writeheader()
                writer.writerows(plain)
        elif kind == "jsonl":
            part.write_text("".join(json.dumps(row) + "\n" for row in plain))
        else:
            import pyarrow as pa
            import pyarrow.parquet as pq

            pq.write_table(pa.Table.from_pylist(rows), part)
        part.rename(path)
        return True

    def _fill_table(self, rows: list[Row]) -> bool:
        table = sa.Table("scores", sa.MetaData(), *(sa.Column(name, kind) for name, kind in _TYPES.items()))
        try:
            with self._engine(self.case.intake) as engine, engine.begin() as connection:
                if connection.dialect.name == "postgresql":
                    connection.exec_driver_sql("SET LOCAL lock_timeout = '300ms'")
                table.create(connection, checkfirst=True)
                connection.execute(table.delete())
                connection.execute(table.insert(), rows)
        except sa.exc.OperationalError as error:
            if "lock" not in str(error.orig):
                raise
            return False
        return True

    def _make_table(self) -> None:
        unique = self.case.output in ("upsert_unique", "unmarked")
        table = sa.Table(
            "results",
            sa.MetaData(),
            sa.Column("id", sa.BigInteger, primary_key=unique, autoincrement=False),
            sa.Column("region", sa.Text),
            sa.Column("status", sa.Text),
        )
        theirs = [{"id": KEPT + n, "region": "theirs", "status": None} for n in range(3)]
        if self.case.output == "update":
            theirs += [
                {"id": row["id"], "region": "known", "status": None}
                for day in (0, 1)
                for row in day_rows(self.case, day, 2)
            ]
        with self._engine(self.case.database) as engine, engine.begin() as connection:
            table.create(connection)
            connection.execute(table.insert(), theirs)
            if self.case.output == "unmarked":
                known = connection.exec_driver_sql(f"SELECT 1 FROM pg_roles WHERE rolname = '{WRITER}'").first()
                if known is None:
                    connection.exec_driver_sql(f"CREATE ROLE {WRITER} LOGIN")
                connection.exec_driver_sql(f"GRANT SELECT, INSERT, UPDATE, DELETE ON results TO {WRITER}")

    @contextlib.contextmanager
    def _engine(self, kind: str) -> Iterator[sa.Engine]:
        arguments = {"timeout": 0.3} if kind == "sqlite" else {}
        engine = sa.create_engine(self.url(kind), connect_args=arguments, poolclass=sa.NullPool)
        yield engine
        engine.dispose()

    def _parts_on_server(self) -> list[str]:
        return [
            part for part, there in (("data", self.data_on_server), ("store", self.case.store == "postgres")) if there
        ]

    def _administer(self, statement: str) -> None:
        assert self.server is not None
        postgres.administer(self.server, statement)
