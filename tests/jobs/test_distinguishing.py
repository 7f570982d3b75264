"""Rows of files are read once where none repeats another, and again where one does, with the same outcome."""

from __future__ import annotations

import csv
from typing import Any

ONE_FILE = {
    "intake_settings": {"type": "file", "url": "day.csv"},
    "output_settings": {"type": "file", "url": "results"},
}
AGAIN = "rows repeat identifiers: reading them again to find out which"


def counted(world: Any, tools: Any) -> list[str]:
    """Counts the readings of everything and of identifiers alone from here on."""
    readings: list[str] = []

    class Counted(tools.Source):  # type: ignore[misc]
        def read(self, columns: Any, window: Any) -> Any:
            if "amount" in columns or list(columns) == ["id"]:
                readings.append("everything" if "amount" in columns else "identifiers")
            return super().read(columns, window)

    world.wrap = Counted
    return readings


def write(world: Any, rows: list[dict[str, Any]]) -> None:
    with (world.files / "day.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_rows_that_do_not_repeat_are_read_once(small_world: Any, define: Any, tools: Any) -> None:
    write(small_world, tools.day_rows(dirty=False))
    readings = counted(small_world, tools)
    summary = small_world.run(define(**ONE_FILE))

    assert {"monitored": 400} == summary.status_counts
    assert ["everything"] == readings


def test_rows_that_repeat_are_read_again_and_next_time_looked_for_first(
    small_world: Any, define: Any, tools: Any
) -> None:
    write(small_world, tools.day_rows())
    definition, readings = define(**ONE_FILE), counted(small_world, tools)
    first = small_world.run(definition)

    assert 1 == first.status_counts["rejected:duplicate_identifier"]
    assert ["everything", "identifiers", "everything"] == readings
    assert [AGAIN] == [line.line for line in small_world.store.job(first.job_id).log if "repeat" in line.line]
    assert 400 == first.output_rows
    logged = [file for file in (small_world.folder / "storage").rglob("*") if file.is_file()]
    assert [False] == [file.name.startswith(".") for file in logged if file.suffix == ".parquet"]

    readings.clear()
    second = small_world.run(definition)
    assert first.status_counts == second.status_counts
    assert ["identifiers", "everything"] == readings
