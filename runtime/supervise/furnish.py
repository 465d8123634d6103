"""A drive's folder before anything is recorded: made, furnished with what drives, and on the disk."""

from __future__ import annotations

import shutil
from pathlib import Path

import msgspec

from runtime.contracts.config import Config, dump_config
from runtime.contracts.errors import RecordError
from runtime.contracts.worth import report_path
from runtime.record.journal import sync_file
from runtime.record.on_disk import make_folders
from runtime.seal.envelope import public_key_pem
from runtime.seal.keys import VehicleKey, key_dir_of, rotation_files
from runtime.seal.statement import key_name
from runtime.sources.location import without_password
from runtime.supervise.plan import CONFIG_NAME, ENGINE_PLAN_NAME, MODEL_NAME


def make_folder(drive_dir: Path) -> None:
    """Make the drive's folder, and those above it that are not there, and bring their names to the disk.

    Raises RecordError.
    """
    try:
        make_folders(drive_dir)
    except OSError as error:
        raise _not_writable(drive_dir, error) from error


def furnish(drive_dir: Path, config: Config, engine_plan: Path | None, key: VehicleKey) -> None:
    """Give the drive its own copies of model, report and plan (where there is one) and configuration, and the public
    half of the key that will sign it, and bring what is in them to the disk. Raises RecordError.
    """
    try:
        shutil.copyfile(config.model, drive_dir / MODEL_NAME)
        report = report_path(Path(config.model))
        if report.is_file():
            shutil.copyfile(report, report_path(drive_dir / MODEL_NAME))
        if engine_plan is not None:
            shutil.copyfile(engine_plan, drive_dir / ENGINE_PLAN_NAME)
        for statement in rotation_files(key_dir_of(config.record.key_dir)):  # whoever knows an older key is led to ours
            shutil.copyfile(statement, drive_dir / statement.name)
        source = None if config.source is None else without_password(config.source)
        resolved = msgspec.structs.replace(config, model=MODEL_NAME, source=source)
        (drive_dir / CONFIG_NAME).write_text(dump_config(resolved), encoding="utf-8")
        (drive_dir / key_name(key.key_id)).write_bytes(public_key_pem(key.public_key))
        for entry in drive_dir.iterdir():
            sync_file(entry)  # their names come to the disk with the first journal's
    except OSError as error:
        raise _not_writable(drive_dir, error) from error


def _not_writable(drive_dir: Path, error: OSError) -> RecordError:
    return RecordError(f"the drive's folder {drive_dir} cannot be written: {error.strerror}; choose another --out")
