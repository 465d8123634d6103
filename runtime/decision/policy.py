"""The one place where a decision is made, in the vehicle and in replay alike.

A decision is a pure function of the tensors that went in, the sampled vehicle state and the memory: no clock of the
host, no randomness, no order of dictionaries.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from runtime.attribution import grid, words
from runtime.contracts.config import Config
from runtime.contracts.engine import Engine
from runtime.contracts.errors import SourceError
from runtime.contracts.identity import decision_id
from runtime.contracts.messages import (
    Attribution,
    ConceptValue,
    Decision,
    Mode,
    Proposal,
    StepRecord,
    StepState,
    recordable,
)
from runtime.contracts.model import Manifest, OutputQuantity, refuse_undrivable
from runtime.contracts.vehicle import Control, VehicleState
from runtime.decision import chain
from runtime.decision.chain import Situation
from runtime.engines.check import initial_state


@dataclass(frozen=True)
class Memory:
    """What one decision hands to the next: the network's hidden states by input name, and what the chain remembers."""

    hidden: Mapping[str, NDArray[Any]]
    chain: tuple[StepState, ...]  # one of each step, in the chain's order

    def unused(self, after: Memory) -> Memory:
        """The memory once a decision was made on this one, gave `after`, and was too late to be used.

        The network has seen the frame; the chain remembers commands, and this one was never given.
        """
        return replace(self, hidden=after.hidden)


@dataclass(frozen=True)
class Choice:
    """What the vehicle waits for: the control, and what led to it. Not yet in words."""

    decision_id: str
    sequence: int
    t_source_ns: int
    outputs: Mapping[str, NDArray[Any]]
    proposal: Proposal
    steps: tuple[StepRecord, ...]
    memory: Memory

    @property
    def control(self) -> Control:
        """The last step's output."""
        return self.steps[-1].output


@dataclass(frozen=True)
class Outcome:
    """One decision with all that came out of the pass, and the memory after it."""

    outputs: Mapping[str, NDArray[Any]]
    decision: Decision
    attribution: Attribution | None  # None where the network gives no map
    memory: Memory


class Policy:
    """A network with its manifest and the decision chain behind it. Stateless: memory goes in and comes out."""

    def __init__(self, manifest: Manifest, engine: Engine, config: Config, drive_id: str, mode: Mode) -> None:
        """Bind a loaded engine to its manifest, the configuration's limits, and the drive that it decides for.

        Raises ModelError where the network gives no steering.
        """
        refuse_undrivable(manifest, repr(manifest.name))
        self._manifest = manifest
        self._engine = engine
        self._chain = chain.chain_of(manifest, config)
        self._drive_id = drive_id
        self._mode = mode
        self._images = {image.name: image for image in manifest.images}

    def initial_memory(self) -> Memory:
        """The memory that a drive begins with."""
        return Memory(initial_state(self._manifest, self._engine.inputs), tuple(step.initial for step in self._chain))

    def recorded_memory(self, inputs: Mapping[str, NDArray[Any]], steps: tuple[StepRecord, ...]) -> Memory:
        """The memory that a recorded decision was made on, from its input tensors and its chain."""
        hidden = {r.input: inputs[r.input] for r in self._manifest.recurrent}
        return Memory(hidden, chain.remembered(self._chain, steps))

    def after_gap(self, memory: Memory) -> Memory:
        """The memory after a frame that was missing or dropped: hidden states whose reset is `gap` start again.

        The chain's memory stays: it is about commands and their times, which the gap does not undo.
        """
        initial = initial_state(self._manifest, self._engine.inputs)
        kept = {r.input: memory.hidden[r.input] for r in self._manifest.recurrent if r.reset != "gap"}
        return replace(memory, hidden=initial | kept)

    def lacks(self, state: VehicleState) -> str:
        """What the network needs of the vehicle and `state` does not tell, in words; empty where nothing is lacking."""
        lacking = [
            f"{quantity} is {'no finite number' if value is not None or quantity in state.not_finite else 'not told'}"
            for quantity in dict.fromkeys(needed.quantity for needed in self._manifest.states)
            if (value := _reading(state, quantity)) is None or not math.isfinite(value)
        ]
        return f"the model needs of the vehicle: {', '.join(lacking)}" if lacking else ""

    def network_inputs(
        self, images: Mapping[str, NDArray[Any]], state: VehicleState, memory: Memory
    ) -> dict[str, NDArray[Any]]:
        """Everything that goes into one pass, by the graph's names.

        Args:
            images: preprocessed uint8 tensors by image input.
            state: the vehicle as sampled for the frame.
            memory: holds the hidden states.

        Raises:
            SourceError: the state tells not all that the network needs (ask `lacks` first).
        """
        missing = self.lacks(state)
        if missing:
            raise SourceError(f"{missing}; use a source that tells it, or a model without it")
        inputs = {image.name: images[image.name] for image in self._manifest.images}
        for needed in self._manifest.states:
            value = _reading(state, needed.quantity)
            assert value is not None
            shape = self._engine.inputs[needed.name].shape
            inputs[needed.name] = np.full(shape, value * needed.scale, np.float32)
        inputs.update({r.input: memory.hidden[r.input] for r in self._manifest.recurrent})
        return inputs

    def run(self, inputs: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """One pass. Raises EngineError where the back-end could not run it."""
        return self._engine.run(inputs)

    def choose(
        self,
        sequence: int,
        t_source_ns: int,
        outputs: Mapping[str, NDArray[Any]],
        state: VehicleState,
        memory: Memory,
    ) -> Choice:
        """The chain behind the network's outputs, down to the control that the vehicle waits for.

        A network without an acceleration output asks for 0 m/s2: it steers, and someone else keeps the speed.
        """
        proposal = Proposal(
            recordable(self._quantity(outputs, "steering_angle_rad")),
            recordable(self._quantity(outputs, "acceleration_mps2")),
        )
        steps, remembered = chain.follow(self._chain, memory.chain, proposal, Situation(t_source_ns, state))
        hidden = {r.input: outputs[r.output] for r in self._manifest.recurrent}
        return Choice(
            decision_id=decision_id(self._drive_id, sequence),
            sequence=sequence,
            t_source_ns=t_source_ns,
            outputs=outputs,
            proposal=proposal,
            steps=steps,
            memory=Memory(hidden, remembered),
        )

    def explain(self, choice: Choice) -> Outcome:
        """The choice with its map and its reason, as the record keeps it. The map came out of the same pass."""
        attribution, account = self._attribution(choice.sequence, choice.t_source_ns, choice.outputs)
        concepts = self._concepts(choice.outputs)
        return Outcome(
            outputs=choice.outputs,
            decision=Decision(
                decision_id=choice.decision_id,
                sequence=choice.sequence,
                t_source_ns=choice.t_source_ns,
                mode=self._mode,
                proposal=choice.proposal,
                steps=choice.steps,
                control=choice.control,
                reason=self._reason(choice.proposal, choice.steps, account, concepts),
                concepts=concepts,
            ),
            attribution=attribution,
            memory=choice.memory,
        )

    def conclude(
        self,
        sequence: int,
        t_source_ns: int,
        outputs: Mapping[str, NDArray[Any]],
        state: VehicleState,
        memory: Memory,
    ) -> Outcome:
        """All that follows from the network's outputs."""
        return self.explain(self.choose(sequence, t_source_ns, outputs, state, memory))

    def decide(
        self,
        sequence: int,
        t_source_ns: int,
        inputs: Mapping[str, NDArray[Any]],
        state: VehicleState,
        memory: Memory,
    ) -> Outcome:
        """One pass and all that follows. Raises EngineError where the back-end could not run the pass."""
        return self.conclude(sequence, t_source_ns, self.run(inputs), state, memory)

    def _quantity(self, outputs: Mapping[str, NDArray[Any]], quantity: OutputQuantity) -> float:
        output = self._manifest.output(quantity)
        if output is None:
            return 0.0
        return _element(outputs, output.name, output.index) * output.scale

    def _concepts(self, outputs: Mapping[str, NDArray[Any]]) -> tuple[ConceptValue, ...]:
        return tuple(
            ConceptValue(
                concept.name,
                concept.unit,
                recordable(_element(outputs, concept.output, concept.index) * concept.scale),
            )
            for concept in self._manifest.concepts
        )

    def _attribution(
        self, sequence: int, t_source_ns: int, outputs: Mapping[str, NDArray[Any]]
    ) -> tuple[Attribution | None, words.Account | None]:
        contract = self._manifest.attribution
        if contract is None:
            return None, None
        values = grid.scaled(outputs[contract.output], contract)
        message = grid.message(sequence, t_source_ns, values, contract, self._images[contract.image])
        return message, words.account(values, contract.told_as)

    def _reason(
        self,
        proposal: Proposal,
        steps: tuple[StepRecord, ...],
        account: words.Account | None,
        concepts: tuple[ConceptValue, ...],
    ) -> str:
        """One sentence for people: what the vehicle is asked to do, what pulled it there, what the network took the
        road to be, what the chain changed.
        """
        control = steps[-1].output
        asked = float(proposal.steering_angle_rad)
        done = words.action(control)
        if math.isfinite(asked) and words.steering(asked) != words.steering(control.steering_angle_rad):
            done += f" (the network {words.steering(asked)})"
        if account is not None and self._manifest.attribution is not None:
            explained = float(getattr(proposal, self._manifest.attribution.told_as, 0.0))
            contrary = account.with_it is not None and account.net * explained < 0
            done += f"{', although' if contrary else ':'} {account.words}"
        seen = [f"seen: {words.seen(concepts)}"] if concepts else []
        return "; ".join([done, *seen, *(f"{step.step}: {step.reason}" for step in steps if step.acted)])


def _element(outputs: Mapping[str, NDArray[Any]], name: str, index: int) -> float:
    return float(outputs[name].reshape(-1)[index])


def _reading(state: VehicleState, quantity: str) -> float | None:
    reading = getattr(state, quantity)
    return None if reading is None else float(reading.value)
