"""Schema versions of the store, oldest first; ``schema.py`` runs them."""

from __future__ import annotations

VERSION_TABLE = "monitoring_alembic_version"
"""Own version table, so that the store can share a database with Airflow or anything else that uses alembic."""

REVISIONS = ("0001", "0002", "0003", "0004", "0005", "0006", "0007", "0008", "0009", "0010", "0011")
"""Every revision id, oldest first; four digits that count up, so that older code knows a newer schema by its number."""
