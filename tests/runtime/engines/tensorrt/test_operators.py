"""The packaged models are made of what TensorRT's ONNX parser says that it takes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs.pages import ROOT

onnx = pytest.importorskip("onnx", reason="graphs are read with the onnx package")

# Of ONNX's operators those that the parser's own table (onnx-tensorrt 10.1, docs/operators.md) says it does not take;
# that of 10.3 on JetPack 6 is no shorter. It takes opsets 9 to 20.
OPSETS = range(9, 21)
_TABLE = """
AffineGrid Bernoulli BitShift BitwiseAnd BitwiseNot BitwiseOr BitwiseXor BlackmanWindow Col2Im CenterCropPad
Compress ConcatFromSequence ConvInteger DFT Det DynamicQuantizeLinear HammingWindow HannWindow ImageDecoder
MatMulInteger MaxRoiPool MaxUnpool MelWeightMatrix Multinomial NegativeLogLikelihoodLoss Optional OptionalGetElement
OptionalHasElement QLinearConv QLinearMatMul RegexFullMatch STFT SequenceAt SequenceConstruct SequenceEmpty
SequenceErase SequenceInsert SequenceLength SequenceMap SoftmaxCrossEntropyLoss SplitToSequence StringConcat
StringNormalizer StringSplit TfIdfVectorizer Unique
"""
NOT_TAKEN = frozenset(_TABLE.split())


@pytest.mark.parametrize("path", sorted((ROOT / "configs").glob("*.onnx")), ids=lambda path: path.name)
def test_a_packaged_model_has_an_opset_operators_and_types_that_tensorrt_takes(path: Path) -> None:
    model = onnx.shape_inference.infer_shapes(onnx.load(path), strict_mode=True)
    assert {one.domain: one.version for one in model.opset_import if one.version not in OPSETS} == {}
    assert {node.domain for node in model.graph.node} <= {"", "ai.onnx"}
    assert not {node.op_type for node in model.graph.node} & NOT_TAKEN
    kinds = {one.type.tensor_type.elem_type for one in (*model.graph.value_info, *model.graph.output)}
    taken = {"FLOAT", "FLOAT16", "INT8", "INT32", "INT64", "BOOL", "UINT8"}
    assert {onnx.TensorProto.DataType.Name(kind) for kind in kinds} <= taken
