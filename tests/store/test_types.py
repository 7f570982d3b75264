"""Values on their way into the store and back."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from zoneinfo import ZoneInfo

import pytest
import sqlalchemy as sa
from hypothesis import given
from hypothesis import strategies as st

from airflow_monitoring_provider.exceptions import DefinitionError, UnstorableError
from airflow_monitoring_provider.store import texts
from airflow_monitoring_provider.store.engine import open_engine, reading, writing
from airflow_monitoring_provider.store.types import Json, Utc, jsonable, storable

THINGS = sa.Table(
    "things",
    sa.MetaData(),
    sa.Column("id", sa.Integer, primary_key=True),
    sa.Column("at", Utc),
    sa.Column("data", Json),
)


@pytest.fixture
def engine(database_url: str) -> Iterator[sa.Engine]:
    engine = open_engine(database_url)
    with writing(engine) as connection:
        THINGS.create(connection)
    yield engine
    engine.dispose()


@pytest.mark.parametrize("zone", ["UTC", "Asia/Kathmandu", "America/New_York"])
def test_an_instant_of_any_zone_comes_back_as_the_same_instant_in_utc(engine: sa.Engine, zone: str) -> None:
    instants = [
        dt.datetime(2026, 11, 1, 1, 30, 0, 123456, tzinfo=ZoneInfo(zone), fold=1),
        dt.datetime(1970, 1, 1, tzinfo=ZoneInfo(zone)),
        dt.datetime(2199, 12, 31, 23, 59, 59, 999999, tzinfo=ZoneInfo(zone)),
    ]
    with writing(engine) as connection:
        connection.execute(THINGS.insert(), [{"at": instant} for instant in instants])

    with reading(engine) as connection:
        back = connection.execute(sa.select(THINGS.c.at).order_by(THINGS.c.id)).scalars().all()
        since = connection.execute(sa.select(sa.func.count()).where(THINGS.c.at >= instants[0])).scalar_one()
    assert [instant.astimezone(dt.UTC) for instant in instants] == back
    assert {dt.UTC} == {instant.tzinfo for instant in back}
    assert 2 == since


def test_a_naive_datetime_is_refused_in_rows_and_in_conditions(engine: sa.Engine) -> None:
    naive = dt.datetime(2026, 1, 1)  # noqa: DTZ001 - the mistake under test
    with pytest.raises(UnstorableError, match="time zone"), writing(engine) as connection:
        connection.execute(THINGS.insert().values(at=naive))
    with pytest.raises(UnstorableError, match="time zone"), reading(engine) as connection:
        connection.execute(sa.select(THINGS).where(THINGS.c.at > naive))


@pytest.mark.parametrize(
    "value", [None, True, 0, -(2**62), 0.1, 1e308, "", "é\n\"'\\ \U0001f6eb %s :x", [], [1, [None]], {"a": {"b": []}}]
)
def test_json_comes_back_as_it_went_in(engine: sa.Engine, value: object) -> None:
    with writing(engine) as connection:
        connection.execute(THINGS.insert().values(data=value))

    with reading(engine) as connection:
        assert value == connection.execute(sa.select(THINGS.c.data)).scalar_one()


@pytest.mark.parametrize("value", [float("nan"), float("inf"), [float("-inf")], {"a": {"b": (1.0, float("nan"))}}])
def test_json_without_nan_and_infinity(engine: sa.Engine, value: object) -> None:
    with pytest.raises(UnstorableError, match="NaN or infinite"), writing(engine) as connection:
        connection.execute(THINGS.insert().values(data=value))


def test_what_has_no_json_form_is_refused_by_its_type() -> None:
    with pytest.raises(UnstorableError, match="a bytes has no JSON form"):
        jsonable({"a": b"secret"})


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_whatever_is_made_jsonable_is_json_that_any_database_holds(value: object) -> None:
    text = json.dumps(jsonable(value), allow_nan=False, ensure_ascii=False)

    assert "\\u0000" not in text
    assert text.encode() is not None
    assert jsonable(value) == jsonable(jsonable(value))


@given(st.text(alphabet=st.characters()))
def test_storable_text_is_text_that_can_be_encoded_and_is_otherwise_the_same(text: str) -> None:
    stored = storable(text)

    assert stored.encode() is not None
    assert "\0" not in stored
    clean = "\0" not in text and not any(0xD800 <= ord(character) <= 0xDFFF for character in text)
    assert not clean or stored == text


@pytest.mark.parametrize("bad", ["", "a\0", "a\nb", "\x7f", "\ud800", "x" * 256])
def test_a_name_that_cannot_be_stored_is_refused_with_its_field_and_without_its_text(bad: str) -> None:
    with pytest.raises(DefinitionError) as refused:
        texts.name(bad, "modelId")
    assert "modelId" == refused.value.field
    assert not bad or bad not in str(refused.value)
