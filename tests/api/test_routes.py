"""Every route below /monitoring against Airflow's real API server: who may see what, and what a page can carry."""

from __future__ import annotations

import json
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.api.app import create_app
from airflow_monitoring_provider.definitions import load_definition, resolve_window
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.store.records import RunInfo

USERS = {"admin": "admin", "op": "op", "user": "user", "vic": "viewer"}
HOSTILE = '"><script>alert(1)</script>{{ 7*7 }}'

# Each route with the status that each caller gets; a route that is not listed here fails the test below.
ROUTES = {
    "/jobs/{job_id}": {"nobody": 401, "vic": 200, "user": 200, "op": 200, "admin": 200},
    "/style.css": {"nobody": 401, "vic": 200, "user": 200, "op": 200, "admin": 200},
}


@pytest.fixture(scope="module")
def client(airflow_home: Path) -> Iterator[Any]:
    """Airflow's own application with the provider's plugin, and users of every role."""
    environment = pytest.MonkeyPatch()
    passwords = airflow_home / "passwords.json"
    passwords.write_text(json.dumps({name: name for name in USERS}))
    environment.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", ",".join(f"{n}:{r}" for n, r in USERS.items()))
    environment.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
    environment.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "only-for-tests-" * 8)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from airflow.api_fastapi.app import cached_app, purge_cached_app
        from fastapi.testclient import TestClient

        purge_cached_app()
        with TestClient(cached_app(apps="all"), base_url="http://testserver") as opened:
            yield opened
        purge_cached_app()
    environment.undo()


@pytest.fixture
def job_id(scores: Path, churn_payload: dict[str, Any], set_connection: Callable[..., None], tmp_path: Path) -> str:
    """A job of a definition with a hostile name, run by the DAG ``monitoring__churn``."""
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})
    definition = load_definition(churn_payload | {"name": HOSTILE, "deployment_id": HOSTILE})
    params = {"window_start": "2026-03-01", "window_end": "2026-03-02"}
    window = resolve_window(
        definition, params=params, data_interval=None, partition_key=None, run_after=None, scheduled=False
    )
    with open_ports("monitoring_store_default") as ports:
        job = run_job(definition, window, ports, run=RunInfo(dag_id="monitoring__churn")).job_id
        evaluate_job(job, definition, ports.store)
    return job


def _get(client: Any, path: str, who: str) -> Any:
    client.cookies.clear()
    headers = {}
    if who != "nobody":
        answer = client.post("/auth/token", json={"username": who, "password": who})
        headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        client.cookies.clear()
    return client.get(f"/monitoring{path}", headers=headers, follow_redirects=False)


def test_every_route_is_in_the_table() -> None:
    assert sorted(ROUTES) == sorted(route.path for route in create_app().routes)


@pytest.mark.parametrize("who", ["nobody", *USERS])
@pytest.mark.parametrize("route", ROUTES)
def test_who_may_see_it(client: Any, job_id: str, route: str, who: str) -> None:
    assert ROUTES[route][who] == _get(client, route.format(job_id=job_id), who).status_code


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/", "/jobs", "/jobs/"])
def test_there_is_nothing_else(client: Any, path: str) -> None:
    assert 404 == _get(client, path, "nobody").status_code


def test_unknown_and_forbidden_jobs_answer_alike(client: Any, job_id: str, monkeypatch: pytest.MonkeyPatch) -> None:
    from airflow.api_fastapi.app import get_auth_manager

    unknown = _get(client, "/jobs/nowhere", "vic")
    monkeypatch.setattr(type(get_auth_manager()), "is_authorized_dag", lambda self, **_: False)
    forbidden = _get(client, f"/jobs/{job_id}", "vic")
    assert (404, unknown.content) == (forbidden.status_code, forbidden.content)
    assert 404 == unknown.status_code


def test_a_page_shows_results_and_carries_no_markup_of_others(client: Any, job_id: str) -> None:
    page = _get(client, f"/jobs/{job_id}", "vic")
    assert "rejected:duplicate_identifier" in page.text
    assert "churn_probability" in page.text
    assert "<script" not in page.text
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in page.text
    assert " style=" not in page.text


def test_headers_forbid_scripts_and_framing(client: Any, job_id: str) -> None:
    headers = _get(client, f"/jobs/{job_id}", "vic").headers
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "frame-ancestors 'self'" in headers["content-security-policy"]
    assert "nosniff" == headers["x-content-type-options"]


def test_a_page_changes_nothing(client: Any, job_id: str) -> None:
    for method in ("post", "put", "patch", "delete"):
        assert getattr(client, method)(f"/monitoring/jobs/{job_id}").status_code in (401, 403, 405)


def test_airflow_lists_the_plugin_without_errors(client: Any) -> None:
    token = client.post("/auth/token", json={"username": "admin", "password": "admin"}).json()["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    plugins = client.get("/api/v2/plugins", headers=headers)
    assert 200 == plugins.status_code
    assert "monitoring" in [plugin["name"] for plugin in plugins.json()["plugins"]]
    assert [] == client.get("/api/v2/plugins/importErrors", headers=headers).json()["import_errors"]
