"""The loop: read, decide, command, hand over."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from runtime.contracts.clock import Clock
from runtime.contracts.errors import DriveOverError, SightlineError
from runtime.contracts.model import Manifest
from runtime.contracts.source import Capture, Missing
from runtime.contracts.units import NS_PER_MS
from runtime.contracts.vehicle import Command, Reading, VehiclePort, VehicleState
from runtime.decision.policy import Memory, Policy
from runtime.driving.handover import HandOver
from runtime.engines.preprocessing.open import Preprocess
from runtime.sources.pacing import Delivery, PacedSource


@dataclass(frozen=True, slots=True)
class AssumedVehicle:
    """The vehicle of a source that has none: a constant speed that nobody measured. It takes no command."""

    speed_mps: float
    obeys: bool = False

    def state(self, t_source_ns: int) -> VehicleState:
        """The assumed speed, as of now and marked as assumed."""
        return VehicleState(t_source_ns, assumed=True, speed_mps=Reading(self.speed_mps, t_source_ns))

    def apply(self, command: Command) -> None:
        """Never called: shadow mode."""


@dataclass(frozen=True, slots=True)
class Driver:
    """What the loop needs to turn a capture into a command."""

    manifest: Manifest
    preprocess: Preprocess
    policy: Policy
    vehicle: VehiclePort
    clock: Clock
    deadline_ns: int | None  # after capture; None in lockstep, where nothing is late

    def frame(self, delivery: Delivery, capture: Capture, memory: Memory, hand_over: HandOver) -> Memory:
        """One frame, from its pixels to the command and the hand-over. Returns what the next frame must remember.

        The command goes out before the reason is put into words; the map itself came out of the same pass.
        """
        try:
            state = self.vehicle.state(capture.t_source_ns).sampled_at(capture.t_source_ns)
            images = {
                image.name: self.preprocess(capture.pictures[image.camera], image) for image in self.manifest.images
            }
            inputs = self.policy.network_inputs(images, state, memory)
            outputs = self.policy.run(inputs)
        except SightlineError as error:
            hand_over.dropped(capture, dict.fromkeys(capture.pictures, str(error)), delivery.t_capture_ns)
            return self.policy.after_gap(memory)
        choice = self.policy.choose(capture.sequence, capture.t_source_ns, outputs, state, memory)
        late = self._late(delivery.t_capture_ns)
        missed = bool(late)
        if not late and self.vehicle.obeys:
            late, missed = self._refused(Command(choice.decision_id, choice.t_source_ns, choice.control))
        t_command_ns = self.clock.monotonic_ns()
        hand_over.decided(
            capture,
            inputs,
            state,
            self.policy.explain(choice),
            late=late,
            missed=missed,
            t_capture_ns=delivery.t_capture_ns,
            t_command_ns=t_command_ns,
        )
        return memory.unused(choice.memory) if late else choice.memory

    def _refused(self, command: Command) -> tuple[str, bool]:
        """Give the command, and tell why it could not be given: then it counts as late, for it was not used either. And
        whether the vehicle missed it.
        """
        try:
            self.vehicle.apply(command)
        except SightlineError as error:
            return f"not commanded: {error}", not isinstance(error, DriveOverError)
        return "", False

    def _late(self, t_capture_ns: int) -> str:
        latency_ns = self.clock.monotonic_ns() - t_capture_ns
        if self.deadline_ns is None or latency_ns <= self.deadline_ns:
            return ""
        return f"decided {latency_ns / NS_PER_MS:.1f} ms after capture, deadline {self.deadline_ns / NS_PER_MS:.1f} ms"


def drive(frames: PacedSource, driver: Driver, hand_over: HandOver, after_frame: Callable[[], None]) -> None:
    """Drive until the source ends, or is stopped and what has come is dealt with."""
    memory = driver.policy.initial_memory()
    for delivery in frames:
        if isinstance(delivery.item, Missing):
            hand_over.dropped(delivery.item, delivery.item.reasons, delivery.t_capture_ns)
            memory = driver.policy.after_gap(memory)
        else:
            memory = driver.frame(delivery, delivery.item, memory, hand_over)
        hand_over.health()
        after_frame()
