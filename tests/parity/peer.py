"""Asking a library in its own environment: cases as JSON in, values as JSON out."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from peers import environment

HERE = Path(__file__).parent


def ask(name: str, script: str, cases: Any) -> Any:
    """What ``script`` answers to the cases in the environment of the peer ``name``.

    :raises PeerUnavailable: the environment could not be made.
    """
    command = [str(environment(name)), str(HERE / script)]
    done = subprocess.run(command, input=json.dumps(cases), capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return json.loads(done.stdout.splitlines()[-1])
