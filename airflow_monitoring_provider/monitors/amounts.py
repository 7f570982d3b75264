"""Amounts in sentences: as short as may be, but never so short that two different ones look the same."""

from __future__ import annotations

import math

_MOST_DECIMALS = 6
_DIGITS = range(3, 10)
_MINUTE, _HOUR, _DAY = 60, 3600, 86400


def percents(*shares: float) -> list[str]:
    """Shares (0..1) as ``8.4 %``, all with the decimals that tell them apart and show what is not 0."""
    for decimals in range(1, _MOST_DECIMALS + 1):
        texts = [f"{_plain(round(100 * share, decimals), decimals)} %" for share in shares]
        if _told_apart(shares, texts, "0 %"):
            break
    return texts


def numbers(*values: float) -> list[str]:
    """Values with three significant digits, or more where the first two would seem nearer or farther than they are."""
    for digits in _DIGITS:
        texts = [_significant(value, digits) for value in values]
        if _told_apart(values[:2], texts[:2], "0") and _as_far(values[:2], texts[:2]):
            break
    return texts


def number(value: float) -> str:
    """One value: :func:`numbers`."""
    return numbers(value)[0]


def duration(seconds: float) -> str:
    """``45 s``, ``12 min``, ``3 h 20 min``, ``2 d 4 h``; rounded down."""
    whole = int(seconds)
    for unit, name, part, part_name in ((_DAY, "d", _HOUR, "h"), (_HOUR, "h", _MINUTE, "min")):
        if whole >= unit:
            rest = whole % unit // part
            return f"{whole // unit:,} {name}" + (f" {rest} {part_name}" if rest else "")
    return f"{whole // _MINUTE} min" if whole >= _MINUTE else f"{whole} s"


def _told_apart(values: tuple[float, ...], texts: list[str], zero: str) -> bool:
    """Different values have different texts, and only 0 reads as 0."""
    return len(set(texts)) == len(set(values)) and all(
        (text == zero) == (value == 0) for value, text in zip(values, texts, strict=True)
    )


def _as_far(values: tuple[float, ...], texts: list[str]) -> bool:
    """The texts lie as far apart as the values, but for a quarter: 1,234.5 and 1,234.6 are not 1,234 and 1,235."""
    shown = [float(text.replace(",", "")) for text in texts]
    apart = values[-1] - values[0]
    return abs(shown[-1] - shown[0] - apart) <= abs(apart) / 4


def _significant(value: float, digits: int) -> str:
    if value == int(value) and abs(value) < 1e15:
        return f"{int(value):,}"
    if not 1e-4 <= abs(value) < 1e15:
        return f"{value:.{digits}g}"
    decimals = max(0, digits - 1 - math.floor(math.log10(abs(value))))
    return _plain(round(value, decimals), decimals)


def _plain(value: float, decimals: int) -> str:
    """Without trailing zeros, an exponent or a minus before 0."""
    text = f"{value:,.{decimals}f}"
    text = text.rstrip("0").rstrip(".") if "." in text else text
    return "0" if text == "-0" else text
