"""What a source gives is held to its contract where it enters the drive, under either pacing."""

from __future__ import annotations

import dataclasses
from typing import Any

import numpy as np
import pytest

from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, Pacing
from runtime.sources.pacing import paced
from tests.runtime.sources.test_pacing import ListedSource

PICTURE = np.zeros((2, 2, 3), np.uint8)
FIRST = Capture(0, 0, {"front": PICTURE})
SECOND = Capture(1, 1, {"front": PICTURE})
GONE = Missing(1, 1, {"front": "unreadable"})
PACINGS: tuple[Pacing, ...] = ("lockstep", "real-time")


def replace(item: Capture | Missing, **changes: Any) -> Any:
    """The item with fields as a source from outside may give them, of whatever type."""
    return dataclasses.replace(item, **changes)


def delivered(items: list[Any], pacing: Pacing) -> list[Capture | Missing]:
    return [delivery.item for delivery in paced(ListedSource(items, domain="real"), ("front",), pacing)]


@pytest.mark.parametrize("pacing", PACINGS)
@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        (replace(SECOND, sequence=2), "the sequence 2"),
        (replace(GONE, sequence=0), "the sequence 0"),
        (replace(SECOND, sequence=True), "sequence True, a bool"),
        (replace(SECOND, sequence="1"), "sequence '1', a str"),
        (replace(SECOND, t_source_ns=1.5), "t_source_ns 1.5, a float"),
        (replace(SECOND, t_source_ns=None), "t_source_ns None"),
        (replace(SECOND, t_source_ns=2**62 + 1), "t_source_ns 4611686018427387905"),
        (replace(GONE, t_source_ns=np.uint64(2**63)), "t_source_ns 9223372036854775808"),
        (replace(SECOND, pictures={}), "pictures of the cameras none, and was asked for front"),
        (replace(SECOND, pictures={"front": PICTURE, "rear": PICTURE}), "cameras front, rear, and was asked for front"),
        (replace(SECOND, pictures={"front": None}), "a NoneType as the picture of 'front'"),
        (replace(SECOND, pictures={"front": PICTURE.astype(np.float32)}), r"a float32 picture of shape \(2, 2, 3\)"),
        (replace(SECOND, pictures={"front": PICTURE[..., 0]}), r"a uint8 picture of shape \(2, 2\)"),
        (replace(SECOND, pictures={"front": np.zeros((2, 2, 4), np.uint8)}), r"shape \(2, 2, 4\)"),
        (replace(GONE, reasons={}), "reasons of the cameras none"),
        (replace(GONE, reasons={"front": ""}), "'' as the reason why 'front'"),
        (replace(GONE, reasons={"front": None}), "None as the reason"),
        (PICTURE, "a ndarray"),
    ],
)
def test_an_item_that_breaks_the_contract_is_named_after_those_before_it(pacing: Pacing, wrong: Any, told: str) -> None:
    seen = []
    with pytest.raises(SourceError, match=rf"source 'listed://': at sequence 1 it gave .*{told}"):
        for delivery in paced(ListedSource([FIRST, wrong], domain="real"), ("front",), pacing):
            seen.append(delivery.item.sequence)  # noqa: PERF401
    assert seen == [0]


def test_the_first_sequence_is_0() -> None:
    with pytest.raises(SourceError, match="at sequence 0 it gave the sequence 1"):
        delivered([SECOND], "lockstep")


@pytest.mark.parametrize("pacing", PACINGS)
def test_numbers_of_numpy_become_those_of_python_which_messages_can_hold(pacing: Pacing) -> None:
    for kind, item in ((Capture, FIRST), (Missing, replace(GONE, sequence=0, t_source_ns=0))):
        numpys = replace(item, sequence=np.int64(0), t_source_ns=np.int32(-7))
        (found,) = delivered([numpys], pacing)
        assert (type(found), type(found.sequence), type(found.t_source_ns)) == (kind, int, int)
        assert (found.sequence, found.t_source_ns) == (0, -7)


def test_what_keeps_the_contract_passes_as_it_is() -> None:
    items = [FIRST, GONE, Capture(2, -(2**62), {"front": PICTURE}), Capture(3, 2**62, {"front": PICTURE})]
    assert all(given is found for given, found in zip(items, delivered(items, "lockstep"), strict=True))
