"""The pages in Airflow's real API server: who may see what, and that nothing hostile gets through.

A route that is missing from ``ROUTES`` fails the test.
"""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
import re
import warnings
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import Window, load_definition
from airflow_monitoring_provider.hooks.ports import open_ports
from airflow_monitoring_provider.jobs.evaluate import evaluate_job
from airflow_monitoring_provider.jobs.run import run_job
from airflow_monitoring_provider.store.records import RunInfo

USERS = {"vic": "viewer", "una": "user", "olaf": "op", "ada": "admin"}
PASSWORD = "a-test-password"
# route: what nobody, and what a user of each role gets
ROUTES = {
    "/jobs/{job_id}": {"nobody": 401, "viewer": 200, "user": 200, "op": 200, "admin": 200, "stranger": 404},
    "/style.css": {"nobody": 401, "viewer": 200, "user": 200, "op": 200, "admin": 200, "stranger": 200},
}
HEADERS = {
    "content-security-policy": "default-src 'none'; style-src 'self'; frame-ancestors 'self'; base-uri 'none'",
    "x-content-type-options": "nosniff",
    "cache-control": "no-store",
    "referrer-policy": "same-origin",
}
HOSTILE = "<script>alert(1)</script>\"'><img src=x onerror=alert(2)>&lt;"


@dataclasses.dataclass(frozen=True)
class Server:
    """Airflow's application, and a token per role; ``stranger`` is a user without any role."""

    client: Any
    tokens: dict[str, str]

    def get(self, path: str, role: str) -> Any:
        """The answer to a user of that role."""
        headers = {"Authorization": f"Bearer {self.tokens[role]}"} if role != "nobody" else {}
        return self.client.get(path, headers=headers, follow_redirects=False)


@pytest.fixture(scope="module")
def server(airflow_home: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Airflow's whole FastAPI application with users of every role, who have logged in with their passwords."""
    passwords = tmp_path_factory.mktemp("auth") / "passwords.json"
    passwords.write_text(json.dumps(dict.fromkeys(USERS, PASSWORD)))
    users = ",".join(f"{name}:{role}" for name, role in USERS.items())
    with pytest.MonkeyPatch.context() as patch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_USERS", users)
        patch.setenv("AIRFLOW__CORE__SIMPLE_AUTH_MANAGER_PASSWORDS_FILE", str(passwords))
        patch.setenv("AIRFLOW__API_AUTH__JWT_SECRET", "a-secret-of-this-test-" * 4)
        from airflow.api_fastapi.app import create_app, get_auth_manager, purge_cached_app
        from airflow.api_fastapi.auth.managers.simple.user import SimpleAuthManagerUser
        from fastapi.testclient import TestClient

        purge_cached_app()
        with TestClient(create_app(), base_url="http://localhost") as client:
            tokens = {role: _log_in(client, name) for name, role in USERS.items()}
            stranger = SimpleAuthManagerUser(username="sam", role=None)
            tokens["stranger"] = get_auth_manager().generate_jwt(user=stranger)
            yield Server(client, tokens)
        purge_cached_app()


def _log_in(client: Any, name: str) -> str:
    answer = client.post("/auth/token", json={"username": name, "password": PASSWORD})
    assert 201 == answer.status_code, answer.text
    token: str = answer.json()["access_token"]
    return token


@pytest.fixture
def job_of(
    scores: Path, churn_payload: dict[str, Any], set_connection: Callable[..., None], tmp_path: Path
) -> Callable[..., str]:
    """``job_of(dag_id, day, **changes of the definition)``: runs and evaluates a real job, and gives its id."""
    set_connection("scores_db", conn_type="sqlite", host=str(scores))
    set_connection("monitoring_store_default", conn_type="monitoring_store", extra={"path": str(tmp_path / "s.sqlite")})

    def run(dag_id: str | None = "monitoring__churn", day: int = 0, **changes: Any) -> str:
        definition = load_definition(churn_payload | changes)
        start = dt.datetime(2026, 3, 1 + day, tzinfo=dt.UTC)
        window = Window.of(start, start + dt.timedelta(days=1))
        with open_ports("monitoring_store_default") as ports:
            job_id = run_job(definition, window, ports, run=RunInfo(dag_id=dag_id)).job_id
            evaluate_job(job_id, definition, ports.store)
        return job_id

    return run


def test_every_route_is_in_the_table() -> None:
    from airflow_monitoring_provider.api.app import create_app

    assert set(ROUTES) == {route.path for route in create_app().routes}  # type: ignore[attr-defined]


@pytest.mark.parametrize("role", ["nobody", "stranger", "viewer", "user", "op", "admin"])
@pytest.mark.parametrize("route", sorted(ROUTES))
def test_who_may_see_what(route: str, role: str, server: Server, job_of: Callable[..., str]) -> None:
    path = "/monitoring" + route.format(job_id=job_of())
    assert ROUTES[route][role] == server.get(path, role).status_code


@pytest.mark.parametrize("method", ["post", "put", "patch", "delete"])
def test_nothing_changes_anything(method: str, server: Server, job_of: Callable[..., str]) -> None:
    headers = {"Authorization": f"Bearer {server.tokens['admin']}"}
    for route in ROUTES:
        answer = server.client.request(method, "/monitoring" + route.format(job_id=job_of()), headers=headers)
        assert 405 == answer.status_code


def test_forged_token_is_nobody(server: Server, job_of: Callable[..., str]) -> None:
    forged = Server(server.client, {"forged": server.tokens["admin"][:-4] + "AAAA"})
    assert forged.get(f"/monitoring/jobs/{job_of()}", "forged").status_code in (401, 403)


def test_unknown_and_forbidden_job_answer_alike(server: Server, job_of: Callable[..., str]) -> None:
    forbidden = server.get(f"/monitoring/jobs/{job_of()}", "stranger")
    unknown = server.get("/monitoring/jobs/no-such-job", "stranger")
    for_admin = server.get("/monitoring/jobs/no-such-job", "admin")
    assert 404 == forbidden.status_code
    kept = [_comparable(answer) for answer in (forbidden, unknown, for_admin)]
    assert kept[0] == kept[1] == kept[2]


def _comparable(answer: Any) -> tuple[int, str, dict[str, str]]:
    changing = {"correlation-id", "x-request-id", "date"}
    return answer.status_code, answer.text, {k: v for k, v in answer.headers.items() if k not in changing}


def test_job_of_no_dag_needs_the_right_to_read_all(server: Server, job_of: Callable[..., str]) -> None:
    path = f"/monitoring/jobs/{job_of(dag_id=None)}"
    assert (404, 200) == (server.get(path, "stranger").status_code, server.get(path, "viewer").status_code)


@pytest.mark.parametrize("path", ["/docs", "/redoc", "/openapi.json", "/docs/oauth2-redirect", "/"])
def test_generated_documentation_is_off(path: str, server: Server) -> None:
    assert 404 == server.get("/monitoring" + path, "admin").status_code


@pytest.mark.parametrize("path", ["/jobs/JOB", "/jobs/no-such-job", "/style.css"])
def test_security_headers(path: str, server: Server, job_of: Callable[..., str]) -> None:
    answer = server.get("/monitoring" + path.replace("JOB", job_of()), "viewer")
    assert HEADERS == {name: answer.headers.get(name) for name in HEADERS}


def test_plugin_is_listed_without_errors(server: Server) -> None:
    plugins = {plugin["name"]: plugin for plugin in server.get("/api/v2/plugins", "admin").json()["plugins"]}
    assert ["/monitoring"] == [app["url_prefix"] for app in plugins["monitoring"]["fastapi_apps"]]
    assert [] == server.get("/api/v2/plugins/importErrors", "admin").json()["import_errors"]


def test_store_that_does_not_answer_is_a_sentence_without_secrets(
    server: Server, set_connection: Callable[..., None]
) -> None:
    set_connection(
        "monitoring_store_default",
        conn_type="monitoring_store",
        host="127.0.0.1",
        port=1,
        schema="s",
        login="me",
        password="canary-4711",
    )
    answer = server.get("/monitoring/jobs/any", "viewer")
    assert (503, HEADERS["cache-control"]) == (answer.status_code, answer.headers["cache-control"])
    assert "canary-4711" not in answer.text
    assert "Traceback" not in answer.text


class _Page(HTMLParser):
    """Tags with their attributes, and text."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


def test_page_tells_the_job_and_holds_no_script_and_no_inline_style(server: Server, job_of: Callable[..., str]) -> None:
    page = _Page(server.get(f"/monitoring/jobs/{job_of()}", "viewer").text)
    for words in ("churn-model", "completed", "397 rows", "psi", "amount", "reading table 'scores'"):
        assert words in page.text
    assert {"script", "style", "img", "iframe", "object"}.isdisjoint(tag for tag, _ in page.tags)
    attributes = {name for _, attributes in page.tags for name in attributes}
    assert attributes <= {"lang", "charset", "rel", "href", "class"}


def test_style_sheet_of_the_page_is_there(server: Server, job_of: Callable[..., str]) -> None:
    path = f"/monitoring/jobs/{job_of()}"
    page = _Page(server.get(path, "viewer").text)
    (href,) = [attributes["href"] for tag, attributes in page.tags if tag == "link"]
    answer = server.client.get(
        f"/monitoring/jobs/{href}", headers={"Authorization": f"Bearer {server.tokens['viewer']}"}
    )
    assert (200, "text/css; charset=utf-8") == (answer.status_code, answer.headers["content-type"])


def test_hostile_text_is_only_text(
    server: Server, job_of: Callable[..., str], scores: Path, churn_payload: dict[str, Any]
) -> None:
    import sqlite3

    column = "<script>alert(3)</script>"
    with sqlite3.connect(scores) as connection:
        connection.execute(f'ALTER TABLE scores RENAME COLUMN amount TO "{column}"')
    connection.close()
    job_id = job_of(
        id="hostile",
        name=f"name {HOSTILE}",
        deployment_id=f"deployment {HOSTILE}",
        features=[column, "region"],
    )
    _log(job_id, f"line {HOSTILE}")
    text = server.get(f"/monitoring/jobs/{job_id}", "viewer").text
    page = _Page(text)
    assert {"script", "img"}.isdisjoint(tag for tag, _ in page.tags)
    assert not re.search(r"<[^>]*\bon\w+=", text)
    for told in (f"deployment {HOSTILE}", column, f"line {HOSTILE}"):
        assert told in page.text


def test_the_page_says_what_moved_and_hostile_levels_are_only_text(
    server: Server, job_of: Callable[..., str], scores: Path
) -> None:
    import sqlite3

    column, level = "c\u202e<b>", "<script>x\n\u2066</script>"
    with sqlite3.connect(scores) as connection:
        connection.execute(f'ALTER TABLE scores RENAME COLUMN region TO "{column}"')
        connection.execute(f'UPDATE scores SET "{column}" = ? WHERE at > ?', (level, "2026-03-03"))
    connection.close()
    job_of(features=["amount", column])
    text = server.get(f"/monitoring/jobs/{job_of(day=2, features=['amount', column])}", "viewer").text
    page = _Page(text)
    assert {"script", "b"}.isdisjoint(tag for tag, _ in page.tags)
    assert re.search(r"amount: values \S.* (rose|fell) from [\d.]+ % to [\d.]+ %", page.text)
    assert (
        r"c\u202e<b>: values that the baseline does not have (<script>x\u000a\u2066</script>) rose from 0 % to 100 %"
        in page.text
    )
    assert [] == [line for line in page.text.split("\n") if not line.isprintable()]


def _log(job_id: str, line: str) -> None:
    """A running attempt of the job reports a line."""
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook

    with MonitoringStoreHook().get_conn() as store:
        job = store.job(job_id)
        record, _ = store.definition(job.definition_id)
        claim = store.claim(record, job.window, batch_name="again")
        store.progress(claim, percent=1.0, scored=0, failed=0, skipped=0, message=line)


@pytest.mark.parametrize("job_id", ["..%2f..%2fetc", "%00", "a" * 3000, "' OR 1=1 --", "%F0%9F%92%A3", HOSTILE])
def test_odd_ids_are_unknown_jobs(job_id: str, server: Server, job_of: Callable[..., str]) -> None:
    job_of()
    from urllib.parse import quote

    answer = server.get("/monitoring/jobs/" + quote(job_id, safe="%"), "viewer")
    assert 404 == answer.status_code
    assert "alert" not in answer.text
