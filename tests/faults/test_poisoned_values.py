"""F9: a value that is no value costs its own row a status, and nobody else anything.

Frames full of what breaks drivers go through every intake, kind of output and store. What a row must be told is said
here by hand, from what its intake can hold, and by the slow oracle; never by the package.
"""

from __future__ import annotations

import datetime as dt
import math
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import job_world
from airflow_monitoring_provider.definitions import JobState, RowStatus
from airflow_monitoring_provider.exceptions import SourceError, TooManyRejectedRows
from airflow_monitoring_provider.profiles.serialise import from_bytes
from faults.routes import ROUTES, Row, Trip, assert_shown, open_trip, row
from oracles import slow_job

TEXTS = ("csv", "jsonl")
UNSTORABLE = RowStatus.UNSTORABLE_VALUE.text

NUMBERS: list[Any] = [
    0.5, 0, 1, -0.0, None, math.nan, math.inf, -math.inf, 1.5, -1e-9, 5e-324, 1e308, True, False, "abc", "", " 0.25 ",
    "true", "0x10", 2**53 + 1, 2**63, 2**64, 10**30, Decimal("NaN"), Decimal("0.1"), "1e999", "+0.5", b"\xff", "\0",
]  # fmt: skip
STRINGS: list[Any] = [
    "plain",
    "",
    "a\0b",
    b"x\xff",
    b"x\xfe",
    "x\ud800",
    "\udfff",
    None,
    "NaN",
    "\r\n",
    "'; drop",
    "\\N",
    "\u202e",
]
WHOLE: list[Any] = [0, 5, -5, None, 2**63 - 1, -(2**63), 2**63, 2**64 - 1, 2**64, 10**30]
DATES: list[Any] = [
    dt.date(2026, 3, 1), None, "infinity", "-infinity", "12000-01-01", "0044-03-15 BC", "garbage", 2**62, -(2**62),
]  # fmt: skip
NESTED: list[Any] = [
    None, [1, 2], [[[]]], [math.nan, math.inf], {"k": {"moment": 1}, "moment": 5}, {"moment": 2**62}, [2**64], [],
]  # fmt: skip
IDS: list[Any] = ["é", "e\u0301", "a", "A", "a ", b"\xff", "nul\0", "i\ud800", None, "1", "1.0"]


POOLS = {
    "amount": NUMBERS,
    "kind": STRINGS,
    "score": NUMBERS,
    "note": STRINGS,
    "big": WHOLE,
    "seen": DATES,
    "nested": NESTED,
}
SEEDS = [
    row(place, **{column: value})
    for place, (column, value) in enumerate((c, v) for c, pool in POOLS.items() for v in pool)
]
SEEDS += [row(1000 + place, id=value) for place, value in enumerate(IDS)]
SEEDS += [dict(SEEDS[0]), dict(SEEDS[-1])]


@st.composite
def frames(draw: st.DrawFn) -> list[Row]:
    """Rows of which several columns may be poisoned together."""
    poison = st.fixed_dictionaries({}, optional={c: st.sampled_from(pool) for c, pool in POOLS.items()})
    texts = st.text(st.characters(blacklist_characters='"'), max_size=5)
    drawn = draw(st.lists(st.tuples(poison, st.sampled_from(IDS) | st.none(), texts, st.floats()), max_size=12))
    rows = []
    for place, (changes, name, text, number) in enumerate(drawn):
        changes = {"kind": text, "amount": number} | changes
        rows.append(row(place, **changes | ({"id": name} if name is not None else {})))
    return rows


def held(intake: str, column: str, value: Any) -> tuple[bool, Any]:
    """Whether an intake can hold a value, and what is then stored."""
    if isinstance(value, str) and not value.isascii() and intake != "jsonl":
        try:
            value.encode()
        except UnicodeEncodeError:
            value = value.encode("utf-8", "surrogatepass")
    if intake == "postgres":
        return _held_by_postgres(column, value), value
    if intake == "parquet" and column in ("amount", "score"):
        return value is None or (type(value) in (int, float) and abs(value) <= 2**53), value
    if intake == "parquet" and column == "big":
        return value is None or 0 <= value < 2**64, value
    if column == "seen":
        return (type(value) is not str if intake == "parquet" else type(value) is not int), value
    return True, value


def _held_by_postgres(column: str, value: Any) -> bool:
    if isinstance(value, bytes) or (isinstance(value, str) and "\0" in value):
        return False
    if column in ("amount", "score"):
        return not isinstance(value, bool) and value not in ("abc", "", "true", "0x10") and value != "1e999"
    return value != "garbage" and type(value) is not int if column == "seen" else True


def stored(intake: str, rows: Sequence[Row]) -> list[Row]:
    """The rows with what the intake cannot hold replaced by something plain."""
    found = []
    for place, given_row in enumerate(rows):
        plain, kept = row(place), {}
        for column, value in given_row.items():
            possible, as_held = held(intake, column, value)
            kept[column] = as_held if possible else plain[column]
        found.append(kept)
    return found


def arrives(intake: str, column: str, value: Any) -> Any:
    """The value as the oracle must see it."""
    if column in ("amount", "score"):
        return _number(intake, value)
    if isinstance(value, bytes) and intake != "parquet":
        return value.decode("utf-8", "replace")
    if isinstance(value, str) and intake == "jsonl":
        return re.sub("[\ud800-\udfff]", "\ufffd", value)
    return value


def _number(intake: str, value: Any) -> Any:
    if intake == "sqlite" and isinstance(value, float) and math.isnan(value):
        return None
    if isinstance(value, bool):
        return float(value) if intake == "sqlite" else str(value)
    if isinstance(value, bytes):
        return "no number"
    if isinstance(value, Decimal):
        return None if value.is_nan() else float(value)
    if isinstance(value, str):
        return None if value.strip() in ("", "NaN") else value
    return value


def unstorable(intake: str, given_row: Row) -> bool:
    """Whether a copied value is one that no output holds."""
    texts = [given_row["id"], given_row["note"]]
    if any("\0" in (t.decode("utf-8", "replace") if isinstance(t, bytes) else t or "") for t in texts):
        return True
    if intake == "parquet" and any(isinstance(t, bytes) for t in texts):
        return True
    big, seen = given_row["big"], given_row["seen"]
    if intake == "sqlite" and big is not None and not -(2**63) <= big < 2**63:
        return True
    if intake == "parquet" and big is not None and big >= 2**63:
        return True
    return intake not in TEXTS and seen is not None and not isinstance(seen, dt.date)


def expected(intake: str, rows: Sequence[Row]) -> list[str]:
    """The status of every row."""
    seen = [{column: arrives(intake, column, value) for column, value in r.items()} for r in rows]
    found = slow_job.statuses(seen, ["score"], ["id"])
    return [
        UNSTORABLE if status == "monitored" and unstorable(intake, r) else status
        for status, r in zip(found, rows, strict=True)
    ]


def amounts(intake: str, rows: Sequence[Row], statuses: Sequence[str]) -> Counter[str]:
    """What the feature's rows are: missing, invalid, infinite or a value. Repeated rows count nowhere."""
    found: Counter[str] = Counter()
    for given_row, status in zip(rows, statuses, strict=True):
        if status == RowStatus.DUPLICATE_IDENTIFIER.text:
            continue
        value = arrives(intake, "amount", given_row["amount"])
        try:
            number = math.nan if slow_job.missing(value) else float(value)
        except ValueError:
            found["invalid"] += 1
            continue
        found["missing" if math.isnan(number) else "infinite" if math.isinf(number) else "value"] += 1
    return found


def plain_id(intake: str, given_row: Row) -> str | None:
    """The id as the output holds it."""
    value = arrives(intake, "id", given_row["id"])
    return None if isinstance(value, bytes) or value is None or "\0" in value else value


def check(trip: Trip, rows: Sequence[Row], **changes: Any) -> None:
    """One job over a frame: a status for every row in the output, the same counts in summary, store and profile."""
    intake, world = trip.route.intake, trip.world
    rows = stored(intake, rows)
    statuses = expected(intake, rows)
    ids = [plain_id(intake, r) for r in rows]
    trip.fill(rows)
    trip.prepare([name for name in ids if name is not None])
    summary = world.run(trip.define(**changes))

    counts = Counter(statuses)
    assert (len(rows), counts) == (summary.rows, Counter(summary.status_counts))
    job = world.store.job(summary.job_id)
    assert job.snapshot is not None
    assert (JobState.COMPLETED, counts) == (job.state, Counter(job.snapshot.status_counts))
    kept = world.store.load_profile(summary.job_id)
    assert kept is not None
    amount = from_bytes(kept.data).columns["amount"]
    infinite = amount.positive_inf + amount.negative_inf
    by_kind = {"missing": amount.missing, "invalid": amount.invalid, "infinite": infinite, "value": amount.count}
    assert amounts(intake, rows, statuses) == +Counter(by_kind)

    told = Counter((found["id"] or None, found["status"]) for found in trip.written())
    if trip.route.statement in ("", "insert", "create_table"):
        assert Counter(zip(ids, statuses, strict=True)) == told
    else:  # rows are found by their id: the first of each, and of those without one nothing is said here
        first = {name: status for name, status in reversed(list(zip(ids, statuses, strict=True))) if name is not None}
        assert first == {name: status for name, status in told if name is not None}
    assert_shown(world, summary.job_id)


@pytest.fixture
def trip(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[Trip]:
    with open_trip(request.param, tmp_path, postgres_url) as made:
        yield made


by_route = pytest.mark.parametrize("trip", ROUTES, ids=[route.name for route in ROUTES], indirect=True)
# One route for each intake, with another kind of output each.
FEW = [ROUTES[place] for place in (0, 5, 10, 15, 17)]
by_intake = pytest.mark.parametrize("trip", FEW, ids=[route.name for route in FEW], indirect=True)


@by_route
def test_every_known_poison_costs_its_own_row_alone(trip: Trip) -> None:
    check(trip, SEEDS)


@by_intake
@settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)
@example([])
@example([row(place, score=value) for place, value in enumerate(NUMBERS)])
@example([row(place, note="a\0b", big=2**63, seen="12000-01-01", score=None) for place in range(3)])
@given(frames())
def test_any_frame_gets_the_statuses_that_the_oracle_gives(trip: Trip, rows: list[Row]) -> None:
    if not rows and trip.route.intake == "jsonl":  # names stand in the rows alone
        trip.fill(rows)
        with pytest.raises(SourceError, match=r"Columns amount, at, .* are not in files 'in'; it has no columns"):
            trip.world.run(trip.define())
        return
    check(trip, rows)


@by_intake
def test_too_many_rejected_rows_fail_the_job_and_write_nothing(trip: Trip) -> None:
    rows = [row(place, score=math.inf if place < 3 else 0.5) for place in range(10)]
    trip.fill(rows)
    trip.prepare([r["id"] for r in rows])
    before = trip.written()
    with pytest.raises(TooManyRejectedRows, match=r"3 of 10 rows .* max_rejected_share 0\.29 .*invalid_prediction"):
        trip.world.run(trip.define(max_rejected_share=0.29))
    assert before == trip.written()
    (job,) = trip.world.store.jobs()
    assert (JobState.FAILED, None) == (job.state, job.snapshot)
    assert "3 of 10 rows were rejected" in str(job.reason)

    assert 10 == trip.world.run(trip.define(max_rejected_share=0.3)).rows


# What was found and mended.


@pytest.fixture
def files(tmp_path: Path) -> Iterator[job_world.World]:
    """A world whose rows come from the folder ``in`` and go to ``out``."""
    data, store = (f"sqlite:///{tmp_path / name}" for name in ("data.sqlite", "store.sqlite"))
    with job_world.open_world(data, store, tmp_path) as world:
        (world.files / "in").mkdir()
        yield world


def define(**changes: Any) -> Any:
    intake = {"type": "file", "url": "in"}
    output = {"type": "file", "url": "out", "format": "parquet"}
    return job_world.define(intake_settings=intake, output_settings=output, **changes)


def results(world: job_world.World) -> list[Row]:
    (path,) = (p for p in (world.files / "out").rglob("*.parquet") if not p.name.startswith("."))
    found: list[Row] = pq.read_table(path, partitioning=None).to_pylist()
    return found


@pytest.mark.parametrize("kind", ["categorical", "numeric", "boolean", "text", "timestamp"])
def test_parquet_text_that_is_not_utf8_stops_no_column_of_any_kind(files: job_world.World, kind: str) -> None:
    rows = [row(place) for place in range(20)]
    texts = [b"\xff\xfe" if place == 3 else b"0.5" for place in range(20)]
    broken = pa.array(texts, pa.binary())
    broken = pa.Array.from_buffers(pa.string(), 20, broken.buffers())
    table = pa.table({"id": [r["id"] for r in rows], "at": [r["at"] for r in rows]})
    for name in ("amount", "score", "churned"):
        table = table.append_column(name, broken)
    pq.write_table(table, files.files / "in" / "rows.parquet")
    changes: dict[str, Any] = {"features": ["amount"], "column_types": {"amount": kind}, "passthrough_columns": None}
    summary = files.run(define(**changes))
    assert {"monitored": 19, "rejected:bad_type": 1} == summary.status_counts
    kept = files.store.load_profile(summary.job_id)
    assert kept is not None
    amount = from_bytes(kept.data).columns["amount"]
    invalid = {"categorical": 0, "numeric": 1, "boolean": 20, "text": 0, "timestamp": 1}[kind]
    assert (20, invalid, 0) == (amount.rows, amount.invalid, amount.missing)


def test_json_nested_deeper_than_the_stack_and_names_with_lone_surrogates_are_read(files: job_world.World) -> None:
    deep = b"[" * 900 + b"]" * 900
    lines = [
        b'{"id": "%d", "at": "2026-03-01T01:00:00Z", "amount": 1, "region": "a", "score": 0.5, "churned": "yes", '
        b'"n\\ud800": %s}\n' % (place, deep)
        for place in range(3)
    ]
    (files.files / "in" / "rows.jsonl").write_bytes(b"".join(lines))
    summary = files.run(define(passthrough_columns=None, passthrough_columns_set="all"))
    assert {"monitored": 3} == summary.status_counts
    assert [deep.decode()] * 3 == [found["n\ufffd"] for found in results(files)]


def test_a_lone_surrogate_is_no_question_mark(files: job_world.World) -> None:
    lines = [
        f'{{"id": "x{text}", "at": "2026-03-01T01:00:00Z", "amount": 1, "region": "{text}", "score": 0.5, '
        '"churned": "yes"}\n'
        for text in ("?", "\\ud800", "\\ufffe")
    ]
    (files.files / "in" / "rows.jsonl").write_text("".join(lines))
    summary = files.run(define())
    assert {"monitored": 3} == summary.status_counts
    assert [("x?", "?"), ("x\ufffd", "\ufffd"), ("x\ufffe", "\ufffe")] == [
        (r["id"], r["region"]) for r in results(files)
    ]


def test_a_csv_header_in_another_encoding_is_an_error_that_names_the_file(files: job_world.World) -> None:
    (files.files / "in" / "rows.csv").write_bytes("id,größe\n1,2\n".encode("latin-1"))
    with pytest.raises(SourceError, match=r"'in/rows.csv' is not in the encoding of csvSettings \(utf-8\)"):
        files.run(define())


def test_a_csv_file_whose_names_all_stand_twice_is_an_error_that_names_one(files: job_world.World) -> None:
    names = ["id", "at", "amount", "region", "score", "churned"]
    (files.files / "in" / "rows.csv").write_text(",".join(2 * names) + "\n")
    with pytest.raises(SourceError, match=r"2 columns named 'id', which is needed"):
        files.run(define())


def test_a_plus_sign_is_part_of_a_number(files: job_world.World) -> None:
    lines = ["id,at,amount,region,score,churned,whole"]
    lines += [f"{place},2026-03-01T01:00:00Z,+1.5,a,+0.5,yes,+{place}" for place in range(3)]
    (files.files / "in" / "rows.csv").write_text("\n".join(lines) + "\n")
    summary = files.run(define(passthrough_columns=["whole", "amount"]))
    assert {"monitored": 3} == summary.status_counts
    assert [(place, 1.5) for place in range(3)] == [(r["whole"], r["amount"]) for r in results(files)]


def test_nested_values_beyond_any_calendar_are_told_as_they_are_stored(files: job_world.World) -> None:
    moments = pa.array([2**62, 0, None], pa.int64()).view(pa.timestamp("us"))
    nested = pa.StructArray.from_arrays([moments, pa.array([math.nan, math.inf, 1.5])], names=["moment", "number"])
    rows = [row(place) for place in range(3)]
    columns = {name: [r[name] for r in rows] for name in ("id", "at", "amount", "score", "churned")}
    pq.write_table(pa.table(columns | {"region": nested}), files.files / "in" / "rows.parquet")
    files.run(define())
    expected = [
        '{"moment":4611686018427387904,"number":null}',
        '{"moment":"1970-01-01 00:00:00","number":"inf"}',
        '{"moment":null,"number":1.5}',
    ]
    assert expected == [found["region"] for found in results(files)]
