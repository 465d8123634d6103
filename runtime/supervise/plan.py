"""The plan of one run: what the supervisor decided before it started the processes, and each of them reads."""

from __future__ import annotations

import os
import secrets
import socket
import tempfile
from pathlib import Path

import msgspec

from runtime.access.allowed import AllowedClient
from runtime.access.gate import ServerAccess
from runtime.access.keys import Credentials
from runtime.access.roles import Role
from runtime.access.run_keys import make_run_keys, run_access, run_credentials
from runtime.contracts.config import Config
from runtime.contracts.errors import LinkError
from runtime.contracts.source import Pacing
from runtime.seal.keys import key_dir_of

PLAN_NAME = "plan.json"
MODEL_NAME = "model.onnx"
CONFIG_NAME = "config.yaml"
ENGINE_PLAN_NAME = "model.plan"  # of a back-end that compiles on the device: not this run's plan
RUN_PREFIX = "sightline-"  # of a run's folder

_IPC_PATH_BYTES = 107  # sockaddr_un(7): 108 with the terminating zero


class RunPlan(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One run. `session` names the link between its two processes, so that nothing of another run is taken.

    `pacing` None: lockstep where the source can wait, real-time where it cannot. `clients`: the run's own, whose keys
    lie in its folder; none where its sockets ask for no keys.
    """

    drive_id: str
    drive_dir: str
    run_dir: str
    source_uri: str
    pacing: Pacing | None
    session: str
    viewers: str  # endpoint, PUB in the driving process
    pictures: str  # endpoint, PUB in the recorder
    link: str  # endpoint, ROUTER in the recorder, DEALER in the driving process
    marks: str  # endpoint, ROUTER in the recorder, DEALER of whoever marks a moment
    config: Config
    clients: tuple[AllowedClient, ...] = ()

    def server_access(self) -> ServerAccess | None:
        """What the sockets of this run ask of who connects; None: nothing. Raises AccessError."""
        key_dir = key_dir_of(self.config.record.key_dir)
        return run_access(Path(self.run_dir), key_dir, self.clients) if self.clients else None

    def credentials(self, role: Role) -> Credentials | None:
        """What a client of the run itself connects with; None: nothing is asked for. Raises AccessError."""
        return run_credentials(Path(self.run_dir), role) if self.clients else None

    @property
    def model_path(self) -> Path:
        """The drive's own copy of the model, the one that drives."""
        return Path(self.drive_dir) / MODEL_NAME

    @property
    def engine_plan_path(self) -> Path:
        """The drive's own copy of the plan that its engine runs, there where the back-end runs plans."""
        return Path(self.drive_dir) / ENGINE_PLAN_NAME

    @property
    def config_path(self) -> Path:
        """The drive's own copy of the configuration."""
        return Path(self.drive_dir) / CONFIG_NAME


def make_run_dir() -> Path:
    """A private folder (0700) for plan and sockets, with a short path. The caller removes it."""
    base = os.environ.get("XDG_RUNTIME_DIR", "")
    usable = base and os.access(base, os.W_OK | os.X_OK) and len(base) < 60
    return Path(tempfile.mkdtemp(prefix=RUN_PREFIX, dir=base if usable else None))


def make_plan(
    *, drive_id: str, drive_dir: Path, run_dir: Path, source_uri: str, pacing: Pacing | None, config: Config
) -> RunPlan:
    """A plan with endpoints as `config.bus` says: sockets in the run folder, or tcp, for which it makes the run's keys.

    Raises LinkError where the run folder's path is too long for a socket, a name is no text, or a port is taken, and
    AccessError where the vehicle's key of connections or the list of who may connect cannot be used.
    """
    for what, text in (
        ("source", source_uri),
        ("drive's folder", str(drive_dir.resolve())),
        ("run folder", str(run_dir)),
    ):
        if not _is_text(text):
            raise LinkError(f"the {what} {text!a} is no valid UTF-8; rename it, or set LANG to a UTF-8 locale")

    def endpoint(name: str, tcp: str) -> str:
        if config.bus.transport == "tcp":
            _prove_free(tcp)
            return tcp
        path = str(run_dir / name)
        if len(os.fsencode(path)) > _IPC_PATH_BYTES:
            raise LinkError(
                f"{path} is too long for a socket ({_IPC_PATH_BYTES} bytes); set XDG_RUNTIME_DIR or TMPDIR to a "
                "shorter folder"
            )
        return f"ipc://{path}"

    plan = RunPlan(
        drive_id=drive_id,
        drive_dir=str(drive_dir.resolve()),
        run_dir=str(run_dir),
        source_uri=source_uri,
        pacing=pacing,
        session=secrets.token_hex(16),
        viewers=endpoint("viewers", config.bus.tcp_viewers),
        pictures=endpoint("pictures", config.bus.tcp_pictures),
        link=endpoint("link", config.bus.tcp_link),
        marks=endpoint("marks", config.bus.tcp_marks),
        config=config,
    )
    if config.bus.transport == "tcp" and config.bus.curve:
        clients = make_run_keys(run_dir, key_dir_of(config.record.key_dir))
        return msgspec.structs.replace(plan, clients=clients)
    return plan


def _is_text(name: str) -> bool:
    """Whether a name can be written into a plan and a record: bytes that the locale cannot decode are surrogates."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


def _prove_free(endpoint: str) -> None:
    """Refuse a tcp endpoint that somebody serves already, before there is a drive that its recorder cannot join."""
    host, _, port = endpoint.removeprefix("tcp://").rpartition(":")
    address = host.strip("[]")
    with socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # as ZeroMQ does
        try:
            probe.bind((address, int(port)))
        except (OSError, OverflowError) as error:
            raise LinkError(f"{endpoint} cannot be served: {error}; choose another port under `bus:`") from error


def write_plan(plan: RunPlan) -> Path:
    """Write the plan into its run folder; returns its path."""
    path = Path(plan.run_dir) / PLAN_NAME
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb") as file:
        file.write(msgspec.json.encode(plan))
    return path


def read_plan(path: Path) -> RunPlan:
    """The plan that `write_plan` wrote. Raises LinkError where there is none."""
    try:
        return msgspec.json.decode(path.read_bytes(), type=RunPlan)
    except OSError as error:
        raise LinkError(
            f"the plan {path} cannot be read: {error.strerror}; it is written by `sightline run`"
        ) from error
    except msgspec.DecodeError as error:
        raise LinkError(f"{path} is no plan of a run: {error}") from error
