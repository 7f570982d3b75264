"""The status of every row, as the database that holds the rows selects it for an output in the same database.

The profile is computed in one transaction and the rows are written in a later one, in which they may be others. So the
first one leaves a fingerprint of all that is to be written, and the second compares: an attempt writes the rows that it
profiled, or none.

The fingerprint does not depend on the order of rows: two 64-bit hashes a row, added up. It is of use within one
database only: PostgreSQL hashes with its own function, SQLite with one of this process.
"""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from airflow_monitoring_provider.definitions.terms import RowStatus, TargetType
from airflow_monitoring_provider.exceptions import SourceUnavailable
from airflow_monitoring_provider.intake import words
from airflow_monitoring_provider.intake.source import CannotPushDown, Selection
from airflow_monitoring_provider.profiles.plan import ProfilePlan

Expression = sa.ColumnElement[Any]

_DIGEST = "monitoring_rows_digest"
_UNFIT = "unfit"
_LANE = 1 << 64


def status_of(
    plan: ProfilePlan, selection: Selection, identifiers: Sequence[str], copied: Sequence[str] = ()
) -> Expression:
    """The number of each row's status, by the rules of :class:`~airflow_monitoring_provider.engines.screen.Screen`.

    :param copied: columns that go to the output; a value that none can hold gives the row its status, if nothing else
        does.
    """
    reasons: list[tuple[RowStatus, sa.ColumnElement[bool]]] = []
    target = plan.target
    for _, name in target.prediction_columns if target is not None else ():
        score = selection.double(selection.column(name))
        probability = target is not None and target.target_type is not TargetType.REGRESSION
        low, high = selection.is_infinite(score, -1), selection.is_infinite(score, 1)
        if probability:
            low, high = score < 0.0, score > 1.0
        reasons.append((RowStatus.MISSING_PREDICTION, sa.or_(score.is_(None), selection.is_nan(score))))
        reasons.append((RowStatus.INVALID_PREDICTION, sa.or_(low, high)))
    reasons += [(RowStatus.MISSING_IDENTIFIER, selection.column(name).is_(None)) for name in identifiers]
    lost = [condition for _, condition in map(selection.copied, copied) if condition is not None]
    reasons += [(RowStatus.UNSTORABLE_VALUE, condition) for condition in lost]
    whens = [(reason, int(status)) for status, reason in sorted(reasons, key=lambda pair: pair[0])]
    return sa.case(*whens, else_=int(RowStatus.MONITORED)) if whens else sa.literal(0, sa.Integer())


@dataclasses.dataclass(frozen=True)
class SelectedRows:
    """Row results of a window, to be selected in any transaction of the database that holds its rows.

    :param selection: of the transaction that computed the profile.
    :param schema: names and types of the output's columns; the last one is the status.
    """

    plan: ProfilePlan
    selection: Selection
    identifiers: tuple[str, ...]
    schema: pa.Schema

    @property
    def copied(self) -> tuple[str, ...]:
        """The columns that are copied."""
        return tuple(self.schema.names[:-1])

    def select(self) -> sa.Select[Any]:
        """The rows as the output holds them."""
        status = status_of(self.plan, self.selection, self.identifiers, self.copied)
        texts = {int(member): sa.literal(member.text, sa.Text()) for member in RowStatus}
        columns = [self.selection.copied(name)[0].label(name) for name in self.copied]
        return self.selection.rows(*columns, sa.case(texts, value=status).label(self.schema.names[-1]))

    def prepare(self, connection: sa.Connection) -> None:
        """Make a transaction select what the first one selected; before :meth:`select` and :meth:`digest`."""
        self.selection.prepare(connection)
        if connection.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.create_aggregate(_DIGEST, -1, _Digest)

    def digest(self, rows: sa.FromClause) -> list[Expression]:
        """Aggregates of selected rows, for :meth:`told`."""
        columns: list[Expression] = [rows.c[name] for name in self.schema.names]
        if self.selection.connection.dialect.name == "sqlite":
            shown = [_shown(column, field.type) for column, field in zip(columns, self.schema, strict=True)]
            told = getattr(sa.func, _DIGEST)(*shown, type_=sa.Text())
            return [sa.func.count(), sa.func.coalesce(told, "")]  # null of no rows
        whole = sa.cast(sa.func.row(*columns), sa.Text())
        lanes = [sa.func.hashtextextended(whole, sa.literal(seed, sa.BigInteger())) for seed in (1, 2)]
        return [sa.func.count(), *(sa.func.coalesce(sa.func.sum(lane), 0) for lane in lanes)]

    def told(self, digest: Sequence[Any]) -> tuple[int, str]:
        """Number and fingerprint of rows."""
        rows, *lanes = digest
        if isinstance(lanes[0], str):
            return int(rows), lanes[0]
        return int(rows), "".join(f"{int(lane) % _LANE:016x}" for lane in lanes)


@dataclasses.dataclass(frozen=True)
class ProfiledRows:
    """The row results of a profile that the database computed.

    :param rows: how many there were; ``checksum``: their fingerprint.
    """

    selected: SelectedRows
    rows: int
    checksum: str
    _written_by: list[sa.Connection] = dataclasses.field(default_factory=list, repr=False, compare=False)

    @classmethod
    def of(cls, selected: SelectedRows) -> ProfiledRows:
        """Look at the rows in the transaction of their profile.

        :raises CannotPushDown: a column holds texts that no other database would hold.
        """
        connection = selected.selection.connection
        selected.prepare(connection)
        asked = sa.select(*selected.digest(selected.select().subquery("written")))
        rows, checksum = selected.told(connection.execute(asked).one())
        if checksum == _UNFIT:
            raise CannotPushDown("a copied column holds text that is not UTF-8, or has a NUL")
        return cls(selected, rows, checksum)

    @property
    def schema(self) -> pa.Schema:
        """Names and types of the output's columns."""
        return self.selected.schema

    def prepare(self, connection: sa.Connection) -> sa.Select[Any]:
        """The rows as the output holds them, for the transaction that writes them."""
        self.selected.prepare(connection)
        self._written_by[:] = [connection]
        return self.selected.select()

    def cancel(self) -> None:
        """Tell the database to end the statement that writes the rows, from any thread."""
        for connection in tuple(self._written_by):
            words.cancel(connection)

    def digest(self, rows: sa.FromClause) -> list[Expression]:
        """Aggregates of the rows that were written, for :meth:`check`."""
        return self.selected.digest(rows)

    def check(self, digest: Sequence[Any]) -> None:
        """Whether what was written is what was profiled.

        :raises SourceUnavailable: it is not.
        """
        self._written_by.clear()  # what follows is the commit
        if self.selected.told(digest) != (self.rows, self.checksum):
            raise SourceUnavailable(
                "The rows changed between their profile and their statuses; nothing was written. Choose a window that "
                "is complete, or engine: arrow, which reads rows once."
            )


class _Digest:
    """SQLite's aggregate."""

    def __init__(self) -> None:
        self._lanes = [0, 0]
        self._fit = True

    def step(self, *values: Any) -> None:
        """Add a row."""
        self._fit = self._fit and all(map(_is_fit, values))
        digest = hashlib.sha256(repr(values).encode()).digest()
        for lane in (0, 1):
            self._lanes[lane] += int.from_bytes(digest[8 * lane : 8 * lane + 8], "big")

    def finalize(self) -> str:
        """The fingerprint."""
        return "".join(f"{lane % _LANE:016x}" for lane in self._lanes) if self._fit else _UNFIT


def _shown(column: Expression, kind: pa.DataType) -> Expression:
    """A text as its bytes, since the driver would fail at one that is not UTF-8 without saying so; bytes as a text."""
    if pa.types.is_string(kind):
        return sa.cast(column, sa.LargeBinary())
    return sa.case((column.is_not(None), sa.func.hex(column))) if pa.types.is_binary(kind) else column


def _is_fit(value: Any) -> bool:
    if not isinstance(value, bytes):
        return True
    try:
        return "\x00" not in value.decode()
    except UnicodeDecodeError:
        return False
