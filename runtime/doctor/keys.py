"""The key that signs the record."""

from __future__ import annotations

from runtime.contracts.config import Config
from runtime.contracts.errors import SealError
from runtime.doctor.finding import Finding
from runtime.seal.keys import KEY_NAME, key_dir_of, load_key


def signing_key(config: Config) -> Finding:
    """Whether it is there, and nobody else may read it."""
    folder = key_dir_of(config.record.key_dir)
    if not (folder / KEY_NAME).exists():
        return Finding("signing key", "warn", f"none in {folder}", "the first drive makes one; or: sightline keys new")
    try:
        key = load_key(folder)
    except SealError as error:
        return Finding("signing key", "fail", str(error), "without it drives are recorded and not signed")
    return Finding("signing key", "ok", f"{key.key_id[:16]} in {folder}")
