"""A free query is one SELECT; what only looks like a second statement inside quotes and comments is let through."""

from __future__ import annotations

import pytest

from airflow_monitoring_provider.exceptions import SourceError
from airflow_monitoring_provider.intake.query import checked_query


@pytest.mark.parametrize("dialect", ["sqlite", "postgresql", "snowflake"])
@pytest.mark.parametrize(
    "query",
    [
        "SELECT 1",
        "  (SELECT 1)",
        "WITH a AS (SELECT ';') SELECT * FROM a",
        "VALUES (1), (2)",
        "select ';', ')', '--', '/*', 'it''s', \"odd;(name\" from t",
        "SELECT 1 -- ; drop (",
        "SELECT /* ; ( */ 1",
        "-- leading ( comment\nSELECT 1",
        "SELECT '12:30', 50 % 7, 'a%b'",
    ],
)
def test_one_select_is_let_through(query: str, dialect: str) -> None:
    assert checked_query(query, dialect).strip() == checked_query(query + " ; ;\n", dialect).strip()


@pytest.mark.parametrize(
    "query",
    [
        "SELECT $$;)$$",
        "SELECT $tag$ $$ ; $tag$",
        "SELECT E'it\\'s ; )'",
        "SELECT /* a /* ; */ ( */ 1",
        "SELECT a[1:2]::int FROM t",
    ],
)
def test_quotes_that_only_postgresql_knows_are_let_through(query: str) -> None:
    assert query == checked_query(query, "postgresql")


@pytest.mark.parametrize(
    ("query", "match"),
    [
        ("SELECT 1; DROP TABLE t", "more than one statement"),
        ("SELECT 1) AS a; DROP TABLE t; --", "more than one statement"),
        ("SELECT 1) AS a, (SELECT 2", "parentheses"),
        ("SELECT (1", "parentheses"),
        ("SELECT 'open", "does not close"),
        ("SELECT 1 /* open", "comment that does not close"),
        ("SELECT $$ open", "does not close"),
        ("DELETE FROM t", "one SELECT"),
        ("", "one SELECT"),
        (" -- only a comment", "one SELECT"),
        ("; SELECT 1", "more than one statement"),
        ("EXPLAIN SELECT 1", "one SELECT"),
        ("SELECT $1", r"placeholder '\$1'"),
        ("SELECT E'\\'; DROP TABLE t", "does not close"),
    ],
)
def test_anything_else_is_refused(query: str, match: str) -> None:
    with pytest.raises(SourceError, match=match):
        checked_query(query, "postgresql")


@pytest.mark.parametrize("placeholder", ["?", "?1", ":name", "@name", "$name"])
def test_placeholders_of_sqlite_are_refused(placeholder: str) -> None:
    with pytest.raises(SourceError, match="placeholder"):
        checked_query(f"SELECT {placeholder}", "sqlite")
