"""Seconds and peak memory of work in fresh processes, medians of several runs, and tables of them.

A script that measures holds functions for child processes and calls ``work`` with them first:

    CHILDREN = {"profile": profile, "scan": scan}      # each takes texts, and may return more figures

    def main():
        if not measure.work(CHILDREN):
            runs = measure.in_turn({name: measure.child(name, path) for name in CHILDREN}, runs=3)

Contestants run in turn, so that what else the machine does hits them alike, and ratios are taken round by round. A
process that measures imports neither NumPy nor pyarrow: read the usual way, Linux gives a child the peak memory of its
parent.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Command = Sequence[str]


@dataclass(frozen=True, slots=True)
class Run:
    """One process: ``wall`` and ``cpu`` seconds of all of it, ``peak`` MiB; and of its work alone, without imports,
    ``seconds`` of the clock and ``busy`` ones of all of its threads on a processor.

    :param more: what else the work returned.
    """

    seconds: float
    busy: float
    wall: float
    cpu: float
    peak: float
    more: dict[str, Any] = field(default_factory=dict)


def child(name: str, *arguments: object, script: str | None = None, python: object = sys.executable) -> list[str]:
    """Command that runs a child function of a script, by default of the one that was started."""
    return [str(python), script or sys.argv[0], "--child", name, *map(str, arguments)]


class Stopwatch:
    """Seconds since it was made, by the clock and on processors: what a child returns of its work."""

    def __init__(self) -> None:
        self._started = time.perf_counter(), time.process_time()

    def figures(self) -> dict[str, Any]:
        """``seconds`` and ``busy``."""
        return {"seconds": time.perf_counter() - self._started[0], "busy": time.process_time() - self._started[1]}


def work(children: Mapping[str, Callable[..., dict[str, Any] | None]]) -> bool:
    """Do a child's work and print its figures, where this process is one; false where it is not.

    The function's own figures of a :class:`Stopwatch` count where it returns some, which is how imports are left out.
    """
    if sys.argv[1:2] != ["--child"]:
        return False
    watch = Stopwatch()
    more = children[sys.argv[2]](*sys.argv[3:]) or {}
    more = {**watch.figures(), **more, "peak": peak_memory()}
    print("\n" + json.dumps(more))
    return True


def peak_memory() -> float:
    """Peak resident memory of this process since it was started, in MiB, by the kernel's own count."""
    status = Path("/proc/self/status")
    if status.exists():
        (line,) = (line for line in status.read_text("utf-8").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) / 1024
    import resource

    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024**2  # macOS counts bytes


def run(command: Command, *, environment: Mapping[str, str] | None = None, timeout: float | None = None) -> Run:
    """Run a child once.

    :raises subprocess.CalledProcessError: it failed; what it wrote to stderr has been shown.
    :raises subprocess.TimeoutExpired: it took longer than ``timeout`` seconds and was ended.
    """
    before, started = os.times(), time.perf_counter()
    done = subprocess.run(
        command,
        env={**os.environ, **(environment or {})},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
        timeout=timeout,
    )
    wall, after = time.perf_counter() - started, os.times()
    more = json.loads(done.stdout.splitlines()[-1])
    cpu = after.children_user + after.children_system - before.children_user - before.children_system
    return Run(more.pop("seconds"), more.pop("busy"), wall, cpu, more.pop("peak"), more)


def in_turn(commands: Mapping[str, Command], *, runs: int = 3, timeout: float | None = None) -> dict[str, list[Run]]:
    """Run several children in turn, A B C A B C …, and say what each took as it ends."""
    found: dict[str, list[Run]] = {name: [] for name in commands}
    for number in range(1, runs + 1):
        for name, command in commands.items():
            one = run(command, timeout=timeout)
            found[name].append(one)
            print(
                f"  run {number}  {name:<20} {one.seconds:9.3f} s  busy {one.busy:9.3f} s   whole process "
                f"{one.wall:9.3f} s  busy {one.cpu:9.3f} s  peak {one.peak:7.0f} MiB",
                flush=True,
            )
    return found


def median(runs: Sequence[Run], what: str = "seconds") -> float:
    """Median of a figure (``seconds``, ``busy``, ``wall``, ``cpu`` or ``peak``)."""
    return float(statistics.median(getattr(one, what) for one in runs))


def ratio(ours: Sequence[Run], theirs: Sequence[Run], what: str = "seconds") -> tuple[float, float, float]:
    """Median, lowest and highest of ours / theirs, round by round."""
    each = [getattr(one, what) / getattr(other, what) for one, other in zip(ours, theirs, strict=True)]
    return statistics.median(each), min(each), max(each)


def spread(values: tuple[float, float, float]) -> str:
    """A median and the lowest and highest in brackets, as :func:`ratio` gives them."""
    middle, low, high = values
    return f"{middle:.3g} ({low:.3g} - {high:.3g})"


def table(heads: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table, first column left, others right."""
    print()
    print("| " + " | ".join(heads) + " |")
    print("|---" + "|---:" * (len(heads) - 1) + "|")
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def verdict(claim: str, value: float, limit: float, *, unit: str = "") -> None:
    """Print a value beside the limit that it is to keep, and by how much it misses."""
    kept = "kept" if value <= limit else f"missed by {value / limit - 1:.{0 if value > 1.1 * limit else 1}%}"
    print(f"{claim}: {value:.3g}{unit}, limit {limit:.3g}{unit}: {kept}", flush=True)


def machine() -> str:
    """One line about where and beside what this ran."""
    load = ", ".join(f"{value:.1f}" for value in os.getloadavg())
    return f"{os.cpu_count()} cores, load average {load}, Python {sys.version.split()[0]}"
