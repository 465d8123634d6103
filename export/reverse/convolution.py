"""Convolutions and their transpositions: the gradient of the one is the other, with the weights that are there.

Size arithmetic after Dumoulin and Visin, A guide to convolution arithmetic for deep learning (arXiv 1603.07285).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from export.graph.values import Node
from export.reverse.tape import Gradients, Impassable, Tape, rule


@dataclass(frozen=True, slots=True)
class Window:
    """How a window moves over the places of a tensor: one number per axis of space."""

    kernel: tuple[int, ...]
    strides: tuple[int, ...]
    dilations: tuple[int, ...]
    begin: tuple[int, ...]  # padding before the first place
    end: tuple[int, ...]  # padding behind the last place

    @property
    def reach(self) -> tuple[int, ...]:
        """Places from the first to the last that one window reads."""
        return tuple(d * (k - 1) + 1 for k, d in zip(self.kernel, self.dilations, strict=True))

    @property
    def pads(self) -> list[int]:
        return [*self.begin, *self.end]


def window(node: Node, kernel: Sequence[int], extents: Sequence[int], outputs: Sequence[int]) -> Window:
    """A node's window with automatic padding worked out.

    Args:
        node: its attributes are read.
        kernel: extents of the window.
        extents: of the places that it moves over.
        outputs: how many times it is applied along each axis.
    """
    n = len(kernel)
    strides = tuple(node.attributes.get("strides") or [1] * n)
    dilations = tuple(node.attributes.get("dilations") or [1] * n)
    pads = list(node.attributes.get("pads") or [0] * (2 * n))
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER"):
        reaches = [d * (k - 1) + 1 for k, d in zip(kernel, dilations, strict=True)]
        total = [max(0, (o - 1) * s + r - e) for o, s, r, e in zip(outputs, strides, reaches, extents, strict=True)]
        less = [t // 2 for t in total]
        more = [t - small for t, small in zip(total, less, strict=True)]
        pads = [*less, *more] if auto == "SAME_UPPER" else [*more, *less]
    elif auto == "VALID":
        pads = [0] * (2 * n)
    return Window(tuple(kernel), strides, dilations, tuple(pads[:n]), tuple(pads[n:]))


@rule("Conv")
def _conv(tape: Tape, node: Node, g: str) -> Gradients:
    x, weight = node.inputs[0], node.inputs[1]
    if weight in tape.needed or node.input(2) in tape.needed:
        raise Impassable(node, "its weights depend on the input", "name a layer behind it, or another method")
    kernel = tape.shape(weight)[2:]
    moved = window(node, kernel, tape.shape(x)[2:], tape.shape(node.outputs[0])[2:])
    group = node.attributes.get("group", 1)
    extents = tape.shape(x)[2:]
    if set(kernel) == set(moved.strides) == {1} and not any(moved.pads):
        # It does the same at every place, so that an axis of extent 1 can stay.
        return [_pointwise(tape, tape.along(g, 1, tape.shape(weight)[0]), weight, group)]
    return [transposed(tape, tape.full(g, tape.shape(node.outputs[0])), weight, moved, group=group, extents=extents)]


def transposed(tape: Tape, g: str, weight: str, moved: Window, *, group: int, extents: Sequence[int]) -> str:
    """What a convolution with these weights collects, given back to the places that it was collected from.

    Args:
        tape: where it is written.
        g: (n, channels out, *places out).
        weight: (channels out, channels in / group, *kernel).
        moved: the convolution's window.
        group: number of its groups.
        extents: of the places that it moved over.
    """
    if _is_flippable(tape, weight, moved, extents):
        flipped = _flipped(tape, weight, group)
        begin = [r - 1 - p for r, p in zip(moved.reach, moved.begin, strict=True)]
        end = [e + r - 1 - b - o for e, r, b, o in zip(extents, moved.reach, begin, tape.shape(g)[2:], strict=True)]
        return tape.emit(
            "Conv",
            g,
            flipped,
            dilations=list(moved.dilations),
            group=group,
            kernel_shape=list(moved.kernel),
            pads=[*begin, *end],
            strides=[1] * len(moved.kernel),
        )
    spans = [(o - 1) * s + r for o, s, r in zip(tape.shape(g)[2:], moved.strides, moved.reach, strict=True)]
    # What the last window left unread behind it comes back as zeros; what was padding is cut away.
    rest = [e + b - span for e, b, span in zip(extents, moved.begin, spans, strict=True)]
    return tape.emit(
        "ConvTranspose",
        g,
        weight,
        dilations=list(moved.dilations),
        group=group,
        kernel_shape=list(moved.kernel),
        output_padding=[max(0, r) for r in rest],
        pads=[*moved.begin, *(max(0, -r) for r in rest)],
        strides=list(moved.strides),
    )


def _is_flippable(tape: Tape, weight: str, moved: Window, extents: Sequence[int]) -> bool:
    """Whether a plain convolution with the weights turned around says the same; engines run that one faster."""
    if tape.known(weight) is None or set(moved.strides) != {1}:
        return False
    return all(p <= r - 1 for p, r in zip(moved.begin, moved.reach, strict=True)) and all(
        p <= r - 1 for p, r in zip(moved.end, moved.reach, strict=True)
    )


def _flipped(tape: Tape, weight: str, group: int) -> str:
    """Weights of the convolution that is the transposition of one with stride 1."""
    array = tape.known(weight)
    assert array is not None
    out, share, *kernel = array.shape
    turned = np.flip(array.reshape(group, out // group, share, *kernel), axis=tuple(range(3, array.ndim + 1)))
    turned = turned.swapaxes(1, 2).reshape(group * share, out // group, *kernel)
    return tape.graph.constant(np.ascontiguousarray(turned), "grad_weight")


def _pointwise(tape: Tape, g: str, weight: str, group: int) -> str:
    places = [1] * (len(tape.shape(weight)) - 2)
    if tape.known(weight) is not None:
        return tape.emit("Conv", g, _flipped(tape, weight, group), group=group, kernel_shape=places)
    return tape.emit("ConvTranspose", g, weight, group=group, kernel_shape=places)


@rule("ConvTranspose")
def _conv_transpose(tape: Tape, node: Node, g: str) -> Gradients:
    """The gradient of a transposed convolution is the convolution itself."""
    weight = node.inputs[1]
    if weight in tape.needed or node.input(2) in tape.needed:
        raise Impassable(node, "its weights depend on the input", "name a layer behind it, or another method")
    pads = _pads_of_transposition(tape, node)
    return [
        tape.emit(
            "Conv",
            tape.full(g, tape.shape(node.outputs[0])),
            weight,
            dilations=node.attributes.get("dilations") or [1] * (len(pads) // 2),
            group=node.attributes.get("group", 1),
            kernel_shape=list(tape.shape(weight)[2:]),
            pads=pads,
            strides=node.attributes.get("strides") or [1] * (len(pads) // 2),
        )
    ]


def _pads_of_transposition(tape: Tape, node: Node) -> list[int]:
    """Padding of the convolution that takes the result of a transposed one back to as many places as there were."""
    kernel = tape.shape(node.inputs[1])[2:]
    places, extents = tape.shape(node.inputs[0])[2:], tape.shape(node.outputs[0])[2:]
    n = len(kernel)
    strides = node.attributes.get("strides") or [1] * n
    dilations = node.attributes.get("dilations") or [1] * n
    begin = list((node.attributes.get("pads") or [0] * n)[:n])
    spans = [(p - 1) * s + d * (k - 1) + 1 for p, s, d, k in zip(places, strides, dilations, kernel, strict=True)]
    auto = node.attributes.get("auto_pad", "NOTSET")
    if auto in ("SAME_UPPER", "SAME_LOWER") or node.attributes.get("output_shape"):
        extra = node.attributes.get("output_padding") or [0] * n
        total = [span + more - extent for span, more, extent in zip(spans, extra, extents, strict=True)]
        begin = [t // 2 if auto == "SAME_UPPER" else t - t // 2 for t in total]
    # Where output padding made the result longer than what the windows wrote, its end is not read.
    return [*begin, *(max(0, span - extent - b) for span, extent, b in zip(spans, extents, begin, strict=True))]
