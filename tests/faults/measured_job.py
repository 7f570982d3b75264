"""A child process that runs the jobs of two days over files, and tells its peak memory. Not a test itself.

``python measured_job.py FOLDER`` reads ``definition.json`` of the folder and prints one JSON object: for each day the
summary, bytes of the profile and of the store, and at last ``start`` and ``peak``, resident MiB before and at most.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any


def resident(what: str) -> int:
    """MiB of ``VmRSS`` (now) or ``VmHWM`` (at most)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith(what)).split()[1]) >> 10


def main(folder: Path) -> dict[str, Any]:
    """Run both days."""
    sys.path.insert(0, str(Path(__file__).parents[1]))
    import job_world

    told: dict[str, Any] = {"days": []}
    stored = folder / "store.sqlite"
    with job_world.open_world(f"sqlite:///{folder / 'data.sqlite'}", f"sqlite:///{stored}", folder) as world:
        definition = job_world.define(**json.loads((folder / "definition.json").read_text()))
        told["start"] = resident("VmRSS")
        for day in (0, 1):
            summary = world.run(definition, day)
            profile = world.store.load_profile(summary.job_id)
            assert profile is not None
            told["days"].append({"profile": len(profile.data), "rows": summary.rows, "job": summary.job_id})
        told["peak"] = resident("VmHWM")
    told["store"] = stored.stat().st_size
    return told


if __name__ == "__main__":
    print(json.dumps(main(Path(sys.argv[1]))))
