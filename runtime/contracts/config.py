"""One YAML file per vehicle or bench, loaded once into a frozen type.

Unknown keys are refused; an error names file, line, key, value and what is allowed. A drive's folder holds the
whole configuration that drove, defaults included.
"""

from __future__ import annotations

import re
from importlib.resources import files
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from runtime.contracts.errors import ConfigError
from runtime.contracts.source import Pacing
from runtime.contracts.yaml_file import as_yaml, parse_yaml

DEFAULT_CONFIG = "bench.yaml"
DEFAULT_MODEL = "concepts.onnx"


class EngineConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How the model is run."""

    backend: str = "onnxruntime"
    providers: Annotated[tuple[str, ...], Meta(min_length=1)] = ("CPUExecutionProvider",)
    threads: Annotated[int, Meta(ge=1, le=64)] = 1
    optimisation: Literal["all", "extended", "basic", "none"] = "all"
    preprocessing: Literal["cpu", "gpu"] = "cpu"  # makes the recorded input; what is recorded is replayed as it is


class VehicleConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The vehicle, and what is assumed of it where the source tells nothing."""

    wheelbase_m: Annotated[float, Meta(gt=0.0, le=20.0)] = 2.7
    assumed_speed_mps: Annotated[float, Meta(ge=0.0, le=100.0)] = 15.0


class EnvelopeConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What a command may ask of the vehicle."""

    max_steering_angle_rad: Annotated[float, Meta(gt=0.0, le=1.5)] = 0.6
    max_steering_rate_radps: Annotated[float, Meta(gt=0.0, le=20.0)] = 0.8
    max_lateral_acceleration_mps2: Annotated[float, Meta(gt=0.0, le=20.0)] = 4.0
    max_acceleration_mps2: Annotated[float, Meta(gt=0.0, le=20.0)] = 2.5
    max_deceleration_mps2: Annotated[float, Meta(gt=0.0, le=20.0)] = 8.0
    max_jerk_mps3: Annotated[float, Meta(gt=0.0, le=200.0)] = 30.0


class DecisionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The decision chain. In real-time pacing a command that is out after the deadline is recorded and not used."""

    deadline_ms: Annotated[float, Meta(gt=0.0, le=10_000.0)] = 100.0
    fallback_deceleration_mps2: Annotated[float, Meta(ge=0.0, le=10.0)] = 1.5
    envelope: EnvelopeConfig = EnvelopeConfig()


_LOOPBACK = r"(127(\.[0-9]{1,3}){3}|\[::1\]|localhost)"


def _is_tcp(endpoint: str) -> bool:
    found = re.fullmatch(r"tcp://(localhost|\[([0-9a-fA-F:.]+)\]|([0-9.]+)):([0-9]{1,5})", endpoint)
    if found is None or int(found[4]) > 65_535:
        return False
    try:
        return found[1] == "localhost" or bool(ip_address(found[2] or found[3]))
    except ValueError:
        return False


class BusConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Endpoints. `ipc` sockets live in a private folder of the run; over tcp only those connect who hold a key that is
    on the list, unless `curve` is false, which it may be on loopback only.
    """

    transport: Literal["ipc", "tcp"] = "ipc"
    curve: bool = True
    tcp_viewers: str = "tcp://127.0.0.1:5590"
    tcp_pictures: str = "tcp://127.0.0.1:5591"
    tcp_link: str = "tcp://127.0.0.1:5592"
    tcp_marks: str = "tcp://127.0.0.1:5593"

    def __post_init__(self) -> None:
        """Off loopback nothing is served without keys, and no address twice."""
        taken: dict[str, str] = {}
        for key in ("tcp_viewers", "tcp_pictures", "tcp_link", "tcp_marks"):
            value = getattr(self, key)
            if not _is_tcp(value):
                raise ValueError(f"{key}: {value!r} is no address to serve on; use tcp://ADDRESS:PORT, in numbers")
            if not self.curve and not re.fullmatch(rf"tcp://{_LOOPBACK}:[0-9]{{1,5}}", value):
                raise ValueError(
                    f"{key}: {value!r} is not on loopback, and there nothing is served without keys; take "
                    "`curve: false` out, or use tcp://127.0.0.1:PORT"
                )
            if value in taken and self.transport == "tcp":
                raise ValueError(f"{key}: {value!r} is where {taken[value]} is served; give each a port of its own")
            taken[value] = key


class IncidentConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What makes an incident, and how much around it is kept."""

    before_s: Annotated[float, Meta(ge=0.0, le=600.0)] = 10.0
    after_s: Annotated[float, Meta(ge=0.0, le=600.0)] = 5.0
    hard_brake_mps2: Annotated[float, Meta(gt=0.0, le=20.0)] = 4.0
    envelope_steering_rad: Annotated[float, Meta(ge=0.0, le=1.5)] = 0.1
    envelope_acceleration_mps2: Annotated[float, Meta(ge=0.0, le=20.0)] = 2.0
    deadline_misses: Annotated[int, Meta(ge=1, le=10_000)] = 3
    deadline_window_s: Annotated[float, Meta(gt=0.0, le=60.0)] = 1.0


class RetentionConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """How much room drives may take, and what is given up first where there is too little."""

    quota_mib: Annotated[int, Meta(ge=64, le=1_000_000_000)] | None = (
        None  # of all drives beside this one; None: the disk's
    )
    min_free_mib: Annotated[int, Meta(ge=16, le=10_000_000)] = 512
    degraded_h264_quality: Annotated[int, Meta(ge=0, le=51)] = 35
    degraded_jpeg_quality: Annotated[int, Meta(ge=1, le=100)] = 40
    degraded_picture_every: Annotated[int, Meta(ge=2, le=1000)] = 5


H264Choice = Literal["auto", "board", "libx264"]


class RecordConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """The recorder and the link to it."""

    segment_s: Annotated[float, Meta(ge=1.0, le=3600.0)] = 60.0
    segment_mib: Annotated[int, Meta(ge=1, le=4096)] = 256
    picture_codec: Literal["h264", "jpeg"] = "h264"
    h264_encoder: H264Choice = "auto"
    h264_quality: Annotated[int, Meta(ge=0, le=51)] = 25  # x264's constant rate factor: lower is better and larger
    jpeg_quality: Annotated[int, Meta(ge=1, le=100)] = 80
    sync_ms: Annotated[float, Meta(ge=0.0, le=1000.0)] = 50.0
    link_sets: Annotated[int, Meta(ge=2, le=100_000)] = 600
    link_mib: Annotated[int, Meta(ge=1, le=8192)] = 128
    credit: Annotated[int, Meta(ge=1, le=10_000)] = 32
    picture_slots: Annotated[int, Meta(ge=1, le=1024)] = 32
    key_dir: str | None = None  # None: `sightline/keys` under XDG_DATA_HOME
    incidents: IncidentConfig = IncidentConfig()
    retention: RetentionConfig = RetentionConfig()


class Config(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Everything that a run can be told. `model` is a path, relative to the file, or the name of a packaged one."""

    model: str = DEFAULT_MODEL
    source: str | None = None
    pacing: Pacing | None = None  # None: lockstep where the source can wait, real-time where it cannot
    engine: EngineConfig = EngineConfig()
    vehicle: VehicleConfig = VehicleConfig()
    decision: DecisionConfig = DecisionConfig()
    bus: BusConfig = BusConfig()
    record: RecordConfig = RecordConfig()


def packaged(name: str) -> Path | None:
    """The path of a configuration or model that ships with Sightline, None where there is no such one."""
    path = Path(str(files("configs"))) / name
    return path if path.is_file() else None


def load_config(path: Path) -> Config:
    """Read and check a configuration file. Raises ConfigError naming file, line, key, value and what is allowed."""
    try:
        text = _text(path)
    except FileNotFoundError:
        found = packaged(path.name) if path.parent == Path() else None
        if found is None:
            raise ConfigError(
                f"{path}: there is no such configuration; give a path or a packaged one: "
                f"{', '.join(packaged_configs())}"
            ) from None
        return load_config(found)
    config = parse_yaml(text, Config, str(path), _refuse_useless)
    return msgspec.structs.replace(config, model=str(model_path(config.model, path.parent).resolve()))


def recorded_config(path: Path) -> Config:
    """The configuration that a drive keeps: as `load_config`, but what is useless for a new drive drove that one."""
    try:
        return parse_config(_text(path), str(path))
    except FileNotFoundError:
        raise ConfigError(f"{path} is not there: a drive keeps the configuration that drove") from None


def default_config() -> Config:
    """The packaged configuration of the bench, which applies where none is given."""
    return load_config(Path(DEFAULT_CONFIG))


def packaged_configs() -> tuple[str, ...]:
    """The names of the configurations that ship with Sightline."""
    return tuple(sorted(entry.name for entry in files("configs").iterdir() if entry.name.endswith(".yaml")))


def parse_config(text: str, where: str) -> Config:
    """As `recorded_config`, from text; `where` names it in errors. Paths stay as they are written."""
    return parse_yaml(text, Config, where)


def dump_config(config: Config) -> str:
    """The configuration as YAML, defaults included."""
    return as_yaml(config)


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: cannot be read as UTF-8 text: {error}") from error


def _refuse_useless(config: Config) -> None:
    """Raise ValueError where nothing could be recorded: of a quota all of which is to stay free nothing may be used."""
    kept = config.record.retention
    if kept.quota_mib is not None and kept.quota_mib <= kept.min_free_mib:
        raise ValueError(
            f"record.retention.quota_mib: {kept.quota_mib} is no more than min_free_mib, {kept.min_free_mib}, which is "
            "kept free of it: nothing could be recorded; raise the quota, or lower min_free_mib"
        )


def model_path(model: str, folder: Path = Path()) -> Path:
    """The file that a model's name means: one in (or seen from) the folder, else the packaged one of that name."""
    beside = folder / model
    return beside if beside.is_file() else packaged(model) or beside
