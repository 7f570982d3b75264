"""What Airflow's provider manager reads: data only, so that reading it costs nothing."""

from __future__ import annotations

from typing import Any


def get_provider_info() -> dict[str, Any]:
    """The provider's metadata in the form of Airflow's ``provider_info.schema.json``."""
    from airflow_monitoring_provider import __version__

    integration = "Monitoring"
    package = "airflow_monitoring_provider"
    return {
        "package-name": "airflow-monitoring-provider",
        "name": "Monitoring",
        "description": (
            "Model monitoring jobs: profiles, drift, data quality and accuracy, with a status for every row."
        ),
        "versions": [__version__],
        "integrations": [
            {
                "integration-name": integration,
                "external-doc-url": "https://pypi.org/project/airflow-monitoring-provider/",
                "tags": ["software"],
            }
        ],
        "operators": [
            {
                "integration-name": integration,
                "python-modules": [
                    f"{package}.operators.{name}" for name in ("actuals", "batches", "monitoring", "parts", "rows")
                ],
            }
        ],
        "sensors": [{"integration-name": integration, "python-modules": [f"{package}.sensors.monitoring"]}],
        "triggers": [{"integration-name": integration, "python-modules": [f"{package}.triggers.monitoring_store"]}],
        "hooks": [{"integration-name": integration, "python-modules": [f"{package}.hooks.monitoring_store"]}],
        "connection-types": [_monitoring_store_connection(package)],
        "extra-links": [f"{package}.operators.links.MonitoringReportLink"],
        "asset-uris": [
            {"schemes": ["monitoring"], "handler": f"{package}.operators.assets.sanitize_uri"},
        ],
        "cli": [f"{package}.cli.commands.get_cli_commands"],
    }


def _monitoring_store_connection(package: str) -> dict[str, Any]:
    text = ["string", "null"]
    return {
        "connection-type": "monitoring_store",
        "hook-class-name": f"{package}.hooks.monitoring_store.MonitoringStoreHook",
        "hook-name": "Monitoring store",
        "ui-field-behaviour": {
            "hidden-fields": [],
            "relabeling": {"schema": "Database", "host": "PostgreSQL host"},
            "placeholders": {"host": "db.example.com", "schema": "monitoring", "port": "5432"},
        },
        "conn-fields": {
            "path": {
                "label": "SQLite file",
                "description": "Instead of a PostgreSQL host: path of the store's SQLite file (one machine only).",
                "schema": {"type": text},
            },
            "storage_root": {
                "label": "Storage root",
                "description": "Folder or object storage URL for the prediction log, shared by all workers.",
                "schema": {"type": text},
            },
            "storage_conn_id": {
                "label": "Storage connection",
                "description": "Id of the Airflow connection that opens the storage root, where it needs one.",
                "schema": {"type": text},
            },
            "sslmode": {
                "label": "SSL mode",
                "schema": {
                    "type": text,
                    "enum": ["disable", "allow", "prefer", "require", "verify-ca", "verify-full", None],
                },
            },
        },
    }
