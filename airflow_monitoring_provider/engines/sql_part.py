"""Rows that a database counts in one go, together or in groups, and the statements that ask for their aggregates.

A group is a segment, or a segment and a class; each row says by a whole number in which it is. So one statement counts
all segments of one way to group rows.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.intake.words import DOUBLE, most_bound

Expression = sa.ColumnElement[Any]

_MOST_ANSWERS = 1000
"""Expressions of one statement: PostgreSQL takes 1664 and SQLite 2000."""
_MOST_LITERALS = 20_000
"""Values bound in one statement: SQLite takes 32 766."""


@dataclasses.dataclass(frozen=True)
class Part:
    """Some rows of a selection.

    :param rows: what is counted.
    :param code: the whole number of a row's group, null where it is in none; None: all rows are group 0.
    """

    selection: Selection
    rows: sa.FromClause
    code: Expression | None = None

    def where(self, *conditions: sa.ColumnElement[bool]) -> tuple[sa.ColumnElement[bool], ...]:
        """The conditions, and that a row is in a group."""
        return conditions if self.code is None else (*conditions, self.code.is_not(None))

    def group(self) -> Expression:
        """The group's number as something to select."""
        return sa.literal(0, sa.Integer()) if self.code is None else self.code

    def totals(self, aggregates: Sequence[Expression], rows: sa.FromClause | None = None) -> dict[int, list[Any]]:
        """Group -> the aggregates of its rows; without groups there is always one, else those that have rows.

        :param rows: what to select from, where more than the rows is needed.
        """
        found: dict[int, list[Any]] = {}
        for start in range(0, len(aggregates), _MOST_ANSWERS):
            asked = aggregates[start : start + _MOST_ANSWERS]
            statement = sa.select(self.group(), *asked).select_from(self.rows if rows is None else rows)
            if self.code is not None:
                statement = statement.where(self.code.is_not(None)).group_by(self.code)
            for group, *answers in self.selection.connection.execute(statement):
                found.setdefault(int(group), []).extend(answers)
        return found

    def keyed(self, keys: Sequence[Expression], aggregates: Sequence[Expression]) -> list[tuple[Any, ...]]:
        """(group, *keys, *aggregates) of every combination that occurs."""
        statement = sa.select(self.group(), *keys, *aggregates).select_from(self.rows).where(*self.where())
        grouped = statement.group_by(*([] if self.code is None else [self.code]), *keys)
        return [tuple(row) for row in self.selection.connection.execute(grouped)]


def once(part: Part, columns: Mapping[str, Expression], rows: sa.FromClause | None = None) -> Part:
    """The rows of a part with these columns alone, each computed once a row however many aggregates look at it.

    Databases put the expressions of a subquery in the place of its columns, so that a power of a CASE would evaluate it
    that many times over; PostgreSQL and SQLite do not do so across an OFFSET, which others want an order for.

    :param rows: what to select from, where more than the rows is needed.
    """
    code = part.group().label("monitoring_code")
    named = (one.label(name) for name, one in columns.items())
    asked = sa.select(code, *named).select_from(part.rows if rows is None else rows).where(*part.where())
    fenced = part.selection.connection.dialect.name in ("postgresql", "sqlite")
    inner = (asked.offset(0) if fenced else asked).subquery("once")
    return Part(part.selection, inner, None if part.code is None else inner.c.monitoring_code)


def check_bound(part: Part) -> None:
    """Refuse rows that bind more values than leave room for the rest of a statement.

    :raises CannotPushDown: they do.
    """
    dialect = part.selection.connection.dialect
    bound = len(sa.select(part.rows).compile(dialect=dialect).params)
    if bound > most_bound(dialect.name) // 4:
        raise CannotPushDown(f"statuses and segments tell {bound} values apart, too many for one statement")


class Literals:
    """Numbers that differ from group to group, inside a statement: written into it, or joined as a little table.

    :param groups: group -> its numbers, all of one length.
    """

    def __init__(self, part: Part, groups: dict[int, list[float]]) -> None:
        self._plain = None if part.code is not None else groups[0]
        self._table: sa.FromClause | None = None
        self.rows: sa.FromClause = part.rows
        if part.code is not None and groups:
            lines: list[sa.Select[*tuple[Any, ...]]] = [
                sa.select(
                    sa.literal(group, sa.Integer()).label("monitoring_code"),
                    *(sa.literal(n, DOUBLE).label(f"n{place}") for place, n in enumerate(numbers)),
                )
                for group, numbers in groups.items()
            ]
            self._table = sa.union_all(*lines).subquery("literals")
            self.rows = part.rows.join(self._table, part.code == self._table.c.monitoring_code)

    def number(self, place: int) -> Expression:
        """The number at a place, as a double."""
        if self._table is not None:
            column: Expression = self._table.c[f"n{place}"]
            return column
        return sa.literal(0.0 if self._plain is None else self._plain[place], DOUBLE)


def in_chunks(names: Sequence[str], groups: int, width: int, dialect: str) -> list[list[str]]:
    """Columns that fit one statement, where each needs ``width`` literals in each group.

    Half of what a statement may bind is left to the rows (:func:`check_bound`) and to what is asked of each column.
    """
    most = min(_MOST_LITERALS, most_bound(dialect) // 2)
    step = max(1, min(_MOST_ANSWERS // 4, most // max(1, groups * width)))
    return [list(names[start : start + step]) for start in range(0, len(names), step)]
