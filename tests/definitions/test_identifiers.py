"""Names that reach a database: what is refused, and that everything else arrives there as it is."""

from __future__ import annotations

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.definitions import check_column, check_identifier
from airflow_monitoring_provider.exceptions import DefinitionError

HOSTILE = [
    'a"b',
    "a'b",
    "a`b",
    "a]b",
    "a;b",
    "robert'); drop table students; --",
    "/* a */",
    "select",
    "Order",
    " leading",
    "trailing ",
    "%s",
    "%(a)s",
    ":x",
    "?",
    "{{ conn.db.password }}",
    "a.b",
    "a\\b",
    "日本語",
    "é",
    "e\u0301",
    "\u202eright to left",
    "😀",
    "ß" * 31,
    "x" * 63,
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_name_that_quoting_can_carry_is_allowed(name: str) -> None:
    assert name == check_identifier(name, "table")
    assert name == check_column(name, "column")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("", "must not be empty"),
        ("a\0b", r"control character U\+0000 \(at position 1\)"),
        ("a\n", r"control character U\+000A \(at position 1\)"),
        ("\x1b[31m", r"control character U\+001B"),
        ("a\x85", r"control character U\+0085"),
        ("a\ud800", r"half of a surrogate pair \(at position 1\)"),
        ("x" * 64, "at most 63 bytes in UTF-8, not 64"),
        ("😀" * 16, "at most 63 bytes in UTF-8, not 64"),
    ],
)
def test_a_name_that_no_quoting_can_carry_is_refused(name: str, words: str) -> None:
    with pytest.raises(DefinitionError, match=rf"^outputSettings\.table: .*{words}") as caught:
        check_identifier(name, "outputSettings.table")
    assert "outputSettings.table" == caught.value.field


def test_columns_of_files_may_be_longer() -> None:
    assert "x" * 255 == check_column("x" * 255, "c")
    with pytest.raises(DefinitionError, match="at most 255 bytes in UTF-8, not 256"):
        check_column("x" * 256, "c")


def test_what_is_no_text_is_no_name() -> None:
    with pytest.raises(DefinitionError, match="must be text, not int"):
        check_identifier(5, "table")  # type: ignore[arg-type]


@given(st.text(max_size=80))
def test_a_refusal_never_repeats_the_name(name: str) -> None:
    try:
        assert name == check_identifier(name, "f")
        assert 0 < len(name.encode()) <= 63
    except DefinitionError as error:
        assert len(name) < 4 or name not in str(error)  # noqa: PT017  either outcome is right


def test_every_name_that_is_allowed_arrives_in_the_database(database_url: str) -> None:
    engine = sa.create_engine(database_url)
    tables = [sa.Table(name, sa.MetaData(), sa.Column(name, sa.Integer)) for name in HOSTILE]
    with engine.begin() as connection:
        for table in tables:
            table.create(connection)
            connection.execute(sa.insert(table).values({table.c[0]: 1}))
    with engine.connect() as connection:
        found = sa.inspect(connection)
        assert set(HOSTILE) == set(found.get_table_names())
        for name, table in zip(HOSTILE, tables, strict=True):
            assert [name] == [column["name"] for column in found.get_columns(name)]
            assert 1 == connection.execute(sa.select(table.c[0]).where(table.c[0] == 1)).scalar_one()
    engine.dispose()
