"""The proving ground as a source of frames and a vehicle port, like any camera in any car.

`lockstep`: simulated time stands still until the next `read`, so the same scenario and the same commands give the same
bits. `real-time`: simulated time follows the host's clock; the car drives on under the last command, whoever is slow,
and frames that nobody came for in time are declared missing. Its drives do not repeat themselves bit for bit.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from proving_ground.car import yaw_rate_radps
from proving_ground.catalogue import scenario_by_uri
from proving_ground.simulation import Simulation
from runtime.contracts.clock import Clock, ClockDomain, SystemClock
from runtime.contracts.errors import SourceError
from runtime.contracts.source import Capture, Missing, SourceRequest
from runtime.contracts.units import NS_PER_MS, NS_PER_S, STANDARD_GRAVITY_MPS2, ns_from_s
from runtime.contracts.vehicle import Command, Control, Reading, Vector3, VehicleState

if TYPE_CHECKING:
    from collections.abc import Callable

    from proving_ground.car import CarState


check_address = scenario_by_uri  # see `runtime.sources.open`


def open_source(request: SourceRequest) -> ProvingGroundSource:
    """The source for a `proving-ground://` URI (see `proving_ground.catalogue`); raises SourceError."""
    return ProvingGroundSource(request, SystemClock(), time.sleep)


class SimulatedCar:
    """The car that the simulation moves, behind the vehicle port. It obeys the newest command."""

    def __init__(self, simulation: Simulation) -> None:
        self._simulation = simulation
        self.control = Control(0.0, 0.0)
        self.refresh()

    @property
    def obeys(self) -> bool:
        """Always: this vehicle is moved by commands alone."""
        return True

    def state(self, t_source_ns: int) -> VehicleState:
        """The state at the present frame, which is the newest that there is, whatever time is asked for."""
        return self._state

    def apply(self, command: Command) -> None:
        """Held until the next command; takes effect from the present frame on."""
        self.control = command.control

    def refresh(self) -> None:
        """Read all sensors at the simulation's present time; a collision stays reported once it happened."""
        self._state = _sensed(self._simulation)


class ProvingGroundSource:
    """One scenario as a `Source` with one camera. Pictures are new arrays: nobody writes to them afterwards."""

    def __init__(self, request: SourceRequest, clock: Clock, sleep: Callable[[float], None]) -> None:
        if len(request.cameras) != 1:
            asked = ", ".join(request.cameras) or "none"
            raise SourceError(
                f"{request.uri!r} has one camera and was asked for {len(request.cameras)} ({asked}); "
                "use a model with one image input."
            )
        self._request = request
        self._camera = request.cameras[0]
        self._clock = clock
        self._sleep = sleep
        self._simulation = Simulation(scenario_by_uri(request.uri))
        self._vehicle = SimulatedCar(self._simulation)
        self._started = False
        self._closed = False
        self._host_origin_ns = 0

    @property
    def uri(self) -> str:
        """The URI as it was asked for."""
        return self._request.uri

    @property
    def clock_domain(self) -> ClockDomain:
        """Simulated, whatever the pacing."""
        return "simulated"

    @property
    def expected_captures(self) -> int | None:
        """Frames of the whole duration; a collision or a lane departure may end the drive earlier."""
        return self._simulation.frame_count

    @property
    def vehicle(self) -> SimulatedCar:
        """The simulated car."""
        return self._vehicle

    def read(self) -> Capture | Missing | None:
        """The next frame; in real time waits until it is due, or declares it missing where its time has passed."""
        if self._closed:
            raise SourceError(f"{self.uri!r} was read after it was closed; open it again.")
        simulation = self._simulation
        late_ns = self._advance()
        if simulation.end is not None:
            return None
        if late_ns > self._frame_ns():
            reason = f"read {late_ns / NS_PER_MS:.0f} ms after its time: the host was too slow for real time"
            return Missing(simulation.sequence, simulation.t_source_ns, {self._camera: reason})
        seen = simulation.observe()
        if simulation.sequence == 0:  # time runs from the first picture on, which also loads the textures
            self._host_origin_ns = self._clock.monotonic_ns() - simulation.t_source_ns
        return Capture(seen.sequence, seen.t_source_ns, {self._camera: seen.picture}, seen.truth)

    def close(self) -> None:
        """Nothing is held open; later reads are refused."""
        self._closed = True

    def _advance(self) -> int:
        """On to the next frame under the newest command; how late that is on the host, in nanoseconds.

        In real time the frame's moment is waited for first: the car drives on under a command that came meanwhile.
        """
        if not self._started:
            self._started = True
            return 0
        if self._simulation.end is not None:
            return 0
        real_time = self._request.pacing == "real-time"
        late_ns = self._wait_until(self._simulation.t_source_ns + self._frame_ns()) if real_time else 0
        self._simulation.step(self._vehicle.control)
        self._vehicle.refresh()
        return late_ns

    def _wait_until(self, t_source_ns: int) -> int:
        """Waits for a simulated moment on the host; the lateness in nanoseconds, 0 where there was time."""
        ahead_ns = self._host_origin_ns + t_source_ns - self._clock.monotonic_ns()
        if ahead_ns <= 0:
            return -ahead_ns
        self._sleep(ahead_ns / NS_PER_S)
        return 0

    def _frame_ns(self) -> int:
        return ns_from_s(1.0 / self._simulation.scenario.frame_rate_hz)


def _sensed(simulation: Simulation) -> VehicleState:
    """Every sensor of the simulated car, exact and without delay. The IMU sits on the rear axle and feels gravity."""
    car: CarState = simulation.car
    model, at = simulation.scenario.car, simulation.t_source_ns
    yaw_rate = yaw_rate_radps(car, model)
    force = Vector3(car.acceleration_mps2, car.speed_mps * yaw_rate, STANDARD_GRAVITY_MPS2)
    return VehicleState(
        t_source_ns=at,
        speed_mps=Reading(car.speed_mps, at),
        acceleration_mps2=Reading(car.acceleration_mps2, at),
        steering_angle_rad=Reading(car.steering_angle_rad, at),
        yaw_rate_radps=Reading(yaw_rate, at),
        throttle_ratio=Reading(_ratio(car.acceleration_mps2, model.max_acceleration_mps2), at),
        brake_ratio=Reading(_ratio(-car.acceleration_mps2, model.max_braking_mps2), at),
        driver_torque_nm=Reading(0.0, at),
        driver_override=Reading(False, at),
        mode=Reading("autonomous", at),
        indicator=Reading("off", at),
        collision=Reading(simulation.collided, at),
        imu_acceleration_mps2=Reading(force, at),
        imu_angular_velocity_radps=Reading(Vector3(0.0, 0.0, yaw_rate), at),
    )


def _ratio(value: float, full: float) -> float:
    return min(max(0.0, value / full), 1.0)
