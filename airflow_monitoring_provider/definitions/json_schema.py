"""The JSON Schema of a definition's camelCase form, for editors and API descriptions.

It describes fields, types and ranges. Rules between fields (``enabled`` needs ``schedule``) are checked on loading.
"""

from __future__ import annotations

from typing import Any

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from airflow_monitoring_provider.definitions.model import JobDefinition


class _Generate(GenerateJsonSchema):
    ignored_warning_kinds: set[JsonSchemaWarningKind] = {"non-serializable-default"}  # noqa: RUF012  as in the base


def json_schema() -> dict[str, Any]:
    """JSON Schema, draft 2020-12; null is allowed wherever a field may be absent, as it means the same."""
    schema = JobDefinition.model_json_schema(by_alias=True, mode="validation", schema_generator=_Generate)
    for part in (schema, *schema["$defs"].values()):
        required = part.get("required", ())
        for name, field in part.get("properties", {}).items():
            field.pop("title", None)
            if field.get("default") in ("", None):
                field.pop("default", None)
            if name not in required:
                part["properties"][name] = _or_null(field)
    _limit_items(schema)
    schema["properties"]["schedule"]["anyOf"].append({"type": "string", "description": "A cron expression or preset."})
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _limit_items(part: Any) -> None:
    """Limit lists by their items: where a validator comes first, pydantic writes the limit as that of a text."""
    if isinstance(part, dict):
        for ours, theirs in (("minItems", "minLength"), ("maxItems", "maxLength")):
            if part.get("type") == "array" and theirs in part:
                part[ours] = part.pop(theirs)
    for each in part.values() if isinstance(part, dict) else part if isinstance(part, list) else ():
        _limit_items(each)


def _or_null(field: dict[str, Any]) -> dict[str, Any]:
    if {"type": "null"} in field.get("anyOf", []):
        return field
    outer: dict[str, Any] = {key: field[key] for key in ("description", "default") if key in field}
    inner = {key: value for key, value in field.items() if key not in outer}
    return {**outer, "anyOf": [inner, {"type": "null"}]}
