"""The reference policies by name: the network, its configuration, and how much of what it is taught."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from export.config import ModelConfig, load_model_config
from export.policies.concepts import Concepts
from export.policies.pilotnet import PilotNet
from export.policies.vit import Vit
from export.trace import trace
from runtime.contracts.config import packaged
from runtime.contracts.errors import UsageError
from runtime.contracts.model import attach_manifest

if TYPE_CHECKING:
    from collections.abc import Callable

    from export.learning import Policy


@dataclass(frozen=True)
class Plan:
    """How much to do. Epochs: of the scattered frames, of each round, of the last course, when the rate falls to
    nothing, and of the scattered frames again with what is taught beside the answers.
    """

    roads: int = 500
    obscured_roads: int = 0
    rounds: int = 2
    drives_per_round: int = 32
    first_epochs: float = 8.0
    round_epochs: float = 2.5
    last_epochs: float = 6.0
    finishing_epochs: float = 0.0
    rate: float = 1.5e-3
    log_epochs: float = 6.0  # of a driving log's frames, mirrored ones included
    log_rate: float = 1e-3
    held_out_roads: int = 12
    seed: int = 1


@dataclass(frozen=True)
class Reference:
    """One reference policy."""

    name: str
    make: Callable[[], Policy]
    plan: Plan

    def config(self) -> ModelConfig:
        """The committed configuration of its export."""
        path = packaged(f"models/{self.name}.yaml")
        assert path is not None, f"configs/models/{self.name}.yaml ships with the project"
        return load_model_config(path)

    def explained(self, policy: Policy, config: ModelConfig) -> bytes:
        """The policy as ONNX that says why it decides, with the manifest."""
        from export.explain import explain  # onnx and all its rules, which no process that only renders needs

        return explain(trace(policy.eval(), config, self.name).onnx, config)

    def driver(self, policy: Policy) -> bytes:
        """The policy as ONNX that drives and explains nothing: what a round of training needs.

        As traced, so that no later change of how an export is folded can change what a training makes.
        """
        config = self.config()
        return attach_manifest(trace(policy.eval(), config, self.name).onnx, config.manifest())


REFERENCES = {
    reference.name: reference
    for reference in (
        Reference("pilotnet", PilotNet, Plan()),
        Reference(
            "concepts",
            Concepts,
            Plan(
                obscured_roads=60,
                drives_per_round=24,
                last_epochs=8.0,
                finishing_epochs=2.0,
                rate=3e-3,
                log_epochs=8.0,
                log_rate=3e-3,
            ),
        ),
        Reference("vit", Vit, Plan(rounds=0, last_epochs=3.0, rate=2e-3)),
    )
}


def reference_by_name(name: str) -> Reference:
    """The reference policy of that name. Raises UsageError where there is none."""
    if name not in REFERENCES:
        raise UsageError(f"there is no reference policy {name!r}; there are {', '.join(REFERENCES)}")
    return REFERENCES[name]
