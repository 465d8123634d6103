"""`sightline model`: what a model's file promises, and what changed between two of them."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from export.commands import need_extra
from runtime.commands import console
from runtime.contracts.errors import ExitCode, UsageError

if TYPE_CHECKING:
    from export.diff import ModelDiff
    from export.precision.change import DecisionChange, ExplanationChange
    from runtime.contracts.model import ImageInput, Manifest
    from runtime.contracts.worth import Worth

SUMMARY = "show a model's manifest, or compare two models on the same frames"
EXAMPLE = "sightline model diff old.onnx new.onnx --frames drives/20261123T211500Z-9f3a01c4"

_FILES = {"show": 1, "diff": 2}
_SAME_MAP = 0.999
_WORDS = ("name", "description", "attribution.method", "attribution.layer", "attribution.target_tensor")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's options."""
    parser.add_argument("what", choices=tuple(_FILES), help="show FILE, or diff A B")
    parser.add_argument("files", nargs="+", type=Path, metavar="FILE", help="an ONNX file with its manifest")
    parser.add_argument("--frames", help="diff: a drive, or any source as `sightline run --source` takes it")
    parser.add_argument("--count", type=int, default=48, help="diff: how many frames of it (48)")


def run(args: argparse.Namespace) -> int:
    """Show one model, or compare two: exit code 0 where they agree within the first one's tolerance, 1 where not."""
    from runtime.contracts.config import model_path

    if len(args.files) != _FILES[args.what]:
        raise UsageError(f"model {args.what} takes {_FILES[args.what]} file(s), and {len(args.files)} were given")
    if args.what == "show":
        return _show(model_path(str(args.files[0])), json=args.json)
    need_extra()
    if args.frames is None:
        raise UsageError("model diff compares on frames; add --frames with a drive, a video or a proving-ground:// URI")
    first, second = (model_path(str(file)) for file in args.files)
    return _diff(first, second, args)


def _show(path: Path, *, json: bool) -> int:
    from runtime.contracts.model import read_manifest
    from runtime.contracts.worth import read_worth, report_path

    manifest = read_manifest(path)
    worth = read_worth(path, manifest)
    report = report_path(path)
    beside = report if report.is_file() else None
    if json:
        console.emit_json({"file": str(path), "manifest": manifest, "worth": worth, "report": beside and str(beside)})
    else:
        console.emit("\n".join(_shown(path, manifest, worth, beside)))
    return ExitCode.YES


def _shown(path: Path, manifest: Manifest, worth: Worth, report: Path | None) -> list[str]:
    drives = manifest.output("steering_angle_rad") is not None
    lines = [
        f"model        {manifest.name}{'' if drives else ' (gives no steering: it can be explained, and not driven)'}",
        f"file         {path}, {path.stat().st_size / 1e6:.2f} MB",
        f"graph        {manifest.graph_sha256}",
    ]
    if manifest.description:
        lines.append(f"description  {manifest.description}")
    lines += [f"image in     {_image(image)}" for image in manifest.images]
    lines += [f"state in     {state.name}: {state.quantity} x {state.scale:g}" for state in manifest.states]
    lines += [
        f"out          {output.name}[{output.index}] x {output.scale:g}: {output.quantity}, "
        f"valid {output.minimum:g} to {output.maximum:g}"
        for output in manifest.outputs
    ]
    lines += [
        f"concept      {concept.name} in {concept.unit}: {concept.output}[{concept.index}] x {concept.scale:g}"
        + (f", map {concept.map}[{concept.map_index}]" if concept.map else "")
        for concept in manifest.concepts
    ]
    lines += [
        f"memory       {memory.output} goes into {memory.input}; starts at {memory.initial:g}, again at {memory.reset}"
        for memory in manifest.recurrent
    ]
    grid = manifest.attribution
    if grid is None:
        lines.append("map          none: what drives with it has no reasons in the picture")
    else:
        asked = f"element {grid.target_index}" + (f" of {grid.target_tensor}" if grid.target_tensor else "")
        lines += [
            f"map          {grid.method}, at {grid.layer}",
            f"             of {grid.target} ({asked}, x {grid.scale:g}), {grid.rows} x {grid.columns}",
            f"             over {grid.image}: a cell every {grid.stride_x_px:g} x {grid.stride_y_px:g} px from "
            f"({grid.origin_x_px:g}, {grid.origin_y_px:g}), each sees {grid.field_x_px:g} x {grid.field_y_px:g} px",
        ]
    lines.append(f"tolerance    {manifest.tolerance:g}")
    lines.append(f"worth        {worth.verdict}")
    lines += [f"             {reason}" for reason in worth.reasons]
    if report is not None:
        lines.append(f"report       {report}")
    return lines


def _image(image: ImageInput) -> str:
    crop = image.crop
    return (
        f"{image.name}: {image.width} x {image.height} uint8 {image.layout} {image.colour} of camera {image.camera}, "
        f"rows {crop.top:g} to {crop.bottom:g} and columns {crop.left:g} to {crop.right:g} ({image.interpolation})"
    )


def _diff(first: Path, second: Path, args: argparse.Namespace) -> int:
    from export.diff import diff
    from runtime.contracts.errors import ModelError
    from runtime.contracts.model import manifest_of

    try:
        models = first.read_bytes(), second.read_bytes()
    except OSError as error:
        raise ModelError(f"model {error.filename}: {error.strerror}; give the path of an ONNX file") from error
    tolerance = manifest_of(models[0], str(first)).tolerance
    found = diff(*models, args.frames, args.count, (str(first), str(second)))
    same = _same(found, tolerance)
    if args.json:
        console.emit_json({"same": same, "tolerance": tolerance, "diff": found})
    else:
        console.emit("\n".join([*_changes(found), _verdict(found, tolerance, same=same)]))
    return ExitCode.YES if same else ExitCode.NO


def _same(found: ModelDiff, tolerance: float) -> bool:
    """Whether one could stand for the other: what it promises, what it decides, and why."""
    promises = [change for change in found.manifest if change.field not in _WORDS]
    decided = all(change.max <= tolerance for change in found.decisions)
    explained = all(change.min >= _SAME_MAP for change in found.explanations)
    return not promises and decided and explained and not found.not_compared


def _changes(found: ModelDiff) -> list[str]:
    same_graph = found.first_sha256 == found.second_sha256
    lines = [
        f"graphs       {'the same' if same_graph else f'{found.first_sha256[:16]}… and {found.second_sha256[:16]}…'}",
        f"size         {found.first_bytes / 1e6:.2f} MB and {found.second_bytes / 1e6:.2f} MB",
    ]
    lines += [f"manifest     {c.field}: {c.first or 'absent'} and {c.second or 'absent'}" for c in found.manifest]
    lines += [f"operators    {c.operator}: {c.first} and {c.second}" for c in found.operators]
    lines.append(f"frames       {found.frames} of {found.source}")
    lines += [_decision(change) for change in found.decisions]
    lines += [_explanation(change) for change in found.explanations]
    lines += [f"not compared {why}" for why in found.not_compared]
    return lines


def _decision(change: DecisionChange) -> str:
    unit = f" {change.unit}" if change.unit else ""
    return (
        f"decision     {change.name}: mean {change.mean:.3g}{unit}, p99 {change.p99:.3g}{unit}, largest "
        f"{change.max:.3g}{unit} (frame {change.worst_frame})"
    )


def _explanation(change: ExplanationChange) -> str:
    return (
        f"explanation  {change.name}: rank correlation median {change.median:.3f}, p5 {change.p5:.3f}, lowest "
        f"{change.min:.3f} (frame {change.worst_frame})"
    )


def _verdict(found: ModelDiff, tolerance: float, *, same: bool) -> str:
    if same and found.first_sha256 == found.second_sha256:
        return "verdict      the same"
    words = f"decisions within {tolerance:g}, maps of rank correlation {_SAME_MAP} or more, the same promises"
    return f"verdict      {'the same' if same else 'NOT the same'} ({words})"
