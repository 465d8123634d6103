"""From torch to ONNX: decision and attribution in one graph, the manifest inside, same bytes for same weights."""

from __future__ import annotations

import logging
import tempfile
import warnings
from pathlib import Path
from typing import TYPE_CHECKING

import torch

from export.pilotnet import ExplainedPilotNet, PilotNet
from export.reference import HEIGHT, IMAGE, OUTPUTS, SPEED, WIDTH
from runtime.contracts.model import Manifest, attach_manifest

if TYPE_CHECKING:
    import onnx

OPSET = 20
_PRODUCER = "sightline"


def export_onnx(policy: PilotNet, manifest: Manifest) -> bytes:
    """The policy as one self-contained ONNX file that answers decision and attribution in one run.

    The graph holds nothing of where and when it was made, so that the same weights give the same bytes under the same
    versions of torch and onnxscript. Opset 20 is what ONNX Runtime and TensorRT 10 both read.
    """
    import onnx  # seconds of import that only an export needs

    graph = _traced(ExplainedPilotNet(policy).eval())
    _anonymise(graph)
    onnx.checker.check_model(graph, full_check=True)
    return attach_manifest(graph.SerializeToString(deterministic=True), manifest)


def write_model(path: Path, onnx_bytes: bytes) -> None:
    """Put a model's file in place whole: a reader sees the old one or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=path.parent, prefix=path.name, delete=False) as new:
        new.write(onnx_bytes)
    Path(new.name).chmod(0o644)
    Path(new.name).replace(path)


def _traced(module: ExplainedPilotNet) -> onnx.ModelProto:
    example = (torch.zeros(1, HEIGHT, WIDTH, 3, dtype=torch.uint8), torch.zeros(1, 1))
    # The exporter warns of packages that it does not need here (torchvision) and of its own internals.
    logger = logging.getLogger("torch.onnx")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FutureWarning)
            program = torch.onnx.export(
                module,
                example,
                dynamo=True,
                external_data=False,
                opset_version=OPSET,
                input_names=[IMAGE, SPEED],
                output_names=list(OUTPUTS),
                verbose=False,
            )
    finally:
        logger.setLevel(level)
    assert program is not None
    proto: onnx.ModelProto = program.model_proto
    return proto


def _anonymise(model: onnx.ModelProto) -> None:
    """Take out stack traces, module names, paths and versions: they tell where a file was made, not what it does."""
    graph = model.graph
    model.producer_name, model.producer_version, model.domain, model.doc_string = _PRODUCER, "", "", ""
    graph.name, graph.doc_string = "policy", ""
    del model.metadata_props[:]
    del graph.metadata_props[:]
    for part in (*graph.node, *graph.value_info, *graph.input, *graph.output, *graph.initializer):
        del part.metadata_props[:]
        part.doc_string = ""
