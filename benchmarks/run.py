"""Every benchmark one after the other, and what they found as one page: limits kept and missed, then all tables.

    python benchmarks/run.py                        # about half an hour on two quiet cores
    python benchmarks/run.py --missing              # what a run that was broken off has not measured
    python benchmarks/run.py --only scan job        # two of them; the page keeps what it has of the others
    python benchmarks/run.py --small                # tenths of the rows, one run: shows that they run, measures little
    python benchmarks/run.py --update               # and puts what was measured into RESULTS.md, between its two marks

The page, ``.benchmarks/page.md``, is written after each script, and each section says when it was measured and beside
what load. Scripts take sizes and runs of their own, see ``--help`` of each. One that fails does not keep the others
from running, nor does it take an earlier section's place, but the whole then ends with 1.
"""

from __future__ import annotations

import argparse
import dataclasses
import datetime as dt
import os
import re
import subprocess
import sys
import time
from pathlib import Path

import measure
import workload

HERE = Path(__file__).resolve().parent
PAGE, SMALL_PAGE = workload.FOLDER / "page.md", workload.FOLDER / "page-small.md"
RESULTS = HERE / "RESULTS.md"
BEGIN, END = "<!-- made by benchmarks/run.py: begin -->", "<!-- made by benchmarks/run.py: end -->"
# Quick ones first; for each what makes it small.
SCRIPTS: dict[str, tuple[str, ...]] = {
    "import": (),
    "definitions": (),
    "moving_baseline": (),
    "task": ("--runs", "1"),
    "scan": ("--rows", "100000", "1000000", "--runs", "1"),
    "columns": ("--copies", "1", "10", "--values", "2000000", "--runs", "1"),  # fewer rows show drift by chance
    "segments": ("--rows", "200000", "--runs", "1"),
    "parts": ("--rows", "300000", "--runs", "1"),
    "job": ("--rows", "100000", "300000", "--runs", "1"),
    "database": ("--rows", "100000", "--runs", "1"),
    "late_actuals": (),
    "peers": ("--rows", "100000", "--runs", "1", "--only", "whylogs", "by_hand"),
}
_SMALL_VARIABLES = {"BATCHES": "1"}  # of late_actuals
_LIMIT = re.compile(r"(?P<claim>.+): (?P<value>[^:]+), limit (?P<limit>[^:]+): (?P<verdict>kept|missed by .+)")


_SECTION = re.compile(r"^## bench_(\w+)\.py$", re.MULTILINE)
_HEADS = ["| script | claim | value | limit | |", "|---|---|---:|---:|---|"]


@dataclasses.dataclass(frozen=True, slots=True)
class Section:
    """What a page says of one script: its rows among the limits, and what stands below its heading."""

    limits: tuple[str, ...]
    text: str


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """What one script printed, when and beside what, and how it ended."""

    name: str
    seconds: float
    failed: bool
    lines: list[str]
    where: str = ""

    def section(self) -> Section:
        """Its part of a page."""
        found = [match for line in self.lines if (match := _LIMIT.fullmatch(line))]
        limits = [
            f"| {self.name} | {{claim}} | {{value}} | {{limit}} | {{verdict}} |".format(**m.groupdict()) for m in found
        ]
        tables = _tables(self.lines) or ["\n".join(["```", *filter(None, self.lines), "```"])]
        return Section(tuple(limits), "\n\n".join([f"{self.where}, {self.seconds:.0f} s; medians.", *tables]))


def main() -> int:
    """Run them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    which = parser.add_mutually_exclusive_group()
    which.add_argument("--only", nargs="+", choices=SCRIPTS, metavar="NAME")
    which.add_argument("--missing", action="store_true", help="those that the page does not have")
    parser.add_argument("--small", action="store_true", help="tenths of the rows and one run")
    parser.add_argument("--update", action="store_true", help="put the sections into RESULTS.md, too")
    options = parser.parse_args()
    if options.update and options.small:
        parser.error("--update takes whole measurements, without --small")
    kept = SMALL_PAGE if options.small else PAGE
    kept.parent.mkdir(exist_ok=True)
    if options.only is None and not options.missing:
        kept.unlink(missing_ok=True)
    there = sections(kept.read_text("utf-8")) if kept.exists() else {}
    names = options.only or [name for name in SCRIPTS if name not in there]
    failed = []
    for name in names:
        print(f"\n=== {name}", flush=True)
        done = _run(name, small=options.small)
        print(f"=== {name}: {done.seconds:.0f} s{', FAILED' if done.failed else ''}", flush=True)
        if done.failed:
            failed.append(name)
            continue
        there[name] = done.section()
        kept.write_text(page(there), "utf-8")
        if options.update:
            _update(name, there[name])
    print(f"\n{page(there)}\nkept in {kept}", flush=True)
    if failed:
        print(f"these failed: {', '.join(failed)}", file=sys.stderr)
    return int(bool(failed))


def _run(name: str, *, small: bool) -> Done:
    """Run one script, and show what it prints as it prints it."""
    command = [sys.executable, str(HERE / f"bench_{name}.py"), *(SCRIPTS[name] if small else ())]
    environment = {**os.environ, **(_SMALL_VARIABLES if small else {})}
    where = f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {measure.machine()}"
    started, lines = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return Done(name, time.monotonic() - started, process.returncode != 0, lines, where)


def page(there: dict[str, Section]) -> str:
    """Markdown: the limits of all scripts in one table, then a section for each, in the order of ``SCRIPTS``."""
    order = [name for name in SCRIPTS if name in there]
    parts = ["## Limits", "\n".join([*_HEADS, *(row for name in order for row in there[name].limits)])]
    for name in order:
        parts += [f"## bench_{name}.py", there[name].text]
    return "\n\n".join(parts) + "\n"


def sections(text: str) -> dict[str, Section]:
    """What a page that :func:`page` made says of each script."""
    head, *rest = _SECTION.split(text)
    limits = head.splitlines()
    return {
        name: Section(tuple(row for row in limits if row.startswith(f"| {name} |")), body.strip())
        for name, body in zip(rest[::2], rest[1::2], strict=True)
    }


def _update(name: str, section: Section) -> None:
    before, begin, rest = RESULTS.read_text("utf-8").partition(BEGIN)
    old, end, after = rest.partition(END)
    if not (begin and end):
        raise SystemExit(f"{RESULTS} lacks the marks {BEGIN} and {END}")
    text = page({**sections(old), name: section})
    RESULTS.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{after}", "utf-8")


def _tables(lines: list[str]) -> list[str]:
    """The tables among lines, each below its heading where it has one."""
    tables: list[str] = []
    rows: list[str] = []
    title = ""
    for line in [*lines, ""]:
        if line.startswith("|"):
            rows.append(line)
        elif rows:
            tables.append("\n".join([title, "", *rows] if title else rows))
            rows, title = [], ""
        elif line.startswith("## "):
            title = f"### {line[3:]}"
    return tables


if __name__ == "__main__":
    sys.exit(main())
