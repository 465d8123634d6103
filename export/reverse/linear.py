"""Matrix products."""

from __future__ import annotations

from export.graph.values import Node
from export.reverse.tape import Gradients, Impassable, Tape, rule


@rule("Gemm")
def _gemm(tape: Tape, node: Node, g: str) -> Gradients:
    """Y = alpha A' B' + beta C, where ' stands for a transposition that an attribute asks for."""
    a, b, c = (*node.inputs, "")[:3]
    alpha, beta = node.attributes.get("alpha", 1.0), node.attributes.get("beta", 1.0)
    across_a, across_b = bool(node.attributes.get("transA", 0)), bool(node.attributes.get("transB", 0))
    out = tape.shape(node.outputs[0])
    ga = gb = gc = None
    if a in tape.needed:
        ga = tape.scale(_times(tape, g, out, b, crossed=not across_b), alpha)
        ga = tape.crossed(ga) if across_a else ga
    if b in tape.needed:
        left = a if across_a else tape.crossed(a)
        gb = tape.scale(tape.emit("MatMul", left, tape.full(g, out)), alpha)
        gb = tape.crossed(gb) if across_b else gb
    if c in tape.needed:
        gc = tape.reduced(tape.scale(g, beta), out, tape.shape(c))
    return [ga, gb, gc]


@rule("MatMul")
def _matmul(tape: Tape, node: Node, g: str) -> Gradients:
    """Y = A B over the last two axes; a vector counts as a row on the left and as a column on the right."""
    a, b = node.inputs
    shape_a, shape_b = tape.shape(a), tape.shape(b)
    rows = (1, *shape_a) if len(shape_a) == 1 else shape_a
    columns = (*shape_b, 1) if len(shape_b) == 1 else shape_b
    lead = _lead(rows, columns)
    out = (*lead, rows[-2], columns[-1])
    g = tape.reshape(tape.full(g, tape.shape(node.outputs[0])), out)
    ga = gb = None
    if a in tape.needed:
        product = _times(tape, g, out, tape.reshape(b, columns), crossed=True)
        ga = tape.reshape(tape.reduced(product, (*lead, *rows[-2:]), rows), shape_a)
    if b in tape.needed:
        product = tape.emit("MatMul", tape.crossed(tape.reshape(a, rows)), g)
        gb = tape.reshape(tape.reduced(product, (*lead, *columns[-2:]), columns), shape_b)
    return [ga, gb]


def _lead(a: tuple[int, ...], b: tuple[int, ...]) -> tuple[int, ...]:
    import numpy as np

    return np.broadcast_shapes(a[:-2], b[:-2])


def _times(tape: Tape, g: str, shape: tuple[int, ...], matrix: str, *, crossed: bool) -> str:
    """g times a matrix, or its transposition; where g is 1 at one place, that place's row."""
    which = tape.chosen.get(g)
    if which is not None and tape.shape(g) == (1, shape[-1]) and len(tape.shape(matrix)) == 2:
        return tape.emit("Gather", tape.crossed(matrix) if crossed else matrix, which, axis=0)
    g = tape.full(g, shape)
    if len(shape) == 2 and len(tape.shape(matrix)) == 2:
        return tape.rows_times(g, matrix, crossed=crossed)
    return tape.emit("MatMul", g, tape.crossed(matrix) if crossed else matrix)


@rule("Einsum")
def _einsum(tape: Tape, node: Node, g: str) -> Gradients:
    """The gradient of a factor is the product of the gradient with the others, over the factor's own letters."""
    equation = node.attributes["equation"].replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if not arrow:
        letters = sorted({letter for letter in left if letter.isalpha()})
        right = "".join(letter for letter in letters if left.count(letter) == 1)
    if "." in equation or any(len(set(term)) != len(term) for term in (*terms, right)):
        raise Impassable(node, f"{equation!r} holds an ellipsis or a diagonal", "write it as matrix products")
    extents = {
        k: n for term, name in zip(terms, node.inputs, strict=True) for k, n in zip(term, tape.shape(name), strict=True)
    }
    g = tape.full(g, tape.shape(node.outputs[0]))
    found: list[str | None] = []
    for at, name in enumerate(node.inputs):
        if name not in tape.needed:
            found.append(None)
            continue
        others = [(t, n) for i, (t, n) in enumerate(zip(terms, node.inputs, strict=True)) if i != at]
        reached = {letter for term in (right, *(t for t, _ in others)) for letter in term}
        # A letter that no one else has was summed alone: the gradient is the same all along it.
        kept = "".join(letter for letter in terms[at] if letter in reached)
        product = tape.emit(
            "Einsum", g, *(n for _, n in others), equation=f"{','.join([right, *(t for t, _ in others)])}->{kept}"
        )
        found.append(tape.reshape(product, [extents[letter] if letter in reached else 1 for letter in terms[at]]))
    return found
