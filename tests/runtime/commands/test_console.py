"""What is printed on a terminal that has not every letter."""

from __future__ import annotations

import io
import json
import sys

import pytest

from runtime.commands import console


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_a_letter_that_the_output_lacks_is_spelled_and_stops_nothing(
    monkeypatch: pytest.MonkeyPatch, encoding: str
) -> None:
    taken = io.BytesIO()
    monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(taken, encoding=encoding))
    console.emit("Zürich…")
    console.emit_json({"place": "Zürich… 🚗"})
    console.flush()
    line, _, rest = taken.getvalue().decode(encoding).partition("\n")
    assert line == {"ascii": "Z\\xfcrich\\u2026", "latin-1": "Zürich\\u2026", "utf-8": "Zürich…"}[encoding]
    assert json.loads(rest) == {"place": "Zürich… 🚗"}
