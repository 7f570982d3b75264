"""A job whose profile the database computes is the job whose rows are read, without the rows."""

from __future__ import annotations

from typing import Any

import pytest

from airflow_monitoring_provider.exceptions import ConfigurationError

ONLY_COUNTED = {
    "output_settings": None,
    "passthrough_columns": None,
    "timestamp_column": None,
    "monitoring_columns": {
        "predictions_columns": [{"class_name": "yes", "column_name": "score"}],
        "actuals_value_column": "churned",
    },
}


def test_both_engines_commit_the_same_profile_and_values(world: Any, define: Any, tools: Any) -> None:
    rows = [
        *tools.day_rows(0, dirty=False),
        {"id": None, "score": 0.5},
        {"id": 9999, "score": None},
        {"id": 9998, "score": 2.0},
    ]
    world.table("scores", [dict.fromkeys(tools.COLUMNS) | row for row in rows])
    read = world.run(define(**ONLY_COUNTED, name="read", engine="arrow"))
    pushed = world.run(define(**ONLY_COUNTED, name="pushed", engine="sql"))

    assert 403 == pushed.rows
    assert {"monitored": 400, "rejected:missing_identifier": 1, "rejected:missing_prediction": 1,
            "rejected:invalid_prediction": 1} == pushed.status_counts  # fmt: skip
    assert read.content_hash == pushed.content_hash
    for name in ("accuracy", "log_loss"):
        expected = world.value(read.job_id, name).value
        assert expected == pytest.approx(world.value(pushed.job_id, name).value, rel=1e-9)


def test_repeated_identifiers_are_read_by_auto_and_an_error_of_sql(world: Any, define: Any, tools: Any) -> None:
    world.table("scores", tools.day_rows(0))

    assert 1 == world.run(define(**ONLY_COUNTED)).status_counts["rejected:duplicate_identifier"]
    with pytest.raises(ConfigurationError, match=r"engine: the database cannot profile .*identifiers repeat"):
        world.run(define(**ONLY_COUNTED, name="pushed", engine="sql"))
