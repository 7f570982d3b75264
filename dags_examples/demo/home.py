"""An Airflow of its own: everything lives in one folder, and no Airflow settings of the shell are read.

The demo's is ``.airflow/`` of the checkout.
"""

from __future__ import annotations

import base64
import dataclasses
import json
import os
import secrets
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
SCRIPTS = Path(sys.executable).parent

_CONFIG = """\
[core]
dags_folder = {dags}
load_examples = False
executor = LocalExecutor
parallelism = 4
simple_auth_manager_all_admins = True
test_connection = Enabled
fernet_key = {fernet_key}

[api]
secret_key = {secret_key}

[api_auth]
jwt_secret = {jwt_secret}

[database]
sql_alchemy_conn = sqlite:///{home}/airflow.db

[dag_processor]
refresh_interval = {seconds}
min_file_process_interval = {seconds}
"""
_KEYS = {"fernet_key": 32, "secret_key": 32, "jwt_secret": 64}  # name: random bytes


@dataclasses.dataclass(frozen=True)
class Home:
    """Where an Airflow keeps its files, and where it finds its DAGs.

    :param rescan_seconds: how often DAG files are looked for and read again.
    """

    folder: Path
    dags: Path
    rescan_seconds: int = 10

    @property
    def database(self) -> Path:
        """The SQLite file of Airflow itself."""
        return self.folder / "airflow.db"

    def environment(self, **extra: str) -> dict[str, str]:
        """The caller's environment without its Airflow settings, and with this home.

        ``airflow standalone`` starts its parts by the name ``airflow``, so this Python's scripts come first in PATH.
        """
        kept = {key: value for key, value in os.environ.items() if not key.startswith(("AIRFLOW_", "_AIRFLOW_"))}
        path = os.pathsep.join([str(SCRIPTS), kept.get("PATH", os.defpath)])
        return {**kept, "PATH": path, "AIRFLOW_HOME": str(self.folder), **extra}

    def enter(self) -> None:
        """Make this process, which has not imported Airflow yet, live in this home."""
        for key in [key for key in os.environ if key.startswith(("AIRFLOW_", "_AIRFLOW_"))]:
            del os.environ[key]
        os.environ["AIRFLOW_HOME"] = str(self.folder)
        os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"

    def prepare(self) -> None:
        """Create the home: configuration and Airflow's database. Safe to repeat."""
        self.folder.mkdir(parents=True, exist_ok=True)
        config = _CONFIG.format(dags=self.dags, home=self.folder, seconds=self.rescan_seconds, **self._keys())
        file = self.folder / "airflow.cfg"
        file.touch(mode=0o600)
        file.write_text(config)
        self.airflow("db", "migrate")

    def _keys(self) -> dict[str, str]:
        """Keys that all parts of Airflow must share, or the API server refuses the tasks: new once, then kept."""
        file = self.folder / "keys.json"
        if not file.exists():
            file.touch(mode=0o600)
            keys = {name: base64.urlsafe_b64encode(secrets.token_bytes(size)).decode() for name, size in _KEYS.items()}
            file.write_text(json.dumps(keys))
        kept: dict[str, str] = json.loads(file.read_text())
        return kept

    def airflow(self, *arguments: str) -> str:
        """Run an ``airflow`` command in this home and return what it printed; on failure show it and end."""
        command = [str(SCRIPTS / "airflow"), *arguments]
        done = subprocess.run(command, env=self.environment(), capture_output=True, text=True, check=False)
        if done.returncode:
            sys.stderr.write(done.stdout + done.stderr)
            raise SystemExit(f"airflow {' '.join(arguments)} ended with {done.returncode}")
        return done.stdout


DEMO = Home(folder=CHECKOUT / ".airflow", dags=CHECKOUT / "dags_examples")
