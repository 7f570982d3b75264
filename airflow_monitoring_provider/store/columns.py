"""The column forms every table is made of, and the metadata that holds them all."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa

from airflow_monitoring_provider.store.types import Json, Utc

metadata = sa.MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

MONITOR_ID_LIMIT = 600


def name(column: str, *args: Any, comment: str | None = None, null: bool = False, key: bool = False) -> sa.Column[str]:
    """An id, a name or one word of a closed list: at most 255 characters, so that it fits an index."""
    return sa.Column(column, sa.String(255), *args, nullable=null, primary_key=key, comment=comment)


def monitor(column: str, *args: Any, null: bool = False, key: bool = False) -> sa.Column[str]:
    """The id of a monitor, which may spell out definition, metric, column and segment."""
    return sa.Column(column, sa.String(MONITOR_ID_LIMIT), *args, nullable=null, primary_key=key)


def prose(column: str, comment: str | None = None, *, null: bool = True) -> sa.Column[str]:
    """Text of any length."""
    return sa.Column(column, sa.Text, nullable=null, comment=comment)


def time(column: str, comment: str | None = None, *, null: bool = True) -> sa.Column[Any]:
    """An instant."""
    return sa.Column(column, Utc, nullable=null, comment=comment)


def count(column: str, comment: str | None = None, *, null: bool = False, key: bool = False) -> sa.Column[int]:
    """A whole number of 64 bits."""
    return sa.Column(column, sa.BigInteger, nullable=null, primary_key=key, comment=comment, autoincrement=False)


def number(column: str, comment: str | None = None, *, null: bool = True) -> sa.Column[float]:
    """A finite double."""
    return sa.Column(column, sa.Double, nullable=null, comment=comment)


def flag(column: str, comment: str | None = None) -> sa.Column[bool]:
    """Yes or no."""
    return sa.Column(column, sa.Boolean, nullable=False, comment=comment)


def json(column: str, comment: str | None = None, *, null: bool = True) -> sa.Column[Any]:
    """JSON."""
    return sa.Column(column, Json, nullable=null, comment=comment)


def blob(column: str, comment: str | None = None) -> sa.Column[bytes]:
    """Bytes."""
    return sa.Column(column, sa.LargeBinary, nullable=False, comment=comment)


def serial() -> sa.Column[int]:
    """A key that the database counts up."""
    return sa.Column("id", sa.BigInteger().with_variant(sa.Integer, "sqlite"), primary_key=True, autoincrement=True)
