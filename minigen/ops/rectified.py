"""A convolution that rectifies its input: ReLU and convolution as one op.

Networks from residual blocks to GANs run ReLU (or leaky ReLU) and a convolution in turn. As two
ops they write the rectified picture to memory and read it again, and keep it for the way back. As
one op the picture is rectified where it is read, piece by piece, and so is its gradient::

    y   = conv(r(x), w) + bias          r(x) = max(x, 0) + slope · min(x, 0)
    g_w = Σ r(x) · g,   g_bias = Σ g    (one pass over g)
    g_x = convᵀ(g, w) · r'(x)           r'(x) = 1 where x > 0, else slope

Only x is kept; the products of ``_windows.py`` rectify the piece that they are about to read. The
reference says the same in plain ops; it is replayed for second derivatives.
"""

from __future__ import annotations

from typing import Any

from minigen.autograd.fused import fused
from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.ops._triad import Geometry, products, transposed, weight_gradient
from minigen.ops._windows import channels_first, channels_last


def _reference(
    x: Tensor, w: Tensor, bias: Tensor | None = None, *, how: Geometry, slope: float
) -> Tensor:
    """A rectifier, then a convolution."""
    y = functions.leaky_relu(x, slope=slope) if slope else functions.relu(x)
    return functions.convolve(y, w, bias, how=how)


@fused(reference=_reference, name="convolve_rectified")
def rectified_convolution(b, x, w, bias=None, *, how, slope):
    """(N, C, H, W), (O, C, kh, kw), (O,) or None -> (N, O, H', W'); no groups."""
    source = channels_last(b, x)
    return channels_first(products(b, source, w, bias, how, slope)), (source,)


@rectified_convolution.backward
def _rectified_backward(
    b: Any, g: Any, inputs: Any, saved: Any, needs: Any, *, how: Geometry, slope: float
) -> list[Any]:
    (x, w), (source,) = inputs[:2], saved
    gradients: list[Any] = [None] * len(inputs)
    if any(needs[1:]):
        with_bias = len(inputs) > 2 and needs[2]
        grad = channels_last(b, g)
        pair = weight_gradient(b, source, grad, w.shape[2:], how, slope, with_bias)
        gradients[1:] = pair[: len(inputs) - 1]
    if needs[0]:
        gradients[0] = channels_first(transposed(b, g, w, x.shape[2:], how, source, slope))
    return gradients
