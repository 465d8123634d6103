"""`sightline config`: check a configuration and show all that it says, defaults included."""

from __future__ import annotations

import argparse
from pathlib import Path

from runtime.commands import console
from runtime.contracts.errors import ExitCode

SUMMARY = "check a configuration and print it with every default"
EXAMPLE = "sightline config my_car.yaml"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument(
        "file", nargs="?", type=Path, help="a YAML file or the name of a packaged one (default: bench.yaml)"
    )
    parser.add_argument("--list", action="store_true", help="name the packaged configurations")


def run(args: argparse.Namespace) -> int:
    """Print the configuration; a wrong one is a ConfigError."""
    from runtime.contracts.config import DEFAULT_CONFIG, dump_config, load_config, packaged_configs

    if args.list:
        if args.json:
            console.emit_json({"configs": packaged_configs()})
        else:
            console.emit("\n".join(packaged_configs()))
        return ExitCode.YES
    config = load_config(args.file or Path(DEFAULT_CONFIG))
    if args.json:
        console.emit_json(config)
    else:
        console.emit(dump_config(config).rstrip())
    return ExitCode.YES
