"""A verdict that tells explanations from pictures that look like ones."""

from __future__ import annotations

import msgspec
import pytest

pytest.importorskip("onnx", reason="the networks under judgement are built with onnx (extra: dev)")

from export.worth.judge import judge
from export.worth.verdict import Worth, WorthGates
from runtime.contracts.errors import ModelError
from tests.export.worth import networks

FRAMES = networks.frames(24)
PLAIN = networks.plain_network()


@pytest.fixture(scope="module")
def exact() -> Worth:
    return judge(PLAIN, networks.exactly, FRAMES)


def test_the_exact_map_of_a_network_with_a_known_truth_is_worth_showing(exact: Worth) -> None:
    assert exact.verdict == "worth showing", exact.reasons
    assert any("signs hold" in reason for reason in exact.reasons)


def test_a_map_that_is_blind_to_the_head_is_not_worth_showing() -> None:
    found = judge(PLAIN, networks.blindly, FRAMES)
    assert found.verdict == "not worth showing"
    assert "hardly depends on what the head has learnt" in found.reasons[0]
    assert "1.00 signed" in found.reasons[0]


def test_an_edge_detector_is_not_worth_showing_and_its_report_says_that_it_is_blind_and_beaten() -> None:
    found = judge(PLAIN, networks.by_edges, FRAMES)
    assert found.verdict == "not worth showing"
    assert "hardly depends on what the head has learnt" in found.reasons[0]
    assert any("controls come to" in reason for reason in found.reasons)


def test_a_random_map_that_changes_with_the_head_is_not_worth_showing() -> None:
    found = judge(PLAIN, networks.at_random, FRAMES)
    assert found.verdict == "not worth showing"
    assert not any("what the head has learnt" in reason for reason in found.reasons)
    assert any("controls come to" in reason for reason in found.reasons)


def test_a_map_with_its_signs_the_wrong_way_round_is_not_worth_showing() -> None:
    found = judge(PLAIN, networks.backwards, FRAMES)
    assert found.verdict == "not worth showing"
    assert all("signs do not hold" in reason for reason in found.reasons)


def test_the_same_seeds_give_the_same_bytes_and_other_seeds_others() -> None:
    few = networks.frames(8)
    first, again = (judge(PLAIN, networks.exactly, few) for _ in range(2))
    assert msgspec.json.encode(first) == msgspec.json.encode(again)
    assert judge(PLAIN, networks.exactly, few, seeds=(4, 5, 6)).randomisation != first.randomisation


def test_a_judgement_survives_json(exact: Worth) -> None:
    assert msgspec.json.decode(msgspec.json.encode(exact), type=Worth) == exact


def test_too_few_frames_give_no_verdict_but_a_reason() -> None:
    found = judge(PLAIN, networks.exactly, networks.frames(3))
    assert found.verdict == "not judged"
    assert "3 frames" in found.reasons[0]


def test_gates_decide() -> None:
    few = networks.frames(8)
    loose, strict = (
        judge(PLAIN, networks.exactly, few, WorthGates(deletion_over_controls=least)) for least in (0.5, 50.0)
    )
    assert strict.verdict == "not worth showing"
    assert all(any(way in reason for reason in strict.reasons) for way in ("blur", "mean colour"))
    assert loose.removal is not None and strict.removal is not None
    assert loose.removal.curves == strict.removal.curves


def test_a_network_without_an_attribution_is_refused_with_the_way_out() -> None:
    from runtime.contracts.model import attach_manifest, manifest_of

    def unexplained(plain: bytes) -> bytes:
        manifest = manifest_of(networks.exactly(plain), "known")
        return attach_manifest(plain, msgspec.structs.replace(manifest, attribution=None))

    with pytest.raises(ModelError, match="export it with one"):
        judge(PLAIN, unexplained, FRAMES)


def test_every_pass_is_counted(exact: Worth) -> None:
    frames = len(FRAMES)
    fields = 1 + 2 + 2 * 5  # the map, edges twice, five draws of each random map
    removal = frames * (1 + fields * 4 * 2 * 2) + frames * (1 + 2 * 4 * 2)
    stages, seeds = 2, 3
    others = frames * 2 + frames * (1 + stages * seeds) + frames * (1 + 5)
    assert exact.passes == removal + others
