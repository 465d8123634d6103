"""Files that hold lists of mappings and choices between shapes: what is wrong is found in them all the same."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
import pytest
from msgspec import Meta

from runtime.contracts.errors import ConfigError
from runtime.contracts.yaml_file import as_yaml, parse_yaml


class Place(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One thing in a list."""

    name: str
    index: int | Literal["argmax"] = 0
    scale: float = 1.0


class File(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a file may hold."""

    places: Annotated[tuple[Place, ...], Meta(min_length=1)]
    wanted: Literal["first", "last"] | Place | None = None

    def __post_init__(self) -> None:
        """Hold what single fields cannot."""
        for i, place in enumerate(self.places):
            if place.scale == 0.0:
                raise ValueError(f"places.{i}.scale: must not be 0")


def test_a_file_is_read_into_its_type_and_written_out_again() -> None:
    file = parse_yaml("places: [{name: a, index: argmax}]\nwanted: {name: b}\n", File, "f.yaml")
    assert file == File(places=(Place("a", "argmax"),), wanted=Place("b"))
    assert parse_yaml(as_yaml(file), File, "g.yaml") == file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("places:\n  - name: a\n  - name: b\n    scal: 2\n", ["f.yaml:4", "places.1.scal", "name, index, scale"]),
        ("places:\n  - name: a\n  - scale: 2.0\n", ["f.yaml:3", "places.1", "no key 'name'"]),
        ("wanted: first\n", ["f.yaml:1", "no key 'places'"]),
        ("places:\n  - name: a\n    scale: 0.0\n", ["f.yaml:3", "places.0.scale = 0.0", "must not be 0"]),
        ("places: [{name: a}]\nwanted: best\n", ["f.yaml:2", "wanted = best", "first, last, a mapping"]),
        ("places: [{name: a}]\nwanted:\n  name: a\n  index: most\n", ["f.yaml:4", "wanted.index = most", "argmax"]),
        ("places: [{name: a}]\nwanted:\n  nam: a\n", ["f.yaml:", "wanted", "name"]),
        ("places:\n  - name: a\n    scale: 1e-3\n", ["f.yaml:3", "places.0.scale = 1e-3", "write 1.0e-3"]),
        ("places: []\n", ["f.yaml:1", "places", ">= 1"]),
    ],
)
def test_what_is_wrong_in_a_list_or_a_choice_is_named_with_its_line(text: str, said: list[str]) -> None:
    with pytest.raises(ConfigError) as raised:
        parse_yaml(text, File, "f.yaml")
    for words in said:
        assert words in str(raised.value)


def laughs() -> str:
    """Twelve lines that stand for a hundred thousand million values."""
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    return "\n".join([*lines, *(f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 12))])


@pytest.mark.timeout(20)
@pytest.mark.parametrize(
    "text",
    [
        laughs(),
        "a: &a [*a]",
        "[" * 5000,
        "a: 2001-99-99",
        "a: !!bool what",
        "a: !!int x",
        "? [a]\n: b",
        "? {a: b}\n: c",
        "\0",
    ],
)
def test_what_is_made_to_hold_a_reader_up_or_bring_it_down_is_a_config_error(text: str) -> None:
    with pytest.raises(ConfigError):
        parse_yaml(text, File, "f.yaml")
