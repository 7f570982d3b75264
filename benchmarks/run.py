"""Every benchmark one after the other, and what they found as one page: limits kept and missed, then all tables.

    python benchmarks/run.py                        # about 25 minutes on two quiet cores
    python benchmarks/run.py --only scan job        # two of them
    python benchmarks/run.py --small                # tenths of the rows, one run: shows that they run, measures little
    python benchmarks/run.py --update               # and puts the page into RESULTS.md, between its two marks

The page is kept in ``.benchmarks/page.md``. Scripts take sizes and runs of their own, see ``--help`` of each. One that
fails does not keep the others from running, but the whole then ends with 1.
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
PAGE = workload.FOLDER / "page.md"
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


@dataclasses.dataclass(frozen=True, slots=True)
class Done:
    """What one script printed and how it ended."""

    name: str
    seconds: float
    failed: bool
    lines: list[str]


def main() -> int:
    """Run them; returns the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=SCRIPTS, default=list(SCRIPTS), metavar="NAME")
    parser.add_argument("--small", action="store_true", help="tenths of the rows and one run")
    parser.add_argument("--update", action="store_true", help="put the page into RESULTS.md")
    options = parser.parse_args()
    if options.update and (options.small or set(options.only) != set(SCRIPTS)):
        parser.error("--update takes a whole run, without --small and --only")
    where, done = measure.machine(), []
    for name in options.only:
        print(f"\n=== {name}", flush=True)
        done.append(_run(name, small=options.small))
        print(f"=== {name}: {done[-1].seconds:.0f} s{', FAILED' if done[-1].failed else ''}", flush=True)
    text = page(done, where)
    PAGE.parent.mkdir(exist_ok=True)
    PAGE.write_text(text, "utf-8")
    print(f"\n{text}\nkept in {PAGE}", flush=True)
    failed = [one.name for one in done if one.failed]
    if failed:
        print(f"these failed: {', '.join(failed)}", file=sys.stderr)
        return 1
    if options.update:
        before, _, rest = RESULTS.read_text("utf-8").partition(BEGIN)
        RESULTS.write_text(f"{before}{BEGIN}\n\n{text}\n{END}{rest.partition(END)[2]}", "utf-8")
    return 0


def _run(name: str, *, small: bool) -> Done:
    """Run one script, and show what it prints as it prints it."""
    command = [sys.executable, str(HERE / f"bench_{name}.py"), *(SCRIPTS[name] if small else ())]
    environment = {**os.environ, **(_SMALL_VARIABLES if small else {})}
    started, lines = time.monotonic(), []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        assert process.stdout is not None
        for line in process.stdout:
            print(line, end="", flush=True)
            lines.append(line.rstrip())
    return Done(name, time.monotonic() - started, process.returncode != 0, lines)


def page(done: list[Done], where: str) -> str:
    """Markdown: the limits of all scripts in one table, then the tables of each."""
    found = [match for one in done for line in one.lines if (match := _LIMIT.fullmatch(line))]
    parts = [f"{dt.datetime.now(dt.UTC):%Y-%m-%d}, {where}; medians.", "## Limits"]
    heads = ["| claim | value | limit | |", "|---|---:|---:|---|"]
    parts.append(
        "\n".join([*heads, *("| {claim} | {value} | {limit} | {verdict} |".format(**m.groupdict()) for m in found)])
    )
    for one in done:
        parts.append(f"## bench_{one.name}.py ({one.seconds:.0f} s{', failed' if one.failed else ''})")
        parts += _tables(one.lines) or ["\n".join(["```", *filter(None, one.lines), "```"])]
    return "\n\n".join(parts) + "\n"


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
