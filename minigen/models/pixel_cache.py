"""Masked convolutions, one pixel at a time: what a fast painter is made of.

A kernel that looks at the rows above and to the left falls into two parts:

    1 1 1      the rows above: finished before this row begins, so their share of the output is
    1 1 1      computed then, for all columns in one product (`RowsAbove`)
    1 1 .      the current row: a pixel's own small product, (N, taps·C) @ (taps·C, O)

Arrays are raw and channels-last, (N, W, C). The matrices are laid out once. So are all slices of
the buffers: a pixel then costs each layer two calls to the array library, and nothing is made anew.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from minigen import nn
from minigen.backends import Array, active

__all__ = ["CachedConvolution", "CurrentRow", "RowsAbove", "masked_weight"]


def masked_weight(layer: nn.MaskedConv2d) -> Array:
    """The weight as the layer applies it, masked entries 0: (O, C, kh, kw)."""
    weight = layer.weight.data
    mask = np.broadcast_to(layer.mask, weight.shape)
    return weight * active.backend.asarray(np.ascontiguousarray(mask), weight.dtype)


class RowsAbove:
    """The part of a convolution that reads whole rows, newest at the bottom.

    Args:
        weight: (O, C, rows, kw), kw odd.
        n, width: of the images.
    """

    def __init__(self, weight: Array, n: int, width: int) -> None:
        xp = active.backend.xp
        outputs, channels, count, across = weight.shape
        self.places = [(row, column) for row in range(count) for column in range(across)]
        matrix = weight.transpose(2, 3, 1, 0)  # (O, C, rows, kw) -> (rows, kw, C, O)
        self.matrix = xp.ascontiguousarray(matrix).reshape(-1, outputs)
        self.width, self.side = width, across // 2
        padded = (n, width + 2 * self.side, channels)
        self.rows = [xp.zeros(padded, dtype=weight.dtype) for _ in range(count)]

    def push(self, row: Array) -> None:
        """The next row is finished: (N, W, C). The oldest is forgotten."""
        oldest = self.rows.pop(0)
        oldest[:, self.side : self.side + self.width] = row
        self.rows.append(oldest)

    def product(self) -> Array:
        """Their share of the row below the newest one (or of the newest one itself): (N·W, O)."""
        xp = active.backend.xp
        windows = [self.rows[row][:, x : x + self.width] for row, x in self.places]
        joined = xp.concatenate(windows, axis=2)  # (N, W, C) each -> (N, W, rows·kw·C)
        return xp.matmul(joined.reshape(-1, joined.shape[2]), self.matrix)


class CurrentRow:
    """The part of a convolution that reads the row in which the next pixel is drawn.

    Args:
        weight: (O, C, taps): the taps up to the pixel itself, or up to the one before it.
        before: how many of the taps lie to the left of the pixel.
        n, width: of the images.
        inputs, outputs: for each colour, the channels of the input and of the output that are its
            own. Those of colour c are computed when its turn comes.

    Attributes:
        input: `input[j][c]`, (N, C_c): where the features of colour c at pixel j are written.
        above: for each colour (N·W, O_c): what the rows above and the bias contribute; whoever
            holds this object fills it when a row begins.
    """

    def __init__(
        self,
        weight: Array,
        before: int,
        n: int,
        width: int,
        inputs: list[slice],
        outputs: list[Any],
    ) -> None:
        xp = active.backend.xp
        _, channels, taps = weight.shape
        by_tap = weight.transpose(2, 1, 0)  # (O, C, taps) -> (taps, C, O)
        # pixel j lies behind `before` columns of zeros
        self.row = xp.zeros((n, before + width, channels), dtype=weight.dtype)
        flat = self.row.reshape(n, -1)  # (N, (before + W)·C)
        self.before = before
        self.input = [[self.row[:, before + j, part] for part in inputs] for j in range(width)]
        self.windows = [flat[:, j * channels : (j + taps) * channels] for j in range(width)]
        self.matrices, self.above, self.at_pixel, self.results = [], [], [], []
        for part in outputs:
            matrix = xp.ascontiguousarray(by_tap[:, :, part])  # (taps, C, O_c)
            size = matrix.shape[2]
            above = xp.zeros((n * width, size), dtype=weight.dtype)
            split = above.reshape(n, width, size)
            self.matrices.append(matrix.reshape(-1, size))
            self.above.append(above)
            self.at_pixel.append([split[:, j] for j in range(width)])
            self.results.append(xp.empty((n, size), dtype=weight.dtype))
        self.matmul, self.add = xp.matmul, xp.add

    def finished(self) -> Array:
        """The whole row, without the zeros to its left: (N, W, C)."""
        return self.row[:, self.before :]

    def at(self, j: int, c: int) -> Array:
        """Colour c's outputs at pixel j: (N, O_c), overwritten by the next call."""
        out = self.results[c]
        self.matmul(self.windows[j], self.matrices[c], out=out)
        return self.add(out, self.at_pixel[c][j], out=out)


class CachedConvolution:
    """A `MaskedConv2d` of type A or B, both parts of it.

    Args:
        layer: stride 1, padded so that the size stays.
        n, width: of the images.
        colors: how many colours are predicted one after another.
    """

    def __init__(self, layer: nn.MaskedConv2d, n: int, width: int, colors: int) -> None:
        weight = masked_weight(layer)
        middle, side = layer.kernel_size[0] // 2, layer.kernel_size[1] // 2
        self.bias = None if layer.bias is None else layer.bias.data
        # type A with one colour does not read the pixel itself at all
        taps = side + bool(np.broadcast_to(layer.mask, weight.shape)[:, :, middle, side].any())
        self.outputs = parts(layer.out_channels, colors)
        self.current = CurrentRow(
            weight[:, :, middle, :taps], side, n, width, parts(layer.in_channels, colors),
            self.outputs,
        )  # fmt: skip
        self.rows = RowsAbove(weight[:, :, :middle], n, width) if middle else None
        self.input, self.at = self.current.input, self.current.at
        for above, part in zip(self.current.above, self.outputs):
            if self.bias is not None:
                above[...] = self.bias[part]

    def begin_row(self, finished: bool) -> None:
        """Go down a row; `finished` is False for the first, before which there is none."""
        if self.rows is None:
            return
        if finished:
            self.rows.push(self.current.finished())
        product = self.rows.product()  # (N·W, O)
        if self.bias is not None:
            product += self.bias
        for above, part in zip(self.current.above, self.outputs):
            above[...] = product[:, part]


def parts(channels: int, colors: int) -> list[slice]:
    """The channels of each colour: equal parts in order, as in `nn.MaskedConv2d`."""
    size = channels // colors
    return [slice(c * size, (c + 1) * size) for c in range(colors)]
