"""The base of every piece of a definition: frozen, closed to unknown fields, spelt in two ways.

A :class:`Part` is made from keywords (``SqlIntake(type="jdbc", ...)``) or, by ``load``, from a whole payload; either
way every breach of a rule ends as one :class:`~airflow_monitoring_provider.exceptions.DefinitionError` that names each
field in the caller's own spelling. The scalar types below are strict: text is not read as a number, nor 1 as true.
"""

from __future__ import annotations

import dataclasses
import datetime
from collections.abc import Callable, Hashable, Iterable, Mapping
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, NoReturn, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Strict,
    WithJsonSchema,
)
from pydantic.alias_generators import to_camel
from pydantic_core import PydanticCustomError

from airflow_monitoring_provider.definitions.identifiers import (
    COLUMN_BYTES,
    IDENTIFIER_BYTES,
    fault,
    forbidden_character,
)
from airflow_monitoring_provider.definitions.printing import printable

Value = TypeVar("Value")
PartPath = tuple[str | int, ...]


class Part(BaseModel):
    """One object of a definition.

    Fields have a snake_case name and a camelCase alias; both are accepted, null means absent.

    :cvar choices: for each field that may hold one of several parts, how the value's ``type`` picks one.
    """

    model_config = ConfigDict(
        defer_build=True,  # Airflow imports every model at each parse, and most parses validate none
        frozen=True,
        extra="forbid",
        alias_generator=to_camel,
        validate_by_name=True,
        validate_by_alias=True,
        loc_by_alias=False,
        hide_input_in_errors=True,
        protected_namespaces=(),
    )

    choices: ClassVar[Mapping[str, Choice]] = {}

    if not TYPE_CHECKING:  # type checkers keep the signature pydantic gives

        def __init__(self, /, **data: Any) -> None:
            from airflow_monitoring_provider.definitions.reading import validate_into

            validate_into(self, data)

        # Not a custom __init__ in pydantic's sense: nested parts are validated by the core and never come here.
        __init__.__pydantic_base_init__ = True


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """Which part models a value, by its ``type``; the same function serves pydantic as discriminator.

    :param parts: the ``type`` words of each part.
    """

    parts: tuple[tuple[tuple[str, ...], type[Part]], ...]

    def pick(self, value: Any) -> type[Part] | None:
        """The part for a value (an object, or already a part); None for a type nobody knows."""
        if isinstance(value, Part):
            return type(value)
        word = value.get("type") if isinstance(value, Mapping) else None
        return next((part for words, part in self.parts if word in words), None)

    def fault(self, value: Mapping[Any, Any]) -> str:
        """What is wrong with an object for which :meth:`pick` finds nothing."""
        words = ", ".join(word for group, _ in self.parts for word in group)
        found = value.get("type")
        if found is None:
            return f"is required: one of {words}"
        return f"must be one of {words}{f', not {shortened(found)}' if isinstance(found, str) else ''}"

    def discriminator(self) -> Discriminator:
        """Pydantic's way to pick, with the tags of :func:`tag`."""

        def tag_of(value: Any) -> str | None:
            part = self.pick(value)
            return None if part is None else f"<{part.__name__}>"

        return form(tag_of, "must be an object with a type")


def form(tag_of: Callable[[Any], str | None], message: str) -> Discriminator:
    """A discriminator whose error is ``message`` and the type found."""
    return Discriminator(tag_of, custom_error_type="form", custom_error_message=message)


class FrozenDict(dict[str, Value], Hashable):
    """A dictionary that cannot be changed, so that a frozen part is frozen all the way down."""

    def _refuse(self, *_args: object, **_kwargs: object) -> NoReturn:
        raise TypeError("a definition cannot be changed; load a new one")

    __setitem__ = __delitem__ = clear = pop = popitem = setdefault = update = __ior__ = _refuse

    def __hash__(self) -> int:  # type: ignore[override]  # dict has none
        return hash(frozenset(self.items()))

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (dict(self),)


def breaches(*problems: tuple[PartPath, str]) -> PydanticCustomError:
    """The error a validator raises for one or more broken rules, each with the path below the validated value.

    Messages name other fields in backticks and snake_case; readers get them in their own spelling.
    """
    return PydanticCustomError("breaches", "rules are broken", {"problems": list(problems)})


def _text(value: str) -> str:
    if not value.strip():
        raise breaches(((), "must not be blank"))
    if (character := forbidden_character(value)) is not None:
        raise breaches(((), f"must not hold {character}"))
    return value


def _query(value: str) -> str:
    if not value.strip():
        raise breaches(((), "must not be blank"))
    if (character := forbidden_character(value.translate(dict.fromkeys(map(ord, "\t\r\n"))))) is not None:
        raise breaches(((), f"must not hold {character}"))
    return value


def _column(value: str) -> str:
    if (problem := fault(value, COLUMN_BYTES)) is not None:
        raise breaches(((), problem))
    return value


def _identifier(value: str) -> str:
    if (problem := fault(value, IDENTIFIER_BYTES)) is not None:
        raise breaches(((), problem))
    return value


def _only_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise PydanticCustomError("list_type", "must be a list")
    return value


def _unique(values: tuple[Value, ...]) -> tuple[Value, ...]:
    seen: dict[Value, int] = {}
    repeated = [
        ((index,), f"repeats item {seen[value]}")
        for index, value in enumerate(values)
        if seen.setdefault(value, index) != index
    ]
    if repeated:
        raise breaches(*repeated)
    return values


def _moment(value: Any) -> Any:
    if isinstance(value, datetime.datetime):
        return value
    if isinstance(value, datetime.date):
        return datetime.datetime.combine(value, datetime.time())
    if isinstance(value, str):
        try:
            return datetime.datetime.fromisoformat(value)
        except ValueError:
            raise breaches(((), "must be an ISO 8601 date or date and time, such as 2026-01-31T00:00:00Z")) from None
    raise PydanticCustomError("datetime_type", "must be a date and time")


def _zone(value: str) -> str:
    from zoneinfo import ZoneInfo

    try:
        ZoneInfo(value)
    except (ValueError, OSError, KeyError):
        raise breaches(((), f"must be an IANA time zone such as Europe/Zurich, not {shortened(value)}")) from None
    return value


def shortened(value: str, limit: int = 40) -> str:
    """A short quoted form of a word that is no secret (an enumeration value, a field name)."""
    return repr(value if len(value) <= limit else value[: limit - 1] + "…")


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a sentence that offers the closest of the known words; nothing where none is close."""
    from difflib import get_close_matches

    by_fold: dict[str, str] = {}
    for each in sorted(known):
        by_fold.setdefault(each.casefold(), each)
    close = get_close_matches(word.casefold(), by_fold, n=1)
    return f"; did you mean {printable(by_fold[close[0]], 80)}?" if close else ""


Text = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_text)]
Name = Annotated[str, Strict(), Field(min_length=1, max_length=255), AfterValidator(_text)]
Query = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_query)]
Whole = Annotated[int, Strict()]
Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
Flag = Annotated[bool, Strict()]
Column = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_column)]
Identifier = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_identifier)]
Columns = Annotated[tuple[Column, ...], BeforeValidator(_only_list), AfterValidator(_unique)]
Identifiers = Annotated[tuple[Identifier, ...], BeforeValidator(_only_list), AfterValidator(_unique)]
Texts = Annotated[tuple[Text, ...], BeforeValidator(_only_list), AfterValidator(_unique)]
Moment = Annotated[
    datetime.datetime,
    BeforeValidator(_moment),
    WithJsonSchema({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "string", "format": "date"}]}),
]
Zone = Annotated[str, Strict(), Field(min_length=1), AfterValidator(_zone)]
only_list = BeforeValidator(_only_list)
