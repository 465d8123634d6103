"""Records of plans for tests, as a build makes them."""

from __future__ import annotations

import hashlib

import msgspec

from runtime.engines.tensorrt.identity import Device, Here, Software
from runtime.engines.tensorrt.judgement import Latency, OutputParity, Parity
from runtime.engines.tensorrt.plan_file import PlanRecord
from runtime.engines.tensorrt.settings import BuildSettings, Subject

ORIN = Here(Device("Orin", "8.7", "5a" * 16, "aarch64", "10.3.0"), Software("12.6", "Ubuntu 22.04.5 LTS", "R36"))
SUBJECT = Subject("tiny", "ab" * 32, {"image": (1, 66, 200, 3)})
PLAN = b"plan" * 1000


def record(plan: bytes = PLAN, key: str = "k", *, built_utc: str = "2026-11-24T10:00:00.000000Z") -> PlanRecord:
    """A judged record of a plan, without a seal."""
    return PlanRecord(
        key=key,
        plan_sha256=hashlib.sha256(plan).hexdigest(),
        plan_bytes=len(plan),
        subject=SUBJECT,
        settings=BuildSettings(),
        here=ORIN,
        built_utc=built_utc,
        build_s=60.0,
        parity=Parity(20, None, (OutputParity("steering", 1e-5, 1.0, "black", True),)),
        latency=Latency(300, 900.0, 1100.0, 100_000.0),
    )


def on(here: Here, **device: str) -> Here:
    """A machine with another device."""
    return msgspec.structs.replace(here, device=msgspec.structs.replace(here.device, **device))
