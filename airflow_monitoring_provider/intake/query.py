"""Whether a free query is one SELECT that can stand inside another statement.

This is no defence against its author, who is trusted; it turns what would end in a driver's riddle (a second statement,
a stray parenthesis, a placeholder nobody fills) into a sentence.
"""

from __future__ import annotations

import re

from airflow_monitoring_provider.exceptions import SourceError

_FIRST_WORDS = ("select", "with", "values", "table")
_DOLLAR_QUOTE = re.compile(r"\$(?:[^\W\d]\w*)?\$")
_COMMENT_LINE = re.compile(r"--[^\n]*")
_PLACEHOLDERS = {
    "sqlite": re.compile(r"\?\d*|[:@$]\w+"),
    "postgresql": re.compile(r"(?<![\w$])\$\d+"),
}


def checked_query(query: str, dialect: str) -> str:
    """The query without a closing semicolon.

    :param dialect: SQLAlchemy's name of the database.
    :raises SourceError: it is not one SELECT, its parentheses or quotes do not close, or it holds placeholders.
    """
    bare = _without_quoted(query, dialect)
    ended = bare.rstrip()
    if ended.endswith(";"):
        ended = ended[:-1].rstrip()
        while ended.endswith(";"):
            ended = ended[:-1].rstrip()
    if ";" in ended:
        raise SourceError("the query holds more than one statement; keep one SELECT")
    words = ended.split(None, 1)
    if not words or words[0].lower().lstrip("(").partition("(")[0] not in _FIRST_WORDS:
        raise SourceError("the query must be one SELECT (or WITH … SELECT)")
    depth = 0
    for character in ended:
        depth += (character == "(") - (character == ")")
        if depth < 0:
            break
    if depth != 0:
        raise SourceError("the query's parentheses do not close")
    placeholder = _PLACEHOLDERS.get(dialect)
    if placeholder is not None and (found := placeholder.search(ended)):
        raise SourceError(f"the query holds the placeholder {found[0].strip()!r}, which nothing fills; write the value")
    return query[: len(ended)]


def _without_quoted(query: str, dialect: str) -> str:
    """The query with blanks in place of every character of texts, quoted names and comments: same length."""
    out: list[str] = []
    position = 0
    while position < len(query):
        end = _end_of_quoted(query, position, dialect)
        if end is None:
            out.append(query[position])
            position += 1
            continue
        # A quoted name or text is still a word, a comment is not.
        out.append((" " if query.startswith(("--", "/*"), position) else "q") * (end - position))
        position = end
    return "".join(out)


def _end_of_quoted(query: str, start: int, dialect: str) -> int | None:
    """Where the text, quoted name or comment that starts here ends; None where none starts."""
    if line := _COMMENT_LINE.match(query, start):
        return line.end()
    if query.startswith("/*", start):
        return _end_of_comment(query, start, nested=dialect == "postgresql")
    opening = query[start]
    if opening in "'\"`" or (opening == "[" and dialect in {"sqlite", "mssql"}):
        closing = "]" if opening == "[" else opening
        escapes = opening == "'" and _escaping(query, start, dialect)
        return _end_of_quotes(query, start, closing, escapes=escapes)
    if dialect == "postgresql" and (tag := _DOLLAR_QUOTE.match(query, start)):
        return _after(query, tag[0], tag.end())
    return None


def _escaping(query: str, start: int, dialect: str) -> bool:
    """Whether a backslash escapes in this text: always on MySQL, after E on PostgreSQL."""
    if dialect in {"mysql", "mariadb"}:
        return True
    return dialect == "postgresql" and bool(re.search(r"(?<![\w$])[eE]$", query[max(0, start - 2) : start]))


def _end_of_quotes(query: str, start: int, closing: str, *, escapes: bool) -> int:
    position = start + 1
    while position < len(query):
        if escapes and query[position] == "\\":
            position += 2
        elif query[position] == closing:
            if not query.startswith(closing * 2, position):
                return position + 1
            position += 2
        else:
            position += 1
    raise SourceError(f"the query holds a {closing} that does not close")


def _end_of_comment(query: str, start: int, *, nested: bool) -> int:
    depth, position = 1, start + 2
    while depth:
        opening, closing = query.find("/*", position), query.find("*/", position)
        if closing < 0:
            raise SourceError("the query holds a comment that does not close")
        if nested and 0 <= opening < closing:
            depth, position = depth + 1, opening + 2
        else:
            depth, position = depth - 1, closing + 2
    return position


def _after(query: str, text: str, start: int) -> int:
    found = query.find(text, start)
    if found < 0:
        raise SourceError(f"the query holds a {text} that does not close")
    return found + len(text)
