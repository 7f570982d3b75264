"""The demo's own Airflow: everything lives in ``.airflow/`` of the checkout and nothing outside it is read."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).resolve().parents[2]
HOME = CHECKOUT / ".airflow"
FLIGHTS = HOME / "flights.sqlite"
DAGS = CHECKOUT / "dags_examples"

_CONFIG = """\
[core]
dags_folder = {dags}
load_examples = False
executor = LocalExecutor
parallelism = 4
simple_auth_manager_all_admins = True
test_connection = Enabled

[database]
sql_alchemy_conn = sqlite:///{home}/airflow.db

[dag_processor]
refresh_interval = 10
min_file_process_interval = 10
"""


def environment(**extra: str) -> dict[str, str]:
    """The caller's environment without its Airflow settings, and with the demo's home."""
    kept = {key: value for key, value in os.environ.items() if not key.startswith("AIRFLOW_")}
    return {**kept, "AIRFLOW_HOME": str(HOME), **extra}


def enter() -> None:
    """Make this process, which has not imported Airflow yet, live in the demo's home."""
    for key in [key for key in os.environ if key.startswith("AIRFLOW_")]:
        del os.environ[key]
    os.environ["AIRFLOW_HOME"] = str(HOME)
    os.environ["AIRFLOW__LOGGING__LOGGING_LEVEL"] = "WARNING"


def prepare() -> None:
    """Create the home: configuration, Airflow's database and the connection ``flights_db``. Safe to repeat."""
    HOME.mkdir(exist_ok=True)
    (HOME / "airflow.cfg").write_text(_CONFIG.format(dags=DAGS, home=HOME))
    airflow("db", "migrate")


def airflow(*arguments: str) -> None:
    """Run an ``airflow`` command in the demo's home; on failure show what it printed."""
    command = [str(Path(sys.executable).parent / "airflow"), *arguments]
    done = subprocess.run(command, env=environment(), capture_output=True, text=True, check=False)  # noqa: S603 - fixed commands
    if done.returncode:
        sys.stderr.write(done.stdout + done.stderr)
        raise SystemExit(f"airflow {' '.join(arguments)} ended with {done.returncode}")
