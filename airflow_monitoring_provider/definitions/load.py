"""x"""

from __future__ import annotations
from collections.abc import Mapping
from typing import Any
from airflow_monitoring_provider.definitions.model import JobDefinition
from airflow_monitoring_provider.definitions.reading import read_part
from airflow_monitoring_provider.exceptions import DefinitionError


def load_definition(payload: Mapping[str, Any] | JobDefinition) -> JobDefinition:
    if isinstance(payload, JobDefinition):
        return payload
    if not isinstance(payload, Mapping):
        raise DefinitionError(f"a definition must be an object, not {type(payload).__name__}")
    return read_part(JobDefinition, payload)
