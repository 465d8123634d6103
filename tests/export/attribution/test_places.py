"""Where a layer's cells lie: held against what changes when single pixels do."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

pytest.importorskip("onnx", reason="export needs the extra 'export'")

from export.attribution.layers import Layer, Layers
from export.session import Session
from tests.export.attribution.networks import (
    PICTURE,
    Network,
    pilot_like,
    residual_like,
    transformer_like,
)


def _seen(net: Network, layer: Layer) -> tuple[np.ndarray, np.ndarray]:
    """Which picture rows (cell row, row) and columns (cell column, column) change a cell, each by one pixel changed."""
    graph, places, image = net.graph.copy(), layer.places, net.image
    graph.outputs = [layer.tensor]
    session = Session(graph.to_bytes())

    def cells(picture: np.ndarray) -> np.ndarray:
        found = session.run({PICTURE: picture})[layer.tensor]
        if places.tokens:
            kept = found.take(range(places.first, places.first + places.rows * places.columns), places.row_axis)
            return np.moveaxis(kept, places.row_axis, 0).reshape(places.rows, places.columns, -1)
        return np.moveaxis(found, (places.row_axis, places.column_axis), (0, 1)).reshape(
            places.rows, places.columns, -1
        )

    black = np.zeros(graph.inputs[PICTURE].shape, np.uint8)
    before = cells(black)
    rows = np.zeros((places.rows, image.height), bool)
    columns = np.zeros((places.columns, image.width), bool)
    # A line of pixels at a time: one across for the rows, one down for the columns.
    for y in range(image.height):
        picture = black.copy()
        (picture[0, y] if image.layout == "NHWC" else picture[0, :, y])[...] = 255
        rows[:, y] = (cells(picture) != before).any(axis=(1, 2))
    for x in range(image.width):
        picture = black.copy()
        (picture[0, :, x] if image.layout == "NHWC" else picture[0, :, :, x])[...] = 255
        columns[:, x] = (cells(picture) != before).any(axis=(0, 2))
    return _filled(rows), _filled(columns)


def _filled(seen: np.ndarray) -> np.ndarray:
    """With the holes that a dilated window leaves."""
    from_first, to_last = np.maximum.accumulate(seen, axis=1), np.maximum.accumulate(seen[:, ::-1], axis=1)[:, ::-1]
    filled: np.ndarray = from_first & to_last
    return filled


def _told(count: int, origin: float, stride: float, field: float, extent: int) -> np.ndarray:
    """Which of `extent` pixels each cell sees by the manifest's figures."""
    centres = origin + stride * np.arange(count)
    return np.abs(np.arange(extent) - centres[:, None]) <= (field - 1) / 2


def _assert_exact(net: Network, layer: Layer) -> None:
    rows, columns = _seen(net, layer)
    p = layer.places
    np.testing.assert_array_equal(rows, _told(p.rows, p.origin_y_px, p.stride_y_px, p.field_y_px, net.image.height))
    np.testing.assert_array_equal(
        columns, _told(p.columns, p.origin_x_px, p.stride_x_px, p.field_x_px, net.image.width)
    )


def _plain() -> Network:
    return pilot_like(1, positive=True)


def _residual() -> Network:
    return residual_like(2, positive=True)


def _dilated() -> Network:
    net = Network(33, 50, 3, positive=True)
    net.conv(4, 2, 1, dilation=3)
    net.conv(4, 3, 2, pad=1)
    net.pool_all()
    net.dense(1)
    net.done()
    return net


def _padded_apart() -> Network:
    net = Network(32, 48, 4, positive=True)
    net.op("Pad", np.array([0, 0, 2, 1, 0, 0, 1, 0], np.int64))
    net.conv(4, 4, 2)
    net.op("AveragePool", kernel_shape=[2, 2], strides=[2, 2])
    net.flatten()
    net.dense(1)
    net.done()
    return net


def _space_to_depth() -> Network:
    """As a detector begins: every second pixel, four times, beside each other; then the same by Reshape."""
    net = Network(32, 48, 5, positive=True)
    whole, parts = net.at, []
    for y, x in ((0, 0), (1, 0), (0, 1), (1, 1)):
        net.at = whole
        starts, ends, axes, steps = (np.array(each, np.int64) for each in ((y, x), (32, 48), (2, 3), (2, 2)))
        parts.append(net.op("Slice", starts, ends, axes, steps))
    net.at = net.graph.emit("Concat", *parts, axis=1)
    net.conv(4, 3, pad=1)
    net.op("Reshape", np.array([1, 4, 8, 2, 12, 2], np.int64))
    net.op("Transpose", perm=[0, 1, 3, 5, 2, 4])
    net.op("Reshape", np.array([1, 16, 8, 12], np.int64))
    net.op("SpaceToDepth", blocksize=2)
    net.conv(6, 1)
    net.pool_all()
    net.dense(1)
    net.done()
    return net


def _gated() -> Network:
    """A gate that sees the whole picture, upon a map whose cells do not."""
    net = Network(32, 48, 6)
    net.conv(6, 3, 4)
    before = net.at
    net.op("GlobalAveragePool")
    net.conv(6, 1)
    net.op("Sigmoid")
    net.op("Mul", before)
    net.pool_all()
    net.dense(1)
    net.done()
    return net


def _upsampled() -> Network:
    net = Network(32, 48, 7, positive=True)
    net.conv(4, 4, 4)
    net.op("ConvTranspose", np.abs(net.rng.normal(size=(4, 3, 2, 2))).astype(np.float32), strides=[2, 2])
    net.pool_all()
    net.dense(1)
    net.done()
    return net


@pytest.mark.parametrize("made", [_plain, _residual, _dilated, _padded_apart, _space_to_depth])
def test_every_layer_s_cells_see_the_pixels_that_its_places_say(made: Callable[[], Network]) -> None:
    net = made()
    layers = Layers(net.graph, net.image, "steering").gates()
    assert len(layers) >= 2
    for layer in layers[-6:]:
        _assert_exact(net, layer)


def test_tokens_lie_where_their_patches_do_and_a_class_token_nowhere() -> None:
    for class_token in (False, True):
        net, _ = transformer_like(8, class_token)
        p = Layers(net.graph, net.image, "steering").named("norm").places
        assert (p.rows, p.columns, p.first, p.tokens) == (3, 5, int(class_token), True)
        assert (p.origin_y_px, p.origin_x_px, p.stride_y_px, p.stride_x_px) == (3.5, 3.5, 8.0, 8.0)
        assert (p.field_y_px, p.field_x_px) == (8.0, 8.0)
        assert "rest of the picture" in p.note
    net, _ = transformer_like(8, class_token=True)
    embedded = next(each for each in Layers(net.graph, net.image, "steering").gates() if each.places.tokens)
    assert embedded.places.first == 1
    assert embedded.places.note == ""
    _assert_exact(net, embedded)


def test_a_gate_over_the_whole_picture_takes_no_cell_its_place() -> None:
    net = _gated()
    p = Layers(net.graph, net.image, "steering").default().places
    assert (p.rows, p.columns, p.origin_y_px, p.stride_y_px, p.field_y_px) == (8, 12, 1.0, 4.0, 3.0)
    assert "rest of the picture" in p.note


def test_cells_that_were_upsampled_in_pairs_share_what_they_see() -> None:
    net = _upsampled()
    layer = Layers(net.graph, net.image, "steering").gates()[-1]
    p = layer.places
    assert (p.rows, p.columns) == (16, 24)
    assert (p.origin_y_px, p.stride_y_px, p.field_y_px) == (0.5, 2.0, 6.0)
    rows, columns = _seen(net, layer)
    told = _told(p.rows, p.origin_y_px, p.stride_y_px, p.field_y_px, net.image.height)
    assert (told | ~rows).all()
    assert (_told(p.columns, p.origin_x_px, p.stride_x_px, p.field_x_px, net.image.width) | ~columns).all()


def test_a_layer_behind_a_fully_connected_one_gets_an_even_tiling_and_says_so() -> None:
    net = Network(32, 48, 9)
    net.conv(4, 4, 4)
    net.flatten()
    net.dense(2 * 4 * 6)
    mixed = net.op("Reshape", np.array([1, 2, 4, 6], np.int64))
    net.conv(2, 3, pad=1)
    net.pool_all()
    net.dense(1)
    net.done()
    layers = Layers(net.graph, net.image, "steering")
    p = layers.named(mixed).places
    assert (p.rows, p.columns, p.origin_y_px, p.origin_x_px) == (4, 6, 3.5, 3.5)
    assert (p.stride_y_px, p.stride_x_px, p.field_y_px, p.field_x_px) == (8.0, 8.0, 8.0, 8.0)
    assert "even tiling" in p.note
    assert layers.default().places.rows == 8  # the convolution before it, whose places are known


def test_a_layer_whose_rows_the_target_does_not_look_at_is_not_chosen() -> None:
    net = Network(32, 48, 10)
    whole = net.conv(4, 4, 4)
    starts, ends, axes = (np.array([each], np.int64) for each in (7, 8, 2))
    row = net.op("Slice", starts, ends, axes)
    net.pool_all()
    net.dense(1)
    net.done()
    layers = Layers(net.graph, net.image, "steering")
    assert [layer.tensor for layer in layers.gates()][-2:] == [whole, row]
    layer = layers.default()
    assert (layer.tensor, layer.places.rows, layer.places.columns) == (row, 1, 12)
    assert (layer.places.origin_y_px, layer.places.field_y_px) == (29.5, 4.0)
