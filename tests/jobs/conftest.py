"""Worlds to run jobs in, on SQLite and PostgreSQL, and what their results are held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import pytest

import job_world
from airflow_monitoring_provider.definitions import JobDefinition
from oracles import slow_job


@pytest.fixture
def world(database_url: str, tmp_path: Path) -> Iterator[job_world.World]:
    """A world on SQLite, and one on PostgreSQL."""
    store_url = f"sqlite:///{tmp_path / 'store.sqlite'}" if database_url.startswith("sqlite") else database_url
    with job_world.open_world(database_url, store_url, tmp_path) as made:
        yield made


@pytest.fixture
def small_world(tmp_path: Path) -> Iterator[job_world.World]:
    """A world on SQLite, for promises that no database has a part in."""
    data, store = (f"sqlite:///{tmp_path / name}" for name in ("database.sqlite", "store.sqlite"))
    with job_world.open_world(data, store, tmp_path) as made:
        yield made


@pytest.fixture
def define() -> Callable[..., JobDefinition]:
    """A definition over the table ``scores``; keywords replace its members, None removes them."""
    return job_world.define


@pytest.fixture
def tools() -> ModuleType:
    """Days, windows and a source to override."""
    return job_world


@pytest.fixture(scope="session")
def oracle() -> ModuleType:
    """The slow recomputation that results are held against."""
    return slow_job


@pytest.fixture
def postgres_world(postgres_url: str, tmp_path: Path) -> Iterator[job_world.World]:
    """A world on PostgreSQL alone."""
    with job_world.open_world(postgres_url, postgres_url, tmp_path) as made:
        yield made
