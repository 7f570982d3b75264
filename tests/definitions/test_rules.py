"""Every rule of the seeds, of the contract and of our own: what is refused, and under which name."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from airflow_monitoring_provider.definitions import load_definition

Problems = Callable[[Mapping[str, Any]], dict[str, str]]
Change = Callable[[Mapping[str, Any]], dict[str, Any]]

CLASSES = "monitoringColumns.predictionsColumns"
STATUS = "monitoringOutputSettings.monitoredStatusColumn"
AGGREGATION = {"retentionPolicy": "samples", "retentionValue": 10}
SCHEDULE = {"minute": [0], "hour": [17], "dayOfMonth": ["*"], "month": ["*"], "dayOfWeek": ["*"]}
REFERENCE = {"type": "reference", "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "reference"}}

# changes to the base payload, the field named (camelCase), what the message says
BROKEN: dict[str, tuple[dict[str, Any], str, str]] = {
    "no deployment": ({"deploymentId": ...}, "deploymentId", "is required"),
    "blank deployment": ({"deploymentId": "  "}, "deploymentId", "must not be blank"),
    "empty deployment": ({"deploymentId": ""}, "deploymentId", "must not be empty"),
    "number as deployment": (
        {"deploymentId": 12},
        "deploymentId",
        "must be text, not a whole number; put it in quotes",
    ),
    "list as name": ({"name": ["a"]}, "name", "must be text, not a list"),
    "endless name": ({"name": "n" * 256}, "name", "at most 255 characters, not 256"),
    "bad id": ({"id": "a b"}, "id", "must be made of A-Z"),
    "other kind of job": ({"batchJobType": "prediction"}, "batchJobType", "must be monitoring"),
    "unknown kind of job": ({"batchJobType": "scoring"}, "batchJobType", "not 'scoring'"),
    "text as flag": ({"enabled": "yes"}, "enabled", "must be true or false, not text"),
    "enabled without schedule": ({"enabled": True}, "schedule", "is required where enabled is true"),
    # columns
    "no columns": ({"monitoringColumns": ...}, "monitoringColumns", "is required"),
    "no predictions or actuals": (
        {"monitoringColumns": {"associationIdColumn": "id"}},
        CLASSES,
        "is required, unless actuals",
    ),
    "object as predictions": ({CLASSES: {"a": 1}}, CLASSES, "must be a column name, or a list"),
    "no classes": ({CLASSES: []}, CLASSES, "must not be empty"),
    "1001 classes": (
        {CLASSES: [{"className": str(n), "columnName": f"p{n}"} for n in range(1001)]},
        CLASSES,
        "at most 1000 items, not 1001",
    ),
    "class twice": (
        {CLASSES: [{"className": "a", "columnName": "p"}, {"className": "a", "columnName": "q"}]},
        f"{CLASSES}[1].className",
        "repeats item 0",
    ),
    "column twice": (
        {CLASSES: [{"className": "a", "columnName": "p"}, {"className": "b", "columnName": "p"}]},
        f"{CLASSES}[1].columnName",
        "repeats item 0",
    ),
    "class without column": ({CLASSES: [{"className": "a"}]}, f"{CLASSES}[0].columnName", "is required"),
    "class that is no text": (
        {CLASSES: [{"className": True, "columnName": "p"}]},
        f"{CLASSES}[0].className",
        "must be text, not true or false; put it in quotes",
    ),
    "null in a list": ({CLASSES: [None]}, f"{CLASSES}[0]", "must be an object, not null"),
    "long column": (
        {"monitoringColumns.actualsValueColumn": "c" * 256},
        "monitoringColumns.actualsValueColumn",
        "at most 255 bytes",
    ),
    "NUL in a column": (
        {"monitoringColumns.actualsValueColumn": "a\0"},
        "monitoringColumns.actualsValueColumn",
        "must not hold NUL",
    ),
    "line end in a column": (
        {"monitoringColumns.actualsValueColumn": "a\n"},
        "monitoringColumns.actualsValueColumn",
        "control character U+000A",
    ),
    "prediction is actual": (
        {"monitoringColumns.actualsValueColumn": "p_late"},
        "monitoringColumns.actualsValueColumn",
        "names the column that monitoringColumns.predictionsColumns names",
    ),
    "association id is actual": (
        {"monitoringColumns.actualsValueColumn": "flight_id"},
        "monitoringColumns.actualsValueColumn",
        "a column has one role",
    ),
    "timestamp is prediction": (
        {"timestampColumn": "p_late"},
        f"{CLASSES}[0].columnName",
        "names the column that timestampColumn names",
    ),
    "feature is prediction": ({"features": ["a", "p_late"]}, "features[1]", "a feature has no other role"),
    "feature twice": ({"features": ["a", "b", "a"]}, "features[2]", "repeats item 0"),
    # output rows
    "101 identifiers": (
        {"monitoringOutputSettings.uniqueRowIdentifierColumns": [f"c{n}" for n in range(101)]},
        "monitoringOutputSettings.uniqueRowIdentifierColumns",
        "at most 100 items, not 101",
    ),
    "identifier twice": (
        {"monitoringOutputSettings.uniqueRowIdentifierColumns": ["a", "a"]},
        "monitoringOutputSettings.uniqueRowIdentifierColumns[1]",
        "repeats item 0",
    ),
    "identifier too long for SQL": (
        {"monitoringOutputSettings.uniqueRowIdentifierColumns": ["é" * 32]},
        "monitoringOutputSettings.uniqueRowIdentifierColumns[0]",
        "at most 63 bytes in UTF-8, not 64",
    ),
    "status is identifier": ({STATUS: "flight_id"}, STATUS, "must differ from the columns in"),
    "status is passthrough": ({"passthroughColumns": ["monitored"]}, STATUS, "in passthroughColumns"),
    "status too long for SQL": ({STATUS: "s" * 64}, STATUS, "at most 63 bytes"),
    "reserved column": (
        {"passthroughColumns": ["monitoring_job_id"]},
        "passthroughColumns[0]",
        "must not be monitoring_job_id",
    ),
    "passthrough twice": ({"passthroughColumns": ["a", "a"]}, "passthroughColumns[1]", "repeats item 0"),
    "both passthroughs": (
        {"passthroughColumns": ["a"], "passthroughColumnsSet": "all"},
        "passthroughColumnsSet",
        "must not be given together with passthroughColumns",
    ),
    "unknown passthrough set": (
        {"passthroughColumnsSet": "some"},
        "passthroughColumnsSet",
        "must be 'all', not 'some'",
    ),
    "two places, two answers": (
        {"monitoringColumns.monitoredStatusColumn": "other"},
        "monitoringColumns.monitoredStatusColumn",
        "differs from monitoringOutputSettings.monitoredStatusColumn",
    ),
    # aggregation
    "unknown retention": (
        {"monitoringAggregation": {"retentionPolicy": "all", "retentionValue": 1}},
        "monitoringAggregation.retentionPolicy",
        "must be 'samples' or 'percentage', not 'all'",
    ),
    "retention without value": (
        {"monitoringAggregation": {"retentionPolicy": "samples"}},
        "monitoringAggregation.retentionValue",
        "is required",
    ),
    "negative retention": (
        {"monitoringAggregation": {"retentionPolicy": "samples", "retentionValue": -1}},
        "monitoringAggregation.retentionValue",
        "must be at least 0, not -1",
    ),
    "half a sample": (
        {"monitoringAggregation": {"retentionPolicy": "samples", "retentionValue": 1.5}},
        "monitoringAggregation.retentionValue",
        "must be a whole number, not a number",
    ),
    "101 percent": (
        {"monitoringAggregation": {"retentionPolicy": "percentage", "retentionValue": 101}},
        "monitoringAggregation.retentionValue",
        "is a percentage: at most 100, not 101",
    ),
    "samples with a target": (
        {"monitoringAggregation": AGGREGATION | {"targetRows": 5}},
        "monitoringAggregation.targetRows",
        "chooses a percentage: use it with retentionPolicy percentage",
    ),
    "aggregated actuals without predictions": (
        {"monitoringAggregation": AGGREGATION, CLASSES: ...},
        CLASSES,
        "is required where monitoringAggregation is used with actualsValueColumn",
    ),
    "aggregated actuals without association id": (
        {"monitoringAggregation": AGGREGATION, "monitoringColumns.associationIdColumn": ...},
        "monitoringColumns.associationIdColumn",
        "is required where monitoringAggregation is used with actualsValueColumn",
    ),
    "aggregated rows that wait for actuals": (
        {"monitoringAggregation": AGGREGATION, "monitoringColumns.actualsValueColumn": ...},
        "monitoringColumns.associationIdColumn",
        "cannot be used with monitoringAggregation unless actualsValueColumn",
    ),
    # intake
    "intake without type": ({"intakeSettings": {"table": "t"}}, "intakeSettings.type", "is required: one of jdbc, sql"),
    "unknown intake": ({"intakeSettings.type": "oracle"}, "intakeSettings.type", "not 'oracle'"),
    "text as intake": ({"intakeSettings": "jdbc"}, "intakeSettings", "must be an object with a type, not text"),
    "no connection": (
        {"intakeSettings.dataStoreId": ...},
        "intakeSettings.dataStoreId",
        "names the Airflow connection",
    ),
    "no table or query": ({"intakeSettings.table": ...}, "intakeSettings.table", "is required, unless query"),
    "table and query": (
        {"intakeSettings.query": "select 1"},
        "intakeSettings.query",
        "must not be given together with table",
    ),
    "fetch size 0": ({"intakeSettings.fetchSize": 0}, "intakeSettings.fetchSize", "must be at least 1, not 0"),
    "fetch size of millions": ({"intakeSettings.fetchSize": 1_000_001}, "intakeSettings.fetchSize", "at most 1e+06"),
    "long table": ({"intakeSettings.table": "t" * 64}, "intakeSettings.table", "at most 63 bytes in UTF-8, not 64"),
    "empty schema": ({"intakeSettings.schema": ""}, "intakeSettings.schema", "must not be empty"),
    "control character in catalog": ({"intakeSettings.catalog": "a\x1b"}, "intakeSettings.catalog", "U+001B"),
    "stage of another adapter": (
        {"intakeSettings.externalStage": "stage"},
        "intakeSettings.externalStage",
        "is not a field of type jdbc",
    ),
    "file without url": ({"intakeSettings": {"type": "s3"}}, "intakeSettings.url", "is required"),
    "login in url": (
        {"intakeSettings": {"type": "s3", "url": "s3://user:secret@bucket/a.csv"}},
        "intakeSettings.url",
        "must not hold a login",
    ),
    "climbing url": ({"intakeSettings": {"type": "file", "url": "in/../../etc"}}, "intakeSettings.url", ".. segment"),
    "unknown format": (
        {"intakeSettings": {"type": "file", "url": "a.xls", "format": "xls"}},
        "intakeSettings.format",
        "must be 'csv', 'parquet' or 'jsonl', not 'xls'",
    ),
    "endpoint of another adapter": (
        {"intakeSettings": {"type": "gcp", "url": "gs://b/a.csv", "endpointUrl": "https://s3"}},
        "intakeSettings.endpointUrl",
        "is not a field of type gcp",
    ),
    "endpoint that is no web address": (
        {"intakeSettings": {"type": "s3", "url": "s3://b/a.csv", "endpointUrl": "ftp://s3"}},
        "intakeSettings.endpointUrl",
        "must start with https://",
    ),
    "odd partition": (
        {"intakeSettings": {"type": "dss", "partition": "some"}},
        "intakeSettings.partition",
        "must be 'holdout', 'validation' or 'allBacktests'",
    ),
    # output
    "no statement": (
        {"outputSettings.statementType": ...},
        "outputSettings.statementType",
        "is required: one of insert",
    ),
    "unknown statement": (
        {"outputSettings.statementType": "upsert"},
        "outputSettings.statementType",
        "must be 'insert', 'update', 'insert_update' or 'create_table', not 'upsert'",
    ),
    "update without where": (
        {"outputSettings.statementType": "update"},
        "outputSettings.whereColumns",
        "must name at least one column for update",
    ),
    "upsert without where": (
        {"outputSettings.statementType": "insertUpdate", "outputSettings.whereColumns": []},
        "outputSettings.whereColumns",
        "for insert_update",
    ),
    "update of a where column": (
        {
            "outputSettings.statementType": "update",
            "outputSettings.whereColumns": ["id"],
            "outputSettings.updateColumns": ["s", "id"],
        },
        "outputSettings.updateColumns[1]",
        "is also one of whereColumns",
    ),
    "long where column": (
        {"outputSettings.whereColumns": ["w" * 64]},
        "outputSettings.whereColumns[0]",
        "at most 63 bytes",
    ),
    "negative commit interval": ({"outputSettings.commitInterval": -1}, "outputSettings.commitInterval", "at least 0"),
    "commits after a day": (
        {"outputSettings.commitInterval": 86_401},
        "outputSettings.commitInterval",
        "at most 86400",
    ),
    "text as commit interval": ({"outputSettings.commitInterval": "10"}, "outputSettings.commitInterval", "not text"),
    "flag as commit interval": (
        {"outputSettings.commitInterval": True},
        "outputSettings.commitInterval",
        "must be a whole number, not true or false",
    ),
    "no output table": ({"outputSettings.table": ...}, "outputSettings.table", "is required"),
    "intake type as output": ({"outputSettings.type": "dataset"}, "outputSettings.type", "not 'dataset'"),
    "insert into the intake": (
        {"outputSettings.table": "flights"},
        "outputSettings.table",
        "must not be the intake table",
    ),
    "create the intake": (
        {"outputSettings.table": "flights", "outputSettings.statementType": "createTable"},
        "outputSettings.table",
        "where statementType is create_table",
    ),
    "results over the rows": (
        {
            "intakeSettings": {"type": "file", "url": "a.csv"},
            "outputSettings": {"type": "file", "url": "a.csv"},
        },
        "outputSettings.url",
        "must not be the intake's url",
    ),
    # CSV, chunks and the rest of a job
    "long delimiter": ({"csvSettings": {"delimiter": "||"}}, "csvSettings.delimiter", "one character or the word tab"),
    "line end as delimiter": ({"csvSettings": {"delimiter": "\n"}}, "csvSettings.delimiter", "must not be a line end"),
    "long quote": ({"csvSettings": {"quotechar": "''"}}, "csvSettings.quotechar", "must be one character, not 2"),
    "quote is delimiter": (
        {"csvSettings": {"delimiter": "'", "quotechar": "'"}},
        "csvSettings.quotechar",
        "must differ from delimiter",
    ),
    "unknown encoding": ({"csvSettings": {"encoding": "utf-9"}}, "csvSettings.encoding", "is not a text encoding"),
    "encoding that is a codec": (
        {"csvSettings": {"encoding": "zlib"}},
        "csvSettings.encoding",
        "is not a text encoding",
    ),
    "no workers": ({"numConcurrent": 0}, "numConcurrent", "must be at least 1, not 0"),
    "unknown chunk": ({"chunkSize": "big"}, "chunkSize", "must be auto, fixed, dynamic or a positive number"),
    "empty chunk": ({"chunkSize": 0}, "chunkSize", "a positive number of bytes"),
    "flag as chunk": ({"chunkSize": True}, "chunkSize", "a positive number of bytes"),
    "key of a prediction server": (
        {"predictionInstance": {"hostName": "h", "apiKey": "k"}},
        "predictionInstance.apiKey",
        "is a secret: keep it in an Airflow connection",
    ),
    # schedule
    "four lists": ({"schedule": {k: v for k, v in SCHEDULE.items() if k != "month"}}, "schedule.month", "is required"),
    "minute 60": ({"schedule": {**SCHEDULE, "minute": [0, 60]}}, "schedule.minute[1]", "must be 0 to 59, not 60"),
    "star and number": ({"schedule": {**SCHEDULE, "hour": ["*", 1]}}, "schedule.hour[0]", '"*" must stand alone'),
    "unknown day": (
        {"schedule": {**SCHEDULE, "dayOfWeek": ["caturday"]}},
        "schedule.dayOfWeek[0]",
        "must be 0 to 6 or a name, not 'caturday'",
    ),
    "day 7": ({"schedule": {**SCHEDULE, "dayOfWeek": [7]}}, "schedule.dayOfWeek[0]", "must be 0 to 6 or a name, not 7"),
    "no minutes": ({"schedule": {**SCHEDULE, "minute": []}}, "schedule.minute", "must not be empty"),
    "number as list": ({"schedule": {**SCHEDULE, "minute": 5}}, "schedule.minute", "must be a list"),
    "flag as minute": ({"schedule": {**SCHEDULE, "minute": [True]}}, "schedule.minute[0]", "must be 0 to 59"),
    "31 February": (
        {"schedule": {**SCHEDULE, "dayOfMonth": [30, 31], "month": ["feb"]}},
        "schedule.dayOfMonth",
        "never comes: day 30 is in none of the months of month",
    ),
    # our own
    "unknown zone": ({"timezone": "Europe/Zurch"}, "timezone", "must be an IANA time zone"),
    "zone that is a path": ({"timestampTimezone": "../etc/passwd"}, "timestampTimezone", "must be an IANA time zone"),
    "unknown kind of column": ({"columnTypes": {"a": "number"}}, "columnTypes.a", "must be 'numeric'"),
    "impossible start": ({"startDate": "2026-02-30"}, "startDate", "must be an ISO 8601 date"),
    "start of time": ({"startDate": "0001-01-01T00:00:00+14:00"}, "startDate", "between the years 1900 and 2200"),
    "number as start": ({"startDate": 20260101}, "startDate", "must be a date and time, not a whole number"),
    "end before start": ({"startDate": "2026-02-01", "endDate": "2026-01-01"}, "endDate", "must lie after startDate"),
    "moving by length and windows": (
        {"baseline": {"type": "movingWindow", "length": "7d", "windows": 7}},
        "baseline.windows",
        "must not be given together with length",
    ),
    "moving by no time": ({"baseline": {"type": "moving_window", "length": "0d"}}, "baseline.length", "be longer than"),
    "moving by words": (
        {"baseline": {"type": "moving_window", "length": "a week"}},
        "baseline.length",
        "must be a duration such as 17d",
    ),
    "moving by a number": (
        {"baseline": {"type": "moving_window", "length": 604800}},
        "baseline.length",
        "must be text, not a whole number",
    ),
    "delayed for ever": (
        {"baseline": {"type": "expanding", "delay": "36501d"}},
        "baseline.delay",
        "must not be longer than 36500 days",
    ),
    "no batches": ({"baseline": {"type": "batches", "batchIds": []}}, "baseline.batchIds", "must not be empty"),
    "batch twice": (
        {"baseline": {"type": "batches", "batchIds": ["a", "a"]}},
        "baseline.batchIds[1]",
        "repeats item 0",
    ),
    "range without an end": (
        {"baseline": {"type": "fixedRange", "start": "2026-01-01"}},
        "baseline.end",
        "is required",
    ),
    "range backwards": (
        {"baseline": {"type": "fixedRange", "start": "2026-01-02", "end": "2026-01-02"}},
        "baseline.end",
        "must lie after start",
    ),
    "no period": (
        {"baseline": {"type": "samePeriod", "ago": "hour"}},
        "baseline.ago",
        "must be 'day', 'week',",
    ),
    "no windows at all": (
        {"baseline": {"type": "previousWindow", "minimumWindows": 0}},
        "baseline.minimumWindows",
        "at least 1",
    ),
    "version of nothing": ({"baseline": {"type": "named", "version": 1}}, "baseline.name", "is required"),
    "unknown baseline": ({"baseline": {"type": "last"}}, "baseline.type", "must be one of reference, first_window"),
    "baseline without intake": ({"baseline": {"type": "reference"}}, "baseline.intakeSettings", "is required"),
    "baseline of an unknown intake": (
        {"baseline": {"type": "reference", "intakeSettings": {"type": "oracle"}}},
        "baseline.intakeSettings.type",
        "not 'oracle'",
    ),
    "first window that nothing dates": (
        {"baseline": {"type": "first_window"}, "schedule": SCHEDULE},
        "startDate",
        "is required for a first_window baseline",
    ),
    "first window that nothing ends": (
        {"baseline": {"type": "first_window"}, "startDate": "2026-01-01"},
        "schedule",
        "is required for a first_window baseline",
    ),
    "baseline times without timestamps": (
        {"baseline": {**REFERENCE, "start": "2026-01-01"}},
        "baseline.start",
        "needs timestampColumn",
    ),
    "baseline that ends first": (
        {"timestampColumn": "at", "baseline": {**REFERENCE, "start": "2026-01-02", "end": "2026-01-01"}},
        "baseline.end",
        "must lie after start",
    ),
    "regression of classes": ({"targetType": "Regression"}, "targetType", "cannot be Regression with a list"),
    "unknown target": ({"targetType": "Ranking"}, "targetType", "not 'Ranking'"),
    "three binary classes": (
        {
            CLASSES: [{"className": str(n), "columnName": f"p{n}"} for n in range(3)],
            "targetType": "Binary",
        },
        "targetType",
        "cannot be Binary with 3 classes",
    ),
    "one of many classes": (
        {CLASSES: [{"className": "a", "columnName": "p"}], "targetType": "Multiclass"},
        "targetType",
        "cannot be Multiclass with one class",
    ),
    "many classes in one column": (
        {CLASSES: "p", "targetType": "Multiclass"},
        "targetType",
        "list a column for each class",
    ),
    "score of no class": (
        {CLASSES: "p", "targetType": "Binary"},
        "positiveClass",
        "is required where targetType is Binary",
    ),
    "negative class beside two": (
        {"negativeClass": "on time"},
        "negativeClass",
        "must be absent: monitoringColumns.predictionsColumns names both",
    ),
    "negative class that is the positive": (
        {CLASSES: "p", "targetType": "Binary", "positiveClass": "late", "negativeClass": "late"},
        "negativeClass",
        "must differ from the positive class",
    ),
    "negative class of a number": (
        {CLASSES: "p", "negativeClass": "late"},
        "negativeClass",
        "only where targetType is",
    ),
    "positive class of nothing": ({"positiveClass": "early"}, "positiveClass", "must be one of the classes"),
    "positive class of a regression": (
        {CLASSES: "p", "positiveClass": "late"},
        "positiveClass",
        "only where targetType",
    ),
    "threshold over 1": ({"predictionThreshold": 1.1}, "predictionThreshold", "must be at most 1, not 1.1"),
    "threshold below 0": ({"predictionThreshold": -0.1}, "predictionThreshold", "must be at least 0"),
    "unknown metric": ({"thresholds": {"pis": {"warning": 1}}}, "thresholds.pis", "did you mean psi?"),
    "distance of embeddings": (
        {"thresholds": {"centroid_cosine": {"warning": 1}}},
        "thresholds.centroid_cosine",
        "is not computed for this definition: give embeddings",
    ),
    "scale of errors": ({"thresholds": {"mase": {"warning": 1}}}, "thresholds.mase", "give naiveForecast"),
    "quantile of 1": ({"predictionQuantile": 1}, "predictionQuantile", "must be less than 1"),
    "empty threshold": ({"thresholds": {"psi": {}}}, "thresholds.psi", "must give warning, critical or columns"),
    "mild critical": (
        {"thresholds": {"psi": {"warning": 0.3, "critical": 0.2}}},
        "thresholds.psi.warning",
        "must be at or under critical: higher values are worse",
    ),
    "mild critical accuracy": (
        {"thresholds": {"accuracy": {"warning": 0.7, "critical": 0.8}}},
        "thresholds.accuracy.warning",
        "must be at or over critical: lower values are worse",
    ),
    "mild critical of a column": (
        {"thresholds": {"psi": {"columns": {"Total due": {"warning": 0.3, "critical": 0.2}}}}},
        "thresholds.psi.columns['Total due'].warning",
        "must be at or under critical",
    ),
    "rate in percent": (
        {"thresholds": {"missing_rate": {"critical": 5}}},
        "thresholds.missing_rate.critical",
        "can never be reached: the metric runs from 0 to 1",
    ),
    "negative distance": (
        {"thresholds": {"mean_error": {"warning": -1}}},
        "thresholds.mean_error.warning",
        "can never be reached",
    ),
    "infinite threshold": (
        {"thresholds": {"psi": {"warning": float("inf")}}},
        "thresholds.psi.warning",
        "must be a finite number",
    ),
    "files cut by key": (
        {"partitions": {"by": "key"}, "intakeSettings": {"type": "file", "url": "in"}},
        "partitions.by",
        "use auto, file or row_group",
    ),
    "table cut by file": (
        {"partitions": {"by": "file"}, "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "t"}},
        "partitions.by",
        "use auto, key or time",
    ),
    "cut by no column": (
        {
            "partitions": {"by": "key"},
            "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "t"},
            "monitoringOutputSettings": {},
        },
        "partitions.column",
        "is required where there are no unique row identifiers",
    ),
    "cut by a column that lets equal rows part": (
        {
            "partitions": {"by": "key", "column": "amount"},
            "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "t"},
            "monitoringOutputSettings": {"uniqueRowIdentifierColumns": ["id"]},
        },
        "partitions.column",
        "must be one of",
    ),
    "too many parts": ({"partitions": {"count": 1025}}, "partitions.count", "must be at most 1024"),
    "alpha 1": ({"significance": {"alpha": 1}}, "significance.alpha", "must be less than 1, not 1"),
    "unknown adjustment": ({"significance": {"adjustment": "holm"}}, "significance.adjustment", "not 'holm'"),
    "negative minimum": ({"minimums": {"perClass": -1}}, "minimums.perClass", "must be at least 0"),
    "unknown level names": ({"levelNames": "show"}, "levelNames", "must be 'keep', 'hash' or 'drop', not 'show'"),
    "unknown engine": ({"engine": "duckdb"}, "engine", "must be 'auto', 'arrow' or 'sql', not 'duckdb'"),
    "push-down into files": (
        {
            "engine": "sql",
            "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "t"},
            "outputSettings": {"type": "s3", "url": "s3://bucket/results.csv"},
        },
        "engine",
        "cannot be sql: each row's status is written to no database",
    ),
    "push-down into rows that are there": (
        {
            "engine": "sql",
            "intakeSettings": {"type": "jdbc", "dataStoreId": "db", "table": "t"},
            "outputSettings": {
                "type": "jdbc",
                "dataStoreId": "db",
                "table": "o",
                "statementType": "update",
                "whereColumns": ["id"],
            },
        },
        "engine",
        "cannot be sql: statementType finds the output's rows one by one",
    ),
    "push-down of files": (
        {"engine": "sql", "intakeSettings": {"type": "s3", "url": "s3://bucket/a.csv"}},
        "engine",
        "cannot be sql: the intake is no database",
    ),
    "more than all rejected": ({"maxRejectedShare": 1.5}, "maxRejectedShare", "must be at most 1"),
    "negative retries": ({"retries": -1}, "retries", "must be at least 0"),
    # what belongs to batch predictions
    "101 explanations": ({"maxExplanations": 101}, "maxExplanations", "must be at most 100"),
    "11 explained classes": ({"explanationNumTopClasses": 11}, "explanationNumTopClasses", "must be at most 10"),
    "unknown series": ({"timeseriesSettings": {"type": "past"}}, "timeseriesSettings.type", "must be 'forecast'"),
    "text as remapping": (
        {"columnNamesRemapping": "a"},
        "columnNamesRemapping",
        "must be an object or a list, not text",
    ),
}


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_names_the_field_as_camel_case_callers_write_it(
    rule: str, changed: Change, problems_of: Problems
) -> None:
    changes, field, words = BROKEN[rule]

    problems = problems_of(changed(changes))

    assert field in problems
    assert problems[field].startswith(f"{field}: ")
    assert words in problems[field]


@pytest.mark.parametrize("rule", BROKEN)
def test_a_broken_rule_names_the_field_as_snake_case_callers_write_it(
    rule: str, changed: Change, snake_keys: Callable[[Any], Any], problems_of: Problems
) -> None:
    changes, field, words = BROKEN[rule]

    problems = problems_of(snake_keys(changed(changes)))

    assert _snake(field) in problems
    assert _snake(words) in _snake(problems[_snake(field)])


def _snake(text: str) -> str:
    return re.sub(r"(?<=[a-z])([A-Z])", lambda match: f"_{match[1].lower()}", text)


ALLOWED: dict[str, dict[str, Any]] = {
    "enabled is not said, schedule neither": {},
    "disabled without schedule": {"enabled": False},
    "enabled with schedule": {"enabled": True, "schedule": SCHEDULE},
    "actuals only": {CLASSES: ...},
    "predictions only": {"monitoringColumns": {"predictionsColumns": "p"}},
    "1000 classes": {CLASSES: [{"className": str(n), "columnName": f"p{n}"} for n in range(1000)]},
    "100 identifiers": {"monitoringOutputSettings.uniqueRowIdentifierColumns": [f"c{n}" for n in range(100)]},
    "63 bytes": {"monitoringOutputSettings.uniqueRowIdentifierColumns": ["c" * 63]},
    "long identifier and a file": {
        "monitoringOutputSettings.uniqueRowIdentifierColumns": ["c" * 255],
        "outputSettings": {"type": "file", "url": "out"},
    },
    "long column of the intake": {"monitoringColumns.actualsValueColumn": "c" * 255},
    "actuals aggregated with all three": {"monitoringAggregation": AGGREGATION},
    "aggregated predictions": {
        "monitoringAggregation": {"retentionPolicy": "percentage", "retentionValue": 100},
        "monitoringColumns.associationIdColumn": ...,
        "monitoringColumns.actualsValueColumn": ...,
    },
    "nothing retained": {"monitoringAggregation": {"retentionPolicy": "samples", "retentionValue": 0}},
    "one time for both": {"timestampColumn": "at", "monitoringColumns.actualsTimestampColumn": "at"},
    "empty lists for insert": {"outputSettings.whereColumns": [], "outputSettings.updateColumns": []},
    "one commit at the end": {"outputSettings.commitInterval": 0},
    "commit once a day": {"outputSettings.commitInterval": 86_400},
    "update of the intake": {
        "outputSettings.table": "flights",
        "outputSettings.statementType": "update",
        "outputSettings.whereColumns": ["flight_id"],
    },
    "same table elsewhere": {"outputSettings.table": "flights", "outputSettings.schema": "monitoring"},
    "all columns and none": {"passthroughColumns": [], "passthroughColumnsSet": "all"},
    "odd names": {
        "outputSettings.table": 'drop "table"; --',
        "passthroughColumns": ["select", "a b", "日本", "%s", ":x"],
    },
    "status in its older place": {
        "monitoringOutputSettings.monitoredStatusColumn": ...,
        "monitoringColumns.monitoredStatusColumn": "state",
    },
    "same answer in both places": {"monitoringColumns.monitoredStatusColumn": "monitored"},
    "tab": {"csvSettings": {"delimiter": "tab"}},
    "bytes a chunk": {"chunkSize": 5_000_000},
    "never an intake, yet known": {"intakeSettings": {"type": "localFile", "multipart": True, "async": False}},
    "bigquery": {
        "intakeSettings": {"type": "bigquery", "dataset": "d", "table": "t", "bucket": "b", "credentialId": "google"},
        "outputSettings": {"type": "bigquery", "dataset": "d", "table": "o", "bucket": "b", "credentialId": "google"},
    },
    "snowflake": {
        "intakeSettings": {
            "type": "snowflake",
            "dataStoreId": "snow",
            "table": "t",
            "externalStage": "s",
            "cloudStorageType": "s3",
            "cloudStorageCredentialId": "c",
        }
    },
    "every member of a batch prediction": {
        "columnNamesRemapping": {"a": "b", "c": None},
        "skipDriftTracking": False,
        "includeProbabilitiesClasses": ["late"],
        "maxExplanations": 100,
        "explanationClassNames": ["late"],
        "explanationNumTopClasses": 10,
        "thresholdHigh": 0.9,
        "thresholdLow": 0,
        "timeseriesSettings": {"type": "forecast", "forecastPoint": "2026-01-01T00:00:00Z"},
        "predictionInstance": {"hostName": "h", "sslEnabled": True},
    },
    "the old form of a remapping": {"columnNamesRemapping": [{"inputName": "a", "outputName": "b"}]},
    "thresholds": {
        "thresholds": {
            "psi": {"warning": 0.1, "critical": 0.25, "columns": {"distance": {"critical": 0.5}}},
            "accuracy": {"warning": 0.9, "critical": 0.8},
            "mean_error": {"warning": 1, "critical": 1},
            "f0.5": {"critical": 0.1},
        }
    },
    "the first window as baseline": {
        "baseline": {"type": "firstWindow"},
        "schedule": SCHEDULE,
        "startDate": "2026-01-01",
    },
    "a binary score and both classes": {
        CLASSES: [{"className": "late", "columnName": "p"}],
        "negativeClass": "on time",
    },
    "a stated binary score": {CLASSES: "score", "targetType": "Binary", "positiveClass": "late"},
}


@pytest.mark.parametrize("case", ALLOWED)
def test_what_no_rule_forbids_loads_in_both_spellings(
    case: str, changed: Change, snake_keys: Callable[[Any], Any]
) -> None:
    payload = changed(ALLOWED[case])

    assert load_definition(payload) == load_definition(snake_keys(payload))


def test_every_problem_is_reported_at_once(changed: Change, problems_of: Problems) -> None:
    payload = changed(
        {
            "deploymentId": 1,
            "outputSettings.statementType": "upsert",
            "outputSettings.comitInterval": 1,
            f"{CLASSES}": [{"className": "a", "columnName": ""}, {"className": "b"}],
            "schedule": {"minute": [99]},
            "intakeSettings.type": "oracle",
        }
    )

    assert {
        "deploymentId",
        "outputSettings.statementType",
        "outputSettings.comitInterval",
        f"{CLASSES}[0].columnName",
        f"{CLASSES}[1].columnName",
        "schedule.minute[0]",
        "schedule.hour",
        "schedule.dayOfMonth",
        "schedule.month",
        "schedule.dayOfWeek",
        "intakeSettings.type",
    } == set(problems_of(payload))


def test_every_rule_between_fields_is_reported_at_once(changed: Change, problems_of: Problems) -> None:
    payload = changed(
        {"enabled": True, "positiveClass": "x", "outputSettings.table": "flights", "features": ["p_late"]}
    )

    assert {"schedule", "positiveClass", "outputSettings.table", "features[0]"} == set(problems_of(payload))


@pytest.mark.parametrize("field", ["intakeSettings.query", "predictionInstance.apiKey", "intakeSettings.dataStoreId"])
def test_a_value_that_may_be_a_secret_is_in_no_message(field: str, changed: Change, problems_of: Problems) -> None:
    canary = "canary-3f9a"

    texts = problems_of(
        changed({field: canary, "deploymentId": [canary], "retries": canary, "intakeSettings.url": canary})
    )

    assert canary not in str(texts)


def test_a_long_word_is_shortened_in_a_message(changed: Change, problems_of: Problems) -> None:
    text = problems_of(changed({"outputSettings.statementType": "x" * 5000}))["outputSettings.statementType"]

    assert len(text) < 200
