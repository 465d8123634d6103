"""Every check, in the order in which a person reads them."""

from __future__ import annotations

from pathlib import Path

from runtime.doctor import board, clocks, engines, keys, software, storage, video
from runtime.doctor.finding import Finding


def checkup(config_path: Path | None, out: Path) -> tuple[Finding, ...]:
    """Run every check for a configuration and for the folder that drives would be written to."""
    folder = storage.nearest_folder(out)
    said, config = software.configuration(config_path)
    findings = [
        software.python(),
        software.packages(),
        software.name_clashes(),
        board.board(),
        board.power(),
        board.throttling(),
        engines.gpu(),
        engines.tensorrt(),
        software.sources(),
        video.cameras(),
        said,
    ]
    if config is not None:
        findings += [
            software.source(config),
            *engines.engines(config),
            video.gstreamer(config),
            video.encoder(config),
            storage.shared_memory(config),
            keys.signing_key(config),
            keys.connections(config),
        ]
    findings += [
        storage.room(folder),
        storage.sync(folder),
        storage.wear(folder),
        clocks.clock_source(),
        clocks.utc(),
        clocks.hardware_clock(),
    ]
    return tuple(findings)
