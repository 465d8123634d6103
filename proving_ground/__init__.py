"""The proving ground: a seeded synthetic road, a camera that renders it, a car that obeys. numpy and OpenCV only.

    from proving_ground.catalogue import scenario_by_name, scenario_by_uri
    from proving_ground.simulation import Simulation

    simulation = Simulation(scenario_by_name("lane", seed=7))   # frozen; dataclasses.replace(...) varies any part
    while simulation.end is None:                               # "duration", "departed", "collided"
        frame = simulation.observe()                            # .picture .truth .car .sequence .t_source_ns
        simulation.step(simulation.expert_control())            # or any runtime.contracts.vehicle.Control

    car = simulation.car_at(s_m=120.0, lateral_offset_m=0.6, heading_error_rad=-0.05, speed_mps=12.0)
    simulation.picture_at(car)                                  # BGR uint8, any pose, at the present time
    simulation.truth_of(car); simulation.expert_control(car)    # for labels off the line

`picture_at`, `truth_of` and `expert_control` look for the car within 60 m of the simulation's own, whose time is
`Simulation.sequence`. All is deterministic: equal scenarios and controls give equal bits. ISO 8855, SI, radians.
"""
