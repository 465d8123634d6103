"""The chain between the network's word and the command: which steps there are, and in which order.

A step is one line of `chain_of`; what it remembers travels in the memory, is recorded with every decision, and is
chained by replay, without any of them naming it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from runtime.contracts.config import Config
from runtime.contracts.messages import EnvelopeState, Proposal, StepRecord, StepState, ValidityState
from runtime.contracts.model import Manifest
from runtime.contracts.vehicle import Control, VehicleState
from runtime.decision import envelope, validity


@dataclass(frozen=True, slots=True)
class Situation:
    """What a step may look at besides its memory and what it is asked: the frame's time and the sampled vehicle."""

    t_source_ns: int
    vehicle: VehicleState


@dataclass(frozen=True, slots=True)
class Step:
    """One step: its name in the record, what it remembers at first, and the pure function that it is."""

    name: str
    initial: StepState
    apply: Callable[[Any, Proposal, Situation], tuple[StepState, StepRecord]]


def chain_of(manifest: Manifest, config: Config) -> tuple[Step, ...]:
    """The steps in their order. The first makes every number finite; the last one's output is the command."""
    decision = config.decision

    def valid(state: ValidityState, asked: Proposal, _: Situation) -> tuple[StepState, StepRecord]:
        return validity.step(state, asked, manifest.outputs, decision.fallback_deceleration_mps2)

    def enveloped(state: EnvelopeState, asked: Proposal, now: Situation) -> tuple[StepState, StepRecord]:
        control = Control(float(asked.steering_angle_rad), float(asked.acceleration_mps2))
        return envelope.step(
            state, control, now.t_source_ns, now.vehicle, vehicle_config=config.vehicle, limits=decision.envelope
        )

    return (Step(validity.NAME, ValidityState(), valid), Step(envelope.NAME, EnvelopeState(), enveloped))


def follow(
    steps: tuple[Step, ...], states: tuple[StepState, ...], proposal: Proposal, situation: Situation
) -> tuple[tuple[StepRecord, ...], tuple[StepState, ...]]:
    """Put a proposal through the chain. Returns every step's record and what each remembers after it, in order."""
    records: list[StepRecord] = []
    after: list[StepState] = []
    for step, state in zip(steps, states, strict=True):
        remembered, record = step.apply(state, proposal, situation)
        records.append(record)
        after.append(remembered)
        proposal = Proposal(record.output.steering_angle_rad, record.output.acceleration_mps2)
    return tuple(records), tuple(after)


def remembered(steps: tuple[Step, ...], records: tuple[StepRecord, ...]) -> tuple[StepState, ...]:
    """What each step remembered when these records were made; one that they do not tell of is in its first state."""
    told = {record.step: record.state for record in records}
    states = [(step, told.get(step.name)) for step in steps]
    return tuple(state if type(state) is type(step.initial) else step.initial for step, state in states)
