"""Every statement of whole profiles in the words of databases that are not here: valid there, and with one outcome."""

from __future__ import annotations

import contextlib
import math
import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import sqlalchemy as sa
from sqlalchemy.dialects import mssql, mysql, oracle
from sqlalchemy.dialects.mysql import mariadb
from sqlglot import exp

from airflow_monitoring_provider.definitions import load_definition
from airflow_monitoring_provider.definitions.terms import ColumnKind, TargetType
from airflow_monitoring_provider.engines.sql import profile_in_database
from airflow_monitoring_provider.intake import generic
from airflow_monitoring_provider.intake.relation import Relation
from airflow_monitoring_provider.intake.selection import SqlSelection, select_window
from airflow_monitoring_provider.intake.source import CannotPushDown, TimeFilter
from airflow_monitoring_provider.jobs.pushing import pushed_profile
from airflow_monitoring_provider.profiles.plan import (
    ColumnPlan,
    ColumnRole,
    ConditionPlan,
    ProfilePlan,
    SegmentPlan,
    TargetPlan,
)
from airflow_monitoring_provider.profiles.profile import Profile
from conformance import assert_same, open_engine, read, table
from dialect_stage import MACROS, Asked, Stage

DAY = datetime(2026, 3, 1, tzinfo=UTC)
WINDOW = TimeFilter("seen", DAY, DAY + timedelta(days=1))
KINDS: dict[str, Any] = {
    "id": sa.BigInteger(), "seen": sa.DateTime(), "x": sa.Double(), "k": sa.BigInteger(), "s": sa.Text(),
    "long": sa.Text(), "flag": sa.Boolean(), "p": sa.Double(), "q": sa.Double(), "r": sa.Double(), "y": sa.Text(),
    "n": sa.Double(),
}  # fmt: skip


def _mysql(kind: Any, version: tuple[int, ...]) -> Any:
    dialect = kind(paramstyle="named")
    dialect.server_version_info, dialect._support_float_cast = version, True  # as a connection would set them
    return dialect


# Versions that cast to doubles and compare texts byte by byte: MySQL 8.0.17, MariaDB 10.4.5.
DIALECTS = {
    "mysql": ("mysql", _mysql(mysql.dialect, (8, 0, 36))),
    "mariadb": ("mysql", _mysql(mariadb.MariaDBDialect, (10, 11, 6))),
    "mssql": ("tsql", mssql.dialect(paramstyle="named")),
    "oracle": ("oracle", oracle.dialect()),
}
FINITE_ONLY = ("mysql", "mariadb", "mssql")
EVERYWHERE = {"abs", "cast", "count", "max", "min", "sum", "sqrt"}
FUNCTIONS = {
    "mysql": {"ln", "greatest", "least", "floor", "log2", "pow", "convert"},
    "mariadb": {"ln", "greatest", "least", "floor", "log2", "pow", "convert"},
    "mssql": {"log", "datalength", "values", "nvarchar", "binary", "each"},
    "oracle": {"ln", "greatest", "floor", "rawtohex", "utl_raw.cast_from_binary_double", "to_binary_double",
               "to_number", "number", "varchar2"},
}  # fmt: skip
NO_FUNCTION = {"as", "in", "and", "or", "not", "then", "else", "when", "from", "case", "select", "where", "by", "end",
               "div", "on", "join", "distinct"}  # fmt: skip
CASTS = {
    "mysql": {"DOUBLE", "SIGNED INTEGER", "SIGNED"},
    "mariadb": {"DOUBLE", "SIGNED INTEGER", "SIGNED"},
    "mssql": {"DOUBLE PRECISION", "BIGINT", "INTEGER", "NVARCHAR(max)", "BINARY(8)"},
    "oracle": {"BINARY_DOUBLE", "NUMBER(19)", "INTEGER"},
}
MOST_BOUND = {"mssql": 2100, "mysql": 65_535, "mariadb": 65_535, "oracle": 65_535}


def rows_of_a_window(name: str) -> list[dict[str, Any]]:
    random = np.random.default_rng(4)
    odd = [
        0.0,
        -0.0,
        5e-324,
        -1e308,
        1e308,
        None,
        0.1,
        *([] if name in FINITE_ONLY else [math.nan, math.inf, -math.inf]),
    ]
    rows = []
    for n in range(-20, 420):
        p = float(random.random())
        rows.append(
            {
                "id": n, "seen": (DAY + timedelta(minutes=3 * n)).replace(tzinfo=None),
                "x": odd[n % len(odd)] if n % 2 else float(random.normal()), "k": [None, 3, -1, 2**53 + 1][n % 4],
                "s": ["EU", "EU ", "eu", "größe", None, "US"][n % 6], "long": "x" * (n % 5),
                "flag": [True, False, None][n % 3], "p": None if n == 7 else 1.5 if n == 9 else p,
                "q": (1 - p) * 0.75, "r": (1 - p) * 0.25, "y": str(random.choice(["a", "b", "c"])),
                "n": float(random.normal(3, 2)) if n % 13 else 0.0,
            }
        )  # fmt: skip
    return rows


SEGMENTS = (
    SegmentPlan("s", "s", limit=9, levels=("EU", "größe")),
    SegmentPlan("both", where=(ConditionPlan("s", "ne", ("eu",)), ConditionPlan("k", "ge", (0,)))),
)
FEATURES = [
    ColumnPlan("x", ColumnKind.NUMERIC, edges=(0.5,)), ColumnPlan("k", ColumnKind.NUMERIC),
    ColumnPlan("s", ColumnKind.CATEGORICAL), ColumnPlan("flag", ColumnKind.BOOLEAN),
    ColumnPlan("long", ColumnKind.TEXT),
]  # fmt: skip
TARGETS: dict[str, TargetPlan | None] = {
    "binary": TargetPlan(TargetType.BINARY, (("a", "p"),), "y", ("", "a"), "a", threshold=0.3),
    "multiclass": TargetPlan(TargetType.MULTICLASS, (("a", "p"), ("b", "q"), ("c", "r")), "y", ("a", "b", "c")),
    "features": None,
    "regression": TargetPlan(TargetType.REGRESSION, (("", "p"),), "n", interval_columns=("q", "r")),
}


def plan_of(target: str) -> ProfilePlan:
    told = TARGETS[target]
    if told is None:
        columns = tuple(sorted(FEATURES, key=lambda column: column.name))
        return ProfilePlan(columns, timestamp_column="seen", segments=SEGMENTS, histogram_buckets=128)
    mirrored = told.target_type is not TargetType.REGRESSION
    scores = [ColumnPlan(n, ColumnKind.NUMERIC, ColumnRole.PREDICTION, mirrored) for _, n in told.prediction_columns]
    kind = ColumnKind.CATEGORICAL if mirrored else ColumnKind.NUMERIC
    actual = ColumnPlan(str(told.actual_column), kind, ColumnRole.ACTUAL)
    columns = tuple(sorted([*scores, actual], key=lambda column: column.name))
    return ProfilePlan(columns, told, timestamp_column="seen", histogram_buckets=256)


@pytest.fixture(scope="module")
def sources(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Iterator[dict[bool, Any]]:
    """Rows with and without what some databases do not hold."""
    found = {}
    for finite, name in ((True, "mssql"), (False, "oracle")):
        engine = open_engine("duckdb", Path(tmp_path_factory.mktemp("d")), request)
        found[finite] = (engine, table(engine, rows_of_a_window(name), **KINDS))
        with engine.begin() as connection:
            for macro in MACROS:
                connection.exec_driver_sql(macro)
    yield found
    for engine, _source in found.values():
        engine.dispose()


@pytest.mark.parametrize(
    ("name", "target"),
    # MariaDB's statements are MySQL's but for the names of collations, which levels need.
    [(name, target) for name in DIALECTS for target in TARGETS if name != "mariadb" or target == "binary"],
)
def test_a_whole_profile_is_that_of_rows_that_are_read(name: str, target: str, sources: dict[bool, Any]) -> None:
    engine, source = sources[name in FINITE_ONLY]
    plan = plan_of(target)
    words, dialect = DIALECTS[name]
    with engine.connect() as answers:
        stage = Stage(dialect, words, answers)
        relation = Relation("t", sa.table("t", *map(sa.column, KINDS)), KINDS)
        selection = select_window(stage, relation, WINDOW, generic)  # type: ignore[arg-type]
        found: Profile = profile_in_database(plan, selection, ("id", "s"))

    assert_same(read(plan, source, ("id", "s"), window=WINDOW), found)
    assert len(stage.asked) >= 10
    for asked in stage.asked:
        check_only_aggregates_leave(asked)
        check_words(asked, name)
        check_bound_values(asked, name)


@pytest.mark.parametrize(
    ("kind", "version", "reason"),
    [
        (mysql.dialect, (5, 7, 44), r"casts to doubles for mysql from version 8\.0\.17 on"),
        (mariadb.MariaDBDialect, (10, 3, 39), r"casts to doubles for mariadb from version 10\.4\.5 on"),
    ],
)
def test_servers_that_cannot_cast_to_doubles_are_refused(kind: Any, version: tuple[int, ...], reason: str) -> None:
    dialect = _mysql(kind, version)
    dialect._support_float_cast = False
    selection = SqlSelection(Stage(dialect, "mysql", None), Relation("t", sa.table("t"), {}), generic, None)  # type: ignore[arg-type]
    with pytest.raises(CannotPushDown, match=reason):
        profile_in_database(ProfilePlan(()), selection)


def test_auto_reads_rows_of_databases_that_are_looked_at_as_texts_only() -> None:
    stage = Stage(DIALECTS["mysql"][1], "mysql", None)  # type: ignore[arg-type]

    class Source:
        label = "t"

        @contextlib.contextmanager
        def selection(self, _window: Any) -> Iterator[SqlSelection]:
            relation = Relation("t", sa.table("t", *map(sa.column, KINDS)), KINDS)
            yield SqlSelection(stage, relation, generic, None)  # type: ignore[arg-type]

    definition = load_definition(
        {"deploymentId": "d", "monitoringColumns": {"predictionsColumns": "p"}, "engine": "auto"}
    )
    plan = ProfilePlan((ColumnPlan("x", ColumnKind.NUMERIC),))
    source: Any = Source()
    said: list[str] = []
    log: Any = SimpleNamespace(note=said.append)
    assert pushed_profile(definition, plan, pa.schema([]), source, None, None, log) is None
    assert ["rows are read, because mysql was never asked for the profiles of rows that were read, too"] == said
    assert [] == stage.asked


def check_only_aggregates_leave(asked: Asked) -> None:
    """Somewhere from the outermost query inwards rows become groups, distinct codes or one line of aggregates."""
    query: Any = asked.parsed
    while not (query.args.get("distinct") or _is_aggregate(query)):
        inner = (query.args.get("from_") or query.args["from"]).this
        assert isinstance(inner, exp.Subquery), asked.text
        query = inner.this


def _is_aggregate(query: exp.Select) -> bool:
    """What is selected are keys of the groups, aggregates and constants; a key holds no bound value, as SQL Server and
    Oracle could not tell that two of them are the same.
    """
    group = query.args.get("group")
    keys = [] if group is None else group.expressions
    assert not any(key.find(exp.Placeholder) for key in keys), query.sql()
    known = {key.sql() for key in keys}
    told = [one.unalias() for one in query.expressions]
    others = [one for one in told if not (one.find(exp.AggFunc) or isinstance(one, exp.Placeholder | exp.Literal))]
    return all(one.sql() in known or str(next(one.find_all(exp.Column)).sql()) in known for one in others)


def check_words(asked: Asked, name: str) -> None:
    """Functions and casts are those of the database, and nothing is written that it does not know."""
    text = re.sub(r"'[^']*'", "''", asked.text)
    called = {one.lower() for one in re.findall(r"([A-Za-z_][A-Za-z_0-9.]*) ?\(", text)}
    assert called - NO_FUNCTION <= EVERYWHERE | FUNCTIONS[name], (called, asked.text)
    casts = set(re.findall(r" AS ([A-Z_]+(?: [A-Z]+)?(?:\((?:\d+|max)\))?)\)", text))
    assert casts <= CASTS[name], (casts, asked.text)
    assert not list(asked.parsed.find_all(exp.Boolean, exp.Offset, exp.Filter)), asked.text
    derived = [one for one in asked.parsed.find_all(exp.Subquery) if isinstance(one.parent, exp.From | exp.Join)]
    assert all(one.alias for one in derived), asked.text
    selected = [column for one in derived if isinstance(one.this, exp.Select) for column in one.this.expressions]
    assert all(column.alias_or_name for column in selected), asked.text
    if name in ("mssql", "oracle"):
        assert not re.search(r"\bLIMIT\b|\|\||\bWHEN [01] |\bNULLS\b", text), asked.text


def check_bound_values(asked: Asked, name: str) -> None:
    """No value of a row is in the text, and each is one that the driver can bind."""
    texts = {one.this for one in asked.parsed.find_all(exp.Literal) if one.is_string}
    assert texts <= {"XXXXXXXXXXXXXXXX"}, asked.text
    assert len(asked.bound) <= MOST_BOUND[name]
    for value, kind in asked.bound:
        if isinstance(value, float) and name in FINITE_ONLY:
            assert math.isfinite(value), asked.text
        if isinstance(value, float) and name == "oracle" and not isinstance(kind, oracle.BINARY_DOUBLE):
            # As a NUMBER, which ends at 1e126 and begins at 1e-130 (Oracle's "SQL Language Reference", data types)
            assert value == 0.0 or 1e-130 < abs(value) < 1e126, (value, kind, asked.text)
