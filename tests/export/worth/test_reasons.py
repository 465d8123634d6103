"""The verdict in sentences: each gate by itself."""

from __future__ import annotations

import msgspec
import pytest

pytest.importorskip("onnx", reason="the networks under judgement are built with onnx (extra: dev)")

from export.worth.amounts import amount, plainly
from export.worth.controls import EDGES_ON_GRID
from export.worth.judge import judge
from export.worth.reasons import failures, notes
from export.worth.verdict import Worth
from tests.export.worth import networks

replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def good() -> Worth:
    return judge(networks.plain_network(), networks.exactly, networks.frames(24))


def with_head(worth: Worth, **figures: float | None) -> Worth:
    assert worth.randomisation is not None
    head, *rest = worth.randomisation.stages
    assert head.head
    return replace(worth, randomisation=replace(worth.randomisation, stages=(replace(head, **figures), *rest)))


def test_a_good_map_fails_nothing(good: Worth) -> None:
    assert failures(good) == ()


@pytest.mark.parametrize("figures", [{"signed": 0.7}, {"absolute": 0.7}, {"signed": 0.5}])
def test_either_correlation_with_a_randomised_head_at_the_gate_or_above_fails(
    good: Worth, figures: dict[str, float]
) -> None:
    (reason,) = failures(with_head(good, **figures))
    assert f"{next(iter(figures.values())):.2f}" in reason and "below 0.5" in reason


def test_a_head_whose_maps_were_all_constant_fails(good: Worth) -> None:
    (reason,) = failures(with_head(good, absolute=None))
    assert "constant" in reason


def test_maps_that_are_no_numbers_fail(good: Worth) -> None:
    assert failures(replace(good, not_finite=1)) == ("One frame gave a map with values that are no finite numbers.",)


def test_an_unstable_map_fails(good: Worth) -> None:
    (reason,) = failures(replace(good, gates=replace(good.gates, stability=0.99)))
    assert "not stable" in reason and "0.99" in reason


def test_only_gated_controls_count_and_all_that_were_lost_to_stand_in_one_sentence(good: Worth) -> None:
    assert good.removal is not None
    lost = [replace(each, passed=False) for each in good.removal.comparisons]
    told = failures(replace(good, removal=replace(good.removal, comparisons=tuple(lost))))
    assert len(told) == 2  # two fillings; insertion is told and no gate, unless the configuration wants it
    strict = replace(good, gates=replace(good.gates, insertion=True))
    assert len(failures(replace(strict, removal=replace(good.removal, comparisons=tuple(lost))))) == 4
    told_beside = notes(replace(good, removal=replace(good.removal, comparisons=tuple(lost))))
    assert sum("alone" in note for note in told_beside) == 2
    assert all("'edges'" in reason and "'random'" in reason and EDGES_ON_GRID not in reason for reason in told)
    ungated = [replace(each, gated=False) for each in lost]
    assert failures(replace(good, removal=replace(good.removal, comparisons=tuple(ungated)))) == ()


def test_signs_count_only_where_their_gate_is_on(good: Worth) -> None:
    assert good.removal is not None
    wrong = tuple(replace(each, passed=False) for each in good.removal.directions)
    bad = replace(good, removal=replace(good.removal, directions=wrong))
    assert len(failures(bad)) == 2
    assert failures(replace(bad, gates=replace(bad.gates, direction=False))) == ()


def test_edges_on_the_map_s_own_grid_are_told_where_they_are_as_strong(good: Worth) -> None:
    assert good.removal is not None
    rows = tuple(replace(each, passed=each.control != EDGES_ON_GRID) for each in good.removal.comparisons)
    told = notes(replace(good, removal=replace(good.removal, comparisons=rows)))
    assert len(told) == 2 and all("map's own cells" in note for note in told)


def test_amounts_are_for_people() -> None:
    assert amount(0.0174533, "rad") == "1°"
    assert amount(-0.5, "m/s²") == "−0.5 m/s²"
    assert amount(1234.5, "") == "1.23e+03"
    assert amount(-0.0, "rad") == "0°"
    assert plainly("steering_angle_rad (steering[0])") == "the steering"
    assert plainly("score (logits[3])") == "the score"
