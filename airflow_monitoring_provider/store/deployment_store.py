"""What people and programs tell the store of deployments, and ask of it."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

from airflow_monitoring_provider.definitions.deployment import DeploymentSettings
from airflow_monitoring_provider.store import deployments, model_history, queries
from airflow_monitoring_provider.store.baseline_store import BaselineStore
from airflow_monitoring_provider.store.deployment_records import DeploymentModel, DeploymentRecord
from airflow_monitoring_provider.store.records import Page


class DeploymentStore(BaselineStore):
    """The store of deployments."""

    def deployment(self, deployment_id: str) -> DeploymentRecord:
        """One deployment with its settings. Raises :class:`NotFound`."""
        with self._reading() as connection:
            return deployments.one(connection, deployment_id)

    def deployments(
        self,
        *,
        search: str | None = None,
        status: str | None = None,
        batch_monitoring: bool | None = None,
        order: str = "label",
        limit: int = 100,
        offset: int = 0,
    ) -> Page[DeploymentRecord]:
        """Deployments; ``search`` finds in label and description whatever the case, or the very id.

        :param order: label or created, each also with ``-``.
        """
        queries.page(limit, offset)
        with self._reading() as connection:
            return deployments.many(
                connection,
                search=search,
                status=status,
                batch_monitoring=batch_monitoring,
                order=order,
                limit=limit,
                offset=offset,
            )

    def create_deployment(
        self,
        deployment_id: str,
        *,
        label: str | None = None,
        description: str | None = None,
        importance: str | None = None,
        target_type: str | None = None,
        model_id: str | None = None,
        model_version: str | None = None,
        settings: Mapping[str, Any] | DeploymentSettings | None = None,
        by: str | None = None,
    ) -> DeploymentRecord:
        """Make a deployment known before its first definition does.

        Raises :class:`DefinitionError` where the id is taken or a value breaks a rule.
        """
        values = {
            "label": label,
            "description": description,
            "importance": importance,
            "target_type": target_type,
            "model_id": model_id,
            "model_version": model_version,
            "settings": settings,
        }
        with self._writing() as connection:
            return deployments.create(connection, deployment_id, values, by=by, now=self._now())

    def change_deployment(
        self,
        deployment_id: str,
        *,
        label: str | None = None,
        description: str | None = None,
        status: str | None = None,
        importance: str | None = None,
        target_type: str | None = None,
        model_id: str | None = None,
        model_version: str | None = None,
        settings: Mapping[str, Any] | None = None,
        by: str | None = None,
    ) -> DeploymentRecord:
        """Change what is given. A new model ends the time of the one before in the model history.

        :param settings: those that change, in either spelling; null sets one back to its default.
        Raises :class:`NotFound`, and :class:`DefinitionError` where a value breaks a rule.
        """
        values = {
            "label": label,
            "description": description,
            "status": status,
            "importance": importance,
            "target_type": target_type,
            "model_id": model_id,
            "model_version": model_version,
            "settings": settings,
        }
        with self._writing() as connection:
            return deployments.change(connection, deployment_id, values, by=by, now=self._now())

    def model_history(self, deployment_id: str) -> tuple[DeploymentModel, ...]:
        """Every model the deployment had in use, newest first. Raises :class:`NotFound`."""
        with self._reading() as connection:
            deployments.one(connection, deployment_id)
            return model_history.all_of(connection, deployment_id)

    def move_model(
        self,
        deployment_id: str,
        number: int,
        *,
        start_time: dt.datetime | None = None,
        end_time: dt.datetime | None = None,
        by: str | None = None,
    ) -> DeploymentModel:
        """Say when a model was in use: what historical data was predicted with. None keeps a time.

        Raises :class:`NotFound`, and :class:`DefinitionError` where two models would be in use at once.
        """
        with self._writing() as connection:
            return deployments.move_model(
                connection, deployment_id, number, start=start_time, end=end_time, by=by, now=self._now()
            )
