"""A transposed convolution of stride 1 is a convolution with the kernel turned around, which engines compute faster."""

from __future__ import annotations

import numpy as np

from export.fold.wiring import Rule, Wiring
from export.graph.values import Node


def flipped(wiring: Wiring, node: Node) -> bool:
    """ConvTranspose with constant weights and stride 1 as Conv (Dumoulin and Visin, arXiv 1603.07285, section 4)."""
    weight = wiring.known(node.inputs[1]) if node.op == "ConvTranspose" and not node.domain else None
    if weight is None:
        return False
    attributes, n = node.attributes, weight.ndim - 2
    kernel = weight.shape[2:]
    strides = attributes.get("strides") or [1] * n
    dilations = attributes.get("dilations") or [1] * n
    explicit = attributes.get("auto_pad", "NOTSET") == "NOTSET" and not attributes.get("output_shape")
    if any(stride != 1 for stride in strides) or not explicit:
        return False
    pads = attributes.get("pads") or [0] * (2 * n)
    more = attributes.get("output_padding") or [0] * n
    reach = [d * (k - 1) for k, d in zip(kernel, dilations, strict=True)]
    begin = [r - p for r, p in zip(reach, pads[:n], strict=True)]
    end = [r - p + m for r, p, m in zip(reach, pads[n:], more, strict=True)]
    if min(*begin, *end) < 0:
        return False
    group = attributes.get("group", 1)
    inputs, share = weight.shape[:2]
    turned = np.flip(weight.reshape(group, inputs // group, share, *kernel), axis=tuple(range(3, n + 3)))
    turned = turned.swapaxes(1, 2).reshape(group * share, inputs // group, *kernel)
    made = wiring.graph.emit(
        "Conv",
        node.inputs[0],
        wiring.constant(turned, node.inputs[1], f"{node.inputs[1]}_turned"),
        *node.inputs[2:],
        dilations=list(dilations),
        group=group,
        kernel_shape=list(kernel),
        pads=[*begin, *end],
        strides=[1] * n,
    )
    wiring.substitute(node.outputs[0], made)
    return True


RULES: tuple[Rule, ...] = (flipped,)
