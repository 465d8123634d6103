"""`sightline export`: any driving network to a verified ONNX that explains itself."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from export.commands import need_extra
from runtime.commands import console
from runtime.contracts.errors import ExitCode

if TYPE_CHECKING:
    from export.pipeline import Done

SUMMARY = "make a verified model that explains itself, from a torch module or an ONNX file"
EXAMPLE = "sightline export my_policy.py:Policy --config model.yaml --weights policy.pt --out exported/"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("network", metavar="NETWORK", help="path/to/module.py:Class, or an .onnx file")
    parser.add_argument("--config", type=Path, help="what the network is, as YAML; a draft is made for an .onnx file")
    parser.add_argument("--weights", type=Path, help="a torch state_dict, read without running code of it")
    parser.add_argument("--out", type=Path, required=True, help="the folder to make; an earlier export is replaced")


def run(args: argparse.Namespace) -> int:
    """Export, or leave everything as it was (exit code 2). 1 where a file that was asked for is not there."""
    need_extra(*(() if args.network.endswith(".onnx") else ("torch", "onnxscript")))
    from export.given import Request
    from export.pipeline import export

    with console.progress(None, "export", quiet=args.json) as bar:
        bar.bar_format = "{desc} [{elapsed}]"

        def say(step: str) -> None:
            bar.set_description_str(step)

        done = export(Request(args.network, args.config, args.weights, args.out), say)
    if args.json:
        console.emit_json(done.report)
    else:
        console.emit(_words(done))
    return ExitCode.NO if done.lacks else ExitCode.YES


def _words(done: Done) -> str:
    lines = [f"exported  {done.out}"]
    lines += [f"          {name}  {size / 1e6:.2f} MB" for name, size in done.files]
    lines += [f"parity    {line}" for line in done.parity]
    lines += [f"map       {line}" for line in done.explanation]
    lines += [f"worth     {line}" for line in done.worth]
    lines += [f"warning   {warning}" for warning in done.warnings]
    return "\n".join([*lines, f"next      {done.next_step}"])
