"""A child process that runs the job of one day over files and says how it ended. Not a test itself.

``python told_job.py FOLDER`` reads ``definition.json`` of the folder, prints ``begun`` and, at the end, the name of the
error or ``done``. SIGTERM does what the operator's ``on_kill`` does with Airflow's.
"""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn


def main(folder: Path) -> str:
    """Run the job; how it ended."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import job_world
    from airflow_monitoring_provider.exceptions import JobInterrupted, MonitoringError

    def told(_number: int, _frame: Any) -> NoReturn:
        raise JobInterrupted("the task was told to stop")

    data, stored = folder / "data.sqlite", folder / "store.sqlite"
    with job_world.open_world(f"sqlite:///{data}", f"sqlite:///{stored}", folder) as world:
        definition = job_world.define(**json.loads((folder / "definition.json").read_text()))
        print("begun", flush=True)
        try:
            signal.signal(signal.SIGTERM, told)
            world.run(definition)
            signal.signal(signal.SIGTERM, signal.SIG_IGN)
        except MonitoringError as error:
            return type(error).__name__
    return "done"


if __name__ == "__main__":
    print(main(Path(sys.argv[1])))
