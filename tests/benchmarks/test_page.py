"""The page of the benchmarks keeps what other runs measured."""

from __future__ import annotations

from pathlib import Path

import pytest
import run

LIMIT = "seconds at 10 rows / a peer's: 4.15, limit 3: missed by 38%"
TABLE = ["| rows | s |", "|---|---:|", "| 10 | 4.15 |"]


def _section(name: str, day: str = "2026-03-01") -> run.Section:
    return run.Done(name, 12.3, False, ["noise", "## Ten rows", *TABLE, "", LIMIT], f"{day}, 2 cores").section()


def test_a_section_tells_its_day_its_seconds_its_tables_and_its_limits() -> None:
    section = _section("scan")
    assert ("| scan | seconds at 10 rows / a peer's | 4.15 | 3 | missed by 38% |",) == section.limits
    assert "2026-03-01, 2 cores, 12 s; medians.\n\n### Ten rows\n\n" + "\n".join(TABLE) == section.text


def test_what_is_read_from_a_page_makes_the_same_page() -> None:
    there = {name: _section(name) for name in ("job", "import", "scan")}
    text = run.page(there)
    assert there == run.sections(text)
    assert text == run.page(run.sections(text))
    assert ["import", "scan", "job"] == list(run.sections(text))  # in the order in which scripts run


def test_the_page_that_is_kept_in_the_results_reads_back() -> None:
    kept = run.RESULTS.read_text("utf-8").partition(run.BEGIN)[2].partition(run.END)[0]
    assert kept.split() == run.page(run.sections(kept)).split()
    assert "scan" in run.sections(kept)


def test_a_new_section_takes_its_own_place_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    results = tmp_path / "RESULTS.md"
    old = run.page({"scan": _section("scan"), "job": _section("job")})
    results.write_text(f"before\n{run.BEGIN}\n\n{old}\n{run.END}\nafter\n")
    monkeypatch.setattr(run, "RESULTS", results)

    run._update("scan", _section("scan", "2026-03-02"))

    new = run.page({"scan": _section("scan", "2026-03-02"), "job": _section("job")})
    assert f"before\n{run.BEGIN}\n\n{new}\n{run.END}\nafter\n" == results.read_text()
