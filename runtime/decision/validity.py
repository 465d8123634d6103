"""The first step of the chain: what the network said is used only where it is a number and inside the manifest's range.

Otherwise the last valid steering is held and the car slows down gently: to let go of the wheel or to brake hard is a
decision that nobody made.
"""

from __future__ import annotations

import math

from runtime.contracts.messages import Proposal, StepRecord, ValidityState
from runtime.contracts.model import Output
from runtime.contracts.vehicle import Control

NAME = "validity"
VALID = "valid"


def step(
    state: ValidityState, proposal: Proposal, outputs: tuple[Output, ...], fallback_deceleration_mps2: float
) -> tuple[ValidityState, StepRecord]:
    """Let a valid proposal pass unchanged; hold the last valid steering (straight before the first) for any other.

    One invalid quantity makes the whole proposal invalid: a network that says NaN once is not to be trusted beside it.

    Args:
        state: what was valid last.
        proposal: rad (positive left) and m/s2, in the quantity's unit, possibly not finite.
        outputs: the manifest's outputs, whose minimum and maximum bound the quantities; one that the manifest does
            not name must only be finite.
        fallback_deceleration_mps2: how hard to slow down on an invalid proposal, at least 0.

    Returns:
        The state after the step, and its record; the control is always finite.
    """
    faults = _faults(proposal, outputs)
    if not faults:
        control = Control(float(proposal.steering_angle_rad), float(proposal.acceleration_mps2))
        return ValidityState(control, 0), StepRecord(NAME, state, proposal, control, False, VALID)
    held = state.last_valid.steering_angle_rad if state.last_valid is not None else 0.0
    control = Control(held, -fallback_deceleration_mps2)
    after = ValidityState(state.last_valid, state.invalid_count + 1)
    holding = "hold the last valid steering" if state.last_valid is not None else "steer straight"
    reason = f"{'; '.join(faults)}: {holding} ({held:.4g} rad) and slow down by {fallback_deceleration_mps2:.4g} m/s2"
    return after, StepRecord(NAME, state, proposal, control, True, reason)


def _faults(proposal: Proposal, outputs: tuple[Output, ...]) -> list[str]:
    ranges = {output.quantity: (output.minimum, output.maximum) for output in outputs}
    faults = []
    for quantity in ("steering_angle_rad", "acceleration_mps2"):
        value = float(getattr(proposal, quantity))
        minimum, maximum = ranges.get(quantity, (-math.inf, math.inf))
        if not math.isfinite(value):
            faults.append(f"{quantity} is {value}")
        elif not minimum <= value <= maximum:
            faults.append(f"{quantity} is {value:.6g}, outside {minimum:.6g} to {maximum:.6g}")
    return faults
