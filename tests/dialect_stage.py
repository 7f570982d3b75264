"""A database that is not here: its statements are parsed as its own, translated, and answered by DuckDB.

What a translation cannot show (that a function is there, what a driver makes of a bound value) is asserted of the text
in ``tests/engines/test_sql_statements.py``, by lists of what each database is known to have: no server answers.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
from decimal import Decimal
from typing import Any

import sqlalchemy as sa
import sqlglot
from sqlglot import exp

MACROS = (
    "CREATE MACRO bits_of(x) AS CAST(CAST(CAST(x AS DOUBLE) AS BIT) AS BIGINT)",
    "CREATE MACRO raw_of(x) AS CAST(bits_of(x) AS HUGEINT) + (bits_of(x) < 0)::HUGEINT * 18446744073709551616",
    "CREATE MACRO from_hex_text(x, form) AS x",
    "CREATE MACRO same(x) AS x",
    "CREATE MACRO floor_of(x, d) AS CASE WHEN x < 0 AND x % d <> 0 THEN x // d - 1 ELSE x // d END",
    "CREATE MACRO bytes_of(x) AS 2 * length(x)",
    "CREATE TABLE dual (dummy VARCHAR)",
    "INSERT INTO dual VALUES ('X')",
)
_TEXTS = {*exp.DataType.TEXT_TYPES, exp.DataType.Type.CHARACTER_SET}
_OTHER_FUNCTIONS = {
    "oracle": {
        "UTL_RAW.CAST_FROM_BINARY_DOUBLE(": "raw_of(",
        "RAWTOHEX(": "same(",
        "TO_NUMBER(": "from_hex_text(",
        "TO_BINARY_DOUBLE(": "same(",
    },
    "tsql": {"datalength(": "bytes_of("},
}


@dataclasses.dataclass(frozen=True)
class Asked:
    """A statement: its text, what it is in its dialect, and each bound value with its type there."""

    text: str
    parsed: exp.Expression
    bound: list[tuple[Any, Any]]


class Stage:
    """As much of a connection as push-down needs.

    :param dialect: SQLAlchemy's; ``words``: its name to sqlglot; ``answers``: a connection to DuckDB with the rows.
    """

    def __init__(self, dialect: Any, words: str, answers: sa.Connection) -> None:
        self.dialect, self._words, self._answers = dialect, words, answers
        self.asked: list[Asked] = []

    def execute(self, statement: Any, *_ignored: Any, **_options: Any) -> Any:
        """The answers to the statement's translation."""
        compiled = statement.compile(dialect=self.dialect, compile_kwargs={"render_postcompile": True})
        text, values = str(compiled), compiled.params
        (parsed,) = sqlglot.parse(text, read=self._words, error_level=sqlglot.ErrorLevel.RAISE)
        assert parsed is not None
        types = {name: bind.type.dialect_impl(self.dialect) for name, bind in compiled.binds.items() if name in values}
        self.asked.append(Asked(text, parsed, [(value, types.get(name)) for name, value in values.items()]))
        answered = _known(text, self._words)
        tree = parsed.copy() if answered == text else sqlglot.parse_one(answered, read=self._words)
        translated = tree.transform(_in_duckdb, values, self._words, copy=False)
        return self._answers.exec_driver_sql(translated.sql("duckdb"))

    def scalar(self, statement: Any) -> Any:
        """The first value."""
        return self.execute(statement).scalar()

    def scalars(self, statement: Any) -> Any:
        """The first column."""
        return self.execute(statement).scalars()


def _known(text: str, words: str) -> str:
    """With macros in the place of functions that DuckDB does not have."""
    for name, macro in _OTHER_FUNCTIONS.get(words, {}).items():
        text = text.replace(name, macro)
    return text


def _in_duckdb(node: exp.Expression, values: dict[str, Any], words: str) -> exp.Expression:
    if isinstance(node, exp.Placeholder):
        return _literal(values[node.name])
    if isinstance(node, exp.Collate):  # DuckDB compares bytes without one
        return node.this.transform(_in_duckdb, values, words)
    if isinstance(node, exp.Cast) and node.to.this in _TEXTS:
        return exp.cast(node.this.transform(_in_duckdb, values, words), "TEXT")
    if isinstance(node, exp.Cast) and node.to.this == exp.DataType.Type.BINARY:
        return exp.Anonymous(this="bits_of", expressions=[node.this.transform(_in_duckdb, values, words)])
    if isinstance(node, exp.Floor) and words == "oracle":
        divided = node.this.unnest()
        if isinstance(divided, exp.Div) and _is_whole(divided.expression):  # exact there, and not in doubles
            whole = divided.this.transform(_in_duckdb, values, words)
            return exp.Anonymous(this="floor_of", expressions=[whole, divided.expression])
    if isinstance(node, exp.Div) and words == "tsql" and _is_whole(node.expression):
        return exp.IntDiv(this=node.this.transform(_in_duckdb, values, words), expression=node.expression)
    return node


def _is_whole(node: exp.Expression) -> bool:
    return isinstance(node, exp.Literal) and node.is_int


def _literal(value: Any) -> exp.Expression:
    if value is None:
        return exp.Null()
    if isinstance(value, float):
        return exp.cast(exp.Literal.string(repr(value)), "DOUBLE")
    if isinstance(value, dt.datetime):
        return exp.cast(exp.Literal.string(value.isoformat(sep=" ")), "TIMESTAMP")
    if isinstance(value, bool):
        return exp.Boolean(this=value)
    if isinstance(value, int | Decimal):
        return exp.Paren(this=exp.Literal.number(value))
    return exp.Literal.string(value)
