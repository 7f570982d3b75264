"""Names that reach a database or a file: what may be one, checked before any statement is built.

Names travel only through SQLAlchemy's own quoting, so quotes, spaces, keywords and any letter of any script are fine.
Refused is what breaks in spite of quoting: an empty name, NUL and other control characters (drivers cut or refuse the
statement), lone surrogates (no driver can encode them), and names longer than the place they go to can hold.
PostgreSQL cuts longer names without an error, so two columns could become one: SQL tables and the columns of an SQL
output may have 63 bytes. Columns that are only read (files have longer ones) may have 255.
"""

from __future__ import annotations

import unicodedata

from airflow_monitoring_provider.exceptions import DefinitionError

IDENTIFIER_BYTES = 63
COLUMN_BYTES = 255


def check_identifier(name: str, field: str) -> str:
    """Return ``name`` when it can name an SQL table, schema, catalog or output column.

    :param field: dotted path of the field that holds the name, for the message.
    :raises DefinitionError: with :attr:`field` set.
    """
    return _checked(name, field, IDENTIFIER_BYTES)


def check_column(name: str, field: str) -> str:
    """Return ``name`` when it can name a column to read, of a file or a table.

    :raises DefinitionError: with :attr:`field` set.
    """
    return _checked(name, field, COLUMN_BYTES)


def fault(name: str, limit: int) -> str | None:
    """What is wrong with ``name``, as the end of a sentence, or None; never repeats the name."""
    if not name:
        return "must not be empty"
    if (character := forbidden_character(name)) is not None:
        return f"must not hold {character}"
    if (size := len(name.encode())) > limit:
        return f"must have at most {limit} bytes in UTF-8, not {size}: longer names are cut or refused"
    return None


def forbidden_character(text: str) -> str | None:
    """The first control character or lone surrogate in ``text``, described, or None."""
    if text.isascii() and text.isprintable():
        return None
    for position, character in enumerate(text):
        category = unicodedata.category(character)
        if category == "Cc":
            return f"the control character U+{ord(character):04X} (at position {position})"
        if category == "Cs":
            return f"half of a surrogate pair (at position {position})"
    return None


def _checked(name: str, field: str, limit: int) -> str:
    if not isinstance(name, str):
        raise DefinitionError(f"{field}: must be text, not {type(name).__name__}", field=field)
    if (problem := fault(name, limit)) is not None:
        raise DefinitionError(f"{field}: {problem}", field=field)
    return name
