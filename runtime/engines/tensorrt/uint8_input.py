"""TensorRT takes a uint8 input into a Cast and nowhere else (NVIDIA/TensorRT#3985), while transposing bytes before
they are cast is what an ONNX for the CPU does, since it moves a quarter of the memory.

Moving data and casting it commute bit for bit, so the plan is built from a graph with the Cast in front. The ONNX
stays what it is; its hash names the model.
"""

from __future__ import annotations

from runtime.contracts.errors import ModelError
from runtime.engines.tensorrt.onnx_nodes import Node, read_nodes, rewrite_nodes

_MOVES = ("Transpose", "Reshape", "Unsqueeze", "Squeeze", "Flatten", "Slice", "Identity")
"""Operators whose output holds elements of their first input, unchanged."""


def casts_first(onnx: bytes, images: tuple[str, ...], where: str) -> bytes:
    """The ONNX with every image input going straight into its Cast; unchanged where they do.

    Raises ModelError where an image goes into something that TensorRT takes no uint8 into, naming the node.
    """
    nodes = list(read_nodes(onnx))
    changed: dict[int, Node] = {}
    unused: set[str] = set()
    order = list(range(len(nodes)))
    for image in images:
        chain = _chain(nodes, image, where)
        if len(chain) < 2:
            continue
        *moves, cast = chain
        # x -> move -> ... -> cast -> y   becomes   x -> cast -> move -> ... -> y, tensor for tensor.
        tensors = [image, *(nodes[index].outputs[0] for index in chain)]
        changed[cast] = nodes[cast].renamed(inputs={tensors[-2]: tensors[0]}, outputs={tensors[-1]: tensors[1]})
        for index, move in enumerate(moves):
            changed[move] = nodes[move].renamed(
                inputs={tensors[index]: tensors[index + 1]}, outputs={tensors[index + 1]: tensors[index + 2]}
            )
        unused.update(tensors[1:])
        order.remove(cast)
        order.insert(order.index(moves[0]), cast)
    if not changed:
        return onnx
    return rewrite_nodes(onnx, [changed.get(index, nodes[index]) for index in order], unused)


def _chain(nodes: list[Node], image: str, where: str) -> list[int]:
    """The nodes from an image input to its Cast, the Cast last; empty where it goes into several Casts at once."""
    chain: list[int] = []
    tensor = image
    while True:
        users = [index for index, node in enumerate(nodes) if tensor in node.inputs]
        kinds = [nodes[index].op for index in users]
        if users and not chain and all(kind == "Cast" for kind in kinds):
            return []
        movable = len(users) == 1 and nodes[users[0]].inputs[0] == tensor and kinds[0] in (*_MOVES, "Cast")
        if not movable:
            into = ", ".join(f"{nodes[index].op} {nodes[index].name!r}" for index in users) or "nothing"
            raise ModelError(
                f"model {where}: its image input {image!r} ({tensor!r}) goes as uint8 into {into}, and TensorRT takes "
                "uint8 into a Cast only; export it with a Cast to float first"
            )
        chain.append(users[0])
        if kinds[0] == "Cast":
            return chain
        tensor = nodes[users[0]].outputs[0]
