"""The key that signs the record, and the keys of who may connect."""

from __future__ import annotations

import os

from runtime.access.allowed import allowed_clients
from runtime.access.keys import SERVER_NAME, server_key
from runtime.contracts.config import Config
from runtime.contracts.errors import AccessError, SealError
from runtime.doctor.finding import Finding
from runtime.doctor.storage import nearest_folder
from runtime.seal.keys import KEY_NAME, key_dir_of, load_key


def signing_key(config: Config) -> Finding:
    """Whether it is there or can be made, and nobody else may read it: without it no run begins."""
    folder = key_dir_of(config.record.key_dir)
    mend = "run it as the user who drives, or name a folder of this user's in record.key_dir"
    try:
        if not (folder / KEY_NAME).exists():
            above = nearest_folder(folder)
            if not os.access(above, os.W_OK | os.X_OK, effective_ids=True):
                return Finding("signing key", "fail", f"none in {folder}, and this user may not write {above}", mend)
            made = "the first drive makes one; or: sightline keys new"
            return Finding("signing key", "warn", f"none in {folder}", made)
        key = load_key(folder)
    except PermissionError:
        return Finding("signing key", "fail", f"this user may not look into {folder}", mend)
    except SealError as error:
        return Finding("signing key", "fail", str(error), "put that right: no run begins without it")
    return Finding("signing key", "ok", f"{key.key_id[:16]} in {folder}")


def connections(config: Config) -> Finding:
    """Who may connect: over tcp the vehicle's pair and the list, which no run begins without trusting."""
    if config.bus.transport == "ipc":
        return Finding("connections", "ok", "ipc: this user alone")
    if not config.bus.curve:
        mend = "take `curve: false` out of `bus`, and let each in by its key: sightline keys allow"
        return Finding("connections", "warn", "tcp without keys: every user of this machine can listen", mend)
    folder = key_dir_of(config.record.key_dir)
    try:
        clients = allowed_clients(folder)
        if (folder / f"{SERVER_NAME}.key").exists():
            server_key(folder)
    except (AccessError, PermissionError) as error:
        return Finding("connections", "fail", str(error), "put that right: no run over tcp begins without it")
    named = ", ".join(f"{client.name} ({client.role})" for client in clients) or "nobody"
    return Finding("connections", "ok", f"tcp with keys; on the list: {named}")
