"""The processes of an instance: found by what they are, killed, frozen and started again as they were."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import re
import signal
import subprocess
from pathlib import Path

PROC = Path("/proc")


@dataclasses.dataclass(frozen=True)
class Process:
    """A living process."""

    pid: int
    parent: int
    command: str


@dataclasses.dataclass(frozen=True)
class Part:
    """A long-lived process of an instance that was killed, and how to start it again.

    :param name: the ``airflow`` command: ``scheduler``, ``api-server`` or ``triggerer``.
    """

    name: str
    home: Path
    environment: dict[str, str]

    def start(self) -> None:
        """Start it in a session of its own, which ends with the instance; it is nobody's child."""
        name = self.home / f"{self.name}-{len(list(self.home.glob('*.pid')))}"
        script = 'setsid airflow "$1" <&- >"$2.log" 2>&1 & echo $! >"$2.pid"'
        subprocess.run(["sh", "-c", script, "sh", self.name, str(name)], env=self.environment, check=True)


def kill(home: Path, name: str, *, with_children: bool = False) -> Part:
    """SIGKILL the scheduler, the API server or the triggerer, alone or with everything that it started."""
    living = processes(home)
    victim = find(living, name)
    first = int((home / "standalone.pid").read_text())  # a process that renames itself writes over its environment
    environment = dict(
        line.split("=", 1) for line in (PROC / str(first) / "environ").read_text().split("\0") if "=" in line
    )
    doomed = [victim, *(descendants(living, victim.pid) if with_children else ())]
    for process in doomed:
        send(process.pid, signal.SIGSTOP)  # nobody acts on the death of another
    for process in doomed:
        send(process.pid, signal.SIGKILL)
    return Part(name=name, home=home, environment=environment)


def freeze(home: Path, name: str) -> int:
    """SIGSTOP the scheduler or the API server: it takes calls and answers none, until SIGCONT; its process."""
    victim = find(processes(home), name).pid
    send(victim, signal.SIGSTOP)
    return victim


def processes(home: Path) -> list[Process]:
    """Everything that lives in the sessions of an instance."""
    sessions = {int(file.read_text()) for file in home.glob("*.pid")}
    found = []
    for folder in PROC.glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent, _, session = (folder / "stat").read_text().rpartition(")")[2].split()[:4]
            command = (folder / "cmdline").read_bytes().decode(errors="replace").replace("\0", " ").strip()
            if int(session) in sessions and state not in "ZX":
                found.append(Process(int(folder.name), int(parent), command))
    return found


def find(living: list[Process], name: str) -> Process:
    """The scheduler or the API server itself, and none of the processes that it forked."""
    title = re.compile(rf"airflow {name.replace('-', '[-_]')}( --.*)?$")
    called = [process for process in living if title.search(process.command)]
    children = {process.pid for process in called}
    (found,) = [process for process in called if process.parent not in children]
    return found


def descendants(living: list[Process], pid: int) -> list[Process]:
    """Children, their children, and so on."""
    children = [process for process in living if process.parent == pid]
    return children + [process for child in children for process in descendants(living, child.pid)]


def parent(pid: int) -> int:
    """Who started a process: of a task's, its supervisor."""
    return int((PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def lives(pid: int) -> bool:
    """Whether there is such a process, and it has not ended."""
    with contextlib.suppress(OSError):
        return (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    return False


def send(pid: int, number: signal.Signals) -> None:
    """A signal to a process that may be gone."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(pid, number)
