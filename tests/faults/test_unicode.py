"""F12: texts that look alike are different values, from the intake to the page, byte for byte.

Normal forms, case folds, spaces at the end, marks of direction, emoji and what terminals do not show: none is trimmed,
folded or normalised anywhere, as a level, as an identifier, as a copied value, as the name of a column.
"""

from __future__ import annotations

import html
import itertools
import unicodedata
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

import job_world
from airflow_monitoring_provider.definitions.printing import printable
from airflow_monitoring_provider.engines.row_keys import row_keys
from airflow_monitoring_provider.profiles.profile import Profile
from airflow_monitoring_provider.profiles.serialise import from_bytes
from faults.routes import ROUTES, Trip, assert_shown, open_trip, row
from oracles import slow_job

ALIKE = [
    "é", "e\u0301",  # NFC and NFD
    "ﬁ", "fi", "²", "2", "Å", "\u212b",  # compatibility forms, Kelvin's neighbour
    "STRASSE", "strasse", "straße", "STRAẞE",  # case folds of different length
    "I", "i", "ı", "İ", "i\u0307",  # Turkish
    "σ", "ς", "Σ",
    "a", "a ", " a", "a\t", "a\u00a0", "a\u200b", "a\u00ad", "a\ufeff", "a\r\n", "a\n", "A",
    "а", "α",  # Cyrillic and Greek letters that look Latin
    "\u202eabc", "abc", "\u200fabc", "abc\u202c", "שלום", "سلام",
    "👩\u200d👩\u200d👧", "👩👩👧", "👍", "👍🏽", "🇨🇭", "❤", "❤\ufe0f",
    "\U0010ffff", "\ufffd", "\ufffe", "?", "\u2028", "\x7f", "\x85", "\x1f", "\\", "\\\\", "\\N", "NULL", "''",
    "%s", "{}",
    "\u1100\u1161", "가", "½", "１", "1", "1.0", "01", "+1",
    "z\u0301\u0302", "z\u0302\u0301",  # marks in another order
]  # fmt: skip
assert len(ALIKE) == len(set(ALIKE))

FEW = [ROUTES[place] for place in (2, 5, 8, 15, 17)]
by_route = pytest.mark.parametrize("trip", ROUTES, ids=[route.name for route in ROUTES], indirect=True)
by_intake = pytest.mark.parametrize("trip", FEW, ids=[route.name for route in FEW], indirect=True)


@pytest.fixture
def trip(request: pytest.FixtureRequest, tmp_path: Path, postgres_url: str) -> Iterator[Trip]:
    with open_trip(request.param, tmp_path, postgres_url) as made:
        yield made


def profile_of(world: job_world.World, job_id: str) -> Profile:
    kept = world.store.load_profile(job_id)
    assert kept is not None
    return from_bytes(kept.data)


def check(trip: Trip, texts: list[str]) -> str:
    """Texts as levels, identifiers and copied values of one job; gives its id."""
    world = trip.world
    rows = [row(place, id=f"{text}", kind=text, note=text) for place, text in enumerate(texts)]
    trip.fill(rows)
    trip.prepare(texts)
    summary = world.run(trip.define())
    statuses = slow_job.statuses(rows, ["score"], ["id"])
    assert Counter(statuses) == Counter(summary.status_counts)
    levels = profile_of(world, summary.job_id).columns["kind"].levels
    assert levels is not None
    assert Counter(dict.fromkeys(texts, 1)) == Counter(levels.counts)
    expected = Counter((text, text) for text in texts)
    if trip.route.statement in ("insert_update", "update"):
        expected = Counter((text, text) for text in set(texts))
    if trip.route.statement == "update":
        assert {text for text, _ in expected} == {found["id"] for found in trip.written() if found["status"]}
    else:
        assert expected == Counter((found["id"], found["note"]) for found in trip.written())
    return summary.job_id


@by_route
def test_texts_that_look_alike_stay_apart_in_levels_identifiers_and_output(trip: Trip) -> None:
    job_id = check(trip, ALIKE)
    logged = {
        found["association_id"]
        for file in trip.world.store.prediction_files(job_id)
        for batch in trip.world.storage.read_predictions(file)
        for found in batch.to_pylist()
    }
    assert set(ALIKE) == logged


@by_intake
@settings(
    max_examples=6,
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@example(["\u0345\u0301", "\u0301\u0345"])
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=6),
        min_size=1,
        max_size=15,
        unique=True,
    )
)
def test_any_texts_stay_apart_in_levels_identifiers_and_output(trip: Trip, texts: list[str]) -> None:
    forms = (unicodedata.normalize(form, text) for text in texts for form in ("NFC", "NFD", "NFKC"))
    cases = (change(text) for text in texts for change in (str.upper, str.casefold, str.swapcase))
    check(trip, list(dict.fromkeys(text for text in itertools.chain(texts, forms, cases) if text and "\0" not in text)))


def test_keys_of_texts_that_look_alike_differ() -> None:
    first, second, complete = row_keys([pa.array(ALIKE)])
    assert complete.all()
    assert len(ALIKE) == len(set(zip(first.tolist(), second.tolist(), strict=True)))


def test_a_new_level_that_only_looks_like_an_old_one_is_new(tmp_path: Path, postgres_url: str) -> None:
    for place, route in enumerate((ROUTES[0], ROUTES[4], ROUTES[8], ROUTES[12], ROUTES[16])):
        folder = tmp_path / str(place)
        folder.mkdir()
        with open_trip(route, folder, postgres_url) as trip:
            definition = trip.define(output_settings=None, passthrough_columns=None, name=f"alike-{place}")
            trip.fill([row(i, kind="é") for i in range(250)])
            trip.world.run(definition)
            trip.fill([row(i, kind="e\u0301", at=row(i)["at"].replace(day=2)) for i in range(250)])
            summary = trip.world.run(definition, 1)
            assert 1.0 == trip.world.value(summary.job_id, "new_values", "kind").value
            assert 1.0 == trip.world.value(summary.job_id, "vanished_values", "kind").value
            evaluation = trip.world.evaluate(definition, summary)
            assert ("detected", ("kind",)) == (evaluation.status, evaluation.drifted_columns)
            moved = trip.world.value(summary.job_id, "psi", "kind").details["moved"]
            assert {"é", "__unseen__"} == {entry["cell"] for entry in moved}


NAMES = [
    "é", "e\u0301", "a", "A", "a ", "\u202eevil", "👍🏽", "ﬁ", "fi", "x" * 300, "x" * 299 + "y", "<b>", "a.b",
    "a:b", "%(x)s",
]  # fmt: skip


@pytest.mark.parametrize("form", ["csv", "parquet", "jsonl"])
def test_columns_whose_names_look_alike_stay_apart_up_to_the_page(tmp_path: Path, form: str) -> None:
    from faults import routes

    urls = [f"sqlite:///{tmp_path / name}" for name in ("data.sqlite", "store.sqlite")]
    with job_world.open_world(urls[0], urls[1], tmp_path) as world:
        (world.files / "in").mkdir()
        plain = {name: row()[name] for name in ("at", "score", "churned")}
        path = world.files / "in" / f"rows.{form}"
        definition = job_world.define(
            intake_settings={"type": "file", "url": "in"},
            output_settings=None,
            passthrough_columns=None,
            features=None,
            monitoring_output_settings=None,
        )
        for day in (0, 1):
            batch: list[dict[str, Any]] = [
                plain
                | {"id": f"{day} {i}", "at": plain["at"].replace(day=day + 1)}
                | {name: float(place + i % 3) + 100 * day * (place == 3) for place, name in enumerate(NAMES)}
                for i in range(250)
            ]
            getattr(routes, f"write_{form}")(path, batch)
            summary = world.run(definition, day)
            evaluation = world.evaluate(definition, summary)
        assert set(NAMES) <= set(profile_of(world, summary.job_id).columns)
        told = Counter(value.column for value in world.store.load_values(summary.job_id) if value.name == "psi")
        assert all(times == 1 for times in told.values()), told
        assert len(NAMES) + 2 == len(told)
        assert (NAMES[3],) == evaluation.drifted_columns
        page = assert_shown(world, summary.job_id)
        shown = {printable(str(name), 1600) for name in told}
        assert len(told) == len(shown)
        for name in shown:
            assert f"<bdi>{html.escape(name)}</bdi>" in page
        found = {
            result.value.column
            for result in world.store.results(summary.job_id, limit=1000).items
            if result.status is not None and result.status.text == "detected"
        }
        assert {NAMES[3]} == found
