"""Names and values that come from rows, as they may be shown: on one line, of bounded length, and inert.

Whoever writes into a monitored table chooses column names and levels, and they end in terminals, pages and alerts. A
newline would forge a second message, an escape sequence would steer the terminal, and a bidirectional override would
turn a sentence round. HTML and terminal markup are escaped where they are written.
"""

from __future__ import annotations

import unicodedata


def printable(text: str, limit: int) -> str:
    """``text`` in at most ``limit`` characters; control, format and unassigned ones as their codes (``\\u202e``)."""
    if len(text) <= limit and text.isprintable():
        return text
    shown = ""
    for character in text[:limit]:
        if character.isprintable():
            shown += character
        else:
            shown += " " if unicodedata.category(character) == "Zs" else f"\\u{ord(character):04x}"
    return shown if len(shown) <= limit and len(text) <= limit else f"{shown[: limit - 1]}…"
