"""The page that says which test holds which law names tests that there are."""

from __future__ import annotations

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]


def test_every_test_named_as_evidence_is_there() -> None:
    named = re.findall(r"`([a-z]+/\w+\.py)(?:::(\w+))?`", (TESTS / "metrics" / "README.md").read_text("utf-8"))
    gone = [
        f"{file}::{test}"
        for file, test in named
        if not (TESTS / file).is_file() or (test and f"\ndef {test}(" not in (TESTS / file).read_text("utf-8"))
    ]

    assert len(named) > 50
    assert gone == []
