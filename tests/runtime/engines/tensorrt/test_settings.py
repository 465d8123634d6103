"""A plan's key changes with everything that makes the plan another, and with nothing else."""

from __future__ import annotations

import msgspec
import pytest

from runtime.contracts.model import manifest_of
from runtime.engines.tensorrt import settings
from runtime.engines.tensorrt.identity import Here
from runtime.engines.tensorrt.settings import BuildSettings, Subject, plan_key, subject_of
from tests.models import tiny_policy
from tests.runtime.engines.tensorrt.records import ORIN, SUBJECT, on

KEY = plan_key(SUBJECT, BuildSettings(), ORIN)


def software(**changed: str) -> Here:
    return msgspec.structs.replace(ORIN, software=msgspec.structs.replace(ORIN.software, **changed))


@pytest.mark.parametrize(
    ("subject", "build", "here"),
    [
        (msgspec.structs.replace(SUBJECT, graph_sha256="cd" * 32), BuildSettings(), ORIN),
        (msgspec.structs.replace(SUBJECT, shapes={"image": (1, 67, 200, 3)}), BuildSettings(), ORIN),
        (SUBJECT, BuildSettings(workspace_mib=512), ORIN),
        (SUBJECT, BuildSettings(optimization_level=5), ORIN),
        (SUBJECT, BuildSettings(tf32=True), ORIN),
        *((SUBJECT, BuildSettings(), on(ORIN, **{name: "other"})) for name in ORIN.device.__struct_fields__),
        *((SUBJECT, BuildSettings(), software(**{name: "other"})) for name in ORIN.software.__struct_fields__),
    ],
)
def test_a_change_of_graph_shape_setting_device_or_software_is_another_key(
    subject: Subject, build: BuildSettings, here: Here
) -> None:
    assert plan_key(subject, build, here) != KEY


def test_the_same_is_the_same_key_and_another_builder_of_ours_is_another(monkeypatch: pytest.MonkeyPatch) -> None:
    assert plan_key(msgspec.structs.replace(SUBJECT), BuildSettings(), ORIN) == KEY
    monkeypatch.setattr(settings, "BUILDER_VERSION", settings.BUILDER_VERSION + 1)
    assert plan_key(SUBJECT, BuildSettings(), ORIN) != KEY


def test_what_is_built_is_the_graph_at_the_manifests_sizes() -> None:
    manifest = manifest_of(tiny_policy(), "tiny")
    assert subject_of(manifest) == Subject("tiny", manifest.graph_sha256, {"image": (1, 66, 200, 3)})
    # Scales, ranges and tolerance are the manifest's alone: the plan is the same.
    other = msgspec.structs.replace(manifest, tolerance=0.5, description="other")
    assert subject_of(other) == subject_of(manifest)
