"""Masked convolution: each pixel sees only the pixels before it.

PixelCNN (van den Oord, Kalchbrenner and Kavukcuoglu 2016, "Pixel recurrent neural networks",
section 3.4) factorises an image in raster order, p(x) = Π p(xᵢ | x₁ … xᵢ₋₁), and computes all
factors at once by convolutions whose kernel is blind to what comes later::

    type A           type B
    1 1 1            1 1 1
    1 0 0            1 1 0
    0 0 0            0 0 0

Type A, for the first layer, hides the pixel itself. The later layers may use what the first
ones computed at the same place, hence type B. One A after a B, or a B in first place, leaks.

Only the taps that the mask leaves are computed.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from minigen.autograd.tensor import Tensor
from minigen.nn.conv import _Convolution
from minigen.ops.convolution import masked_conv2d
from minigen.ops.random import Generator

__all__ = ["MaskedConv2d", "autoregressive_mask"]


def autoregressive_mask(
    mask_type: str,
    kernel_size: tuple[int, int],
    out_channels: int = 1,
    in_channels: int = 1,
    colors: int = 1,
) -> np.ndarray:
    """The mask of type A or B, True where the kernel may look.

    Args:
        mask_type: ``A`` hides the pixel itself, ``B`` shows it.
        kernel_size: (kh, kw), both odd.
        out_channels, in_channels: only looked at if ``colors`` > 1.
        colors: number of colours that are predicted one after the other. The channels are cut
            into that many equal parts in order (R…, G…, B…); at the pixel itself, colour o
            sees the colours i < o (type A) or i ≤ o (type B).

    Returns:
        (kh, kw), or (out_channels, in_channels, kh, kw) if ``colors`` > 1.
    """
    if mask_type not in ("A", "B"):
        raise ValueError(f"MaskedConv2d: mask_type must be 'A' or 'B', got {mask_type!r}")
    kh, kw = kernel_size
    if kh % 2 == 0 or kw % 2 == 0:
        raise ValueError(
            f"MaskedConv2d: kernel_size must be odd for a mask of type A or B, got {kernel_size}"
        )
    raster = np.arange(kh * kw).reshape(kh, kw)
    centre = raster[kh // 2, kw // 2]
    if colors == 1:
        return raster < centre if mask_type == "A" else raster <= centre
    if colors < 1 or out_channels % colors or in_channels % colors:
        raise ValueError(
            f"MaskedConv2d: colors must divide in_channels and out_channels, got {colors} for "
            f"{in_channels} and {out_channels}"
        )
    color_out = np.arange(out_channels) * colors // out_channels
    color_in = np.arange(in_channels) * colors // in_channels
    before, after = color_in[None, :], color_out[:, None]  # (1, in), (out, 1)
    mask = np.broadcast_to(raster < centre, (out_channels, in_channels, kh, kw)).copy()
    mask[:, :, kh // 2, kw // 2] = before < after if mask_type == "A" else before <= after
    return mask


class MaskedConv2d(_Convolution):
    """A convolution of images through a mask: (N, C, H, W) -> (N, O, H', W').

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: (kh, kw) or one number.
        mask_type: ``A`` or ``B``; or
        mask: an array of 0 and 1 that broadcasts to the weight: (kh, kw), or
            (O, C/groups, kh, kw). Exactly one of the two.
        stride, padding, dilation, groups, bias: as in ``Conv2d``.
        colors: how many colours are predicted one after the other; see
            :func:`autoregressive_mask`.
        generator: where the initial weights come from.
        rectify: slope of a rectifier applied to the input first, 0 for ReLU; None for none.

    Attributes:
        weight: (O, C/groups, kh, kw). Masked entries start as 0 and get no gradient; whatever
            a loaded state puts there has no effect.
        mask: the mask as a boolean NumPy array. No part of the state.
    """

    dims = 2

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int | Sequence[int],
        stride: int | Sequence[int] = 1,
        padding: int | Sequence[int] | str = 0,
        dilation: int | Sequence[int] = 1,
        groups: int = 1,
        bias: bool = True,
        mask_type: str | None = None,
        mask: Any = None,
        colors: int = 1,
        generator: Generator | None = None,
        rectify: float | None = None,
    ) -> None:
        if (mask_type is None) == (mask is None):
            raise ValueError("MaskedConv2d: exactly one of mask_type and mask must be given")
        self._mask_of = (mask_type, mask, colors)
        super().__init__(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            dilation,
            groups,
            bias,
            generator,
            rectify,
        )

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values; masked entries are 0."""
        self.mask = self._make_mask()
        super().reset_parameters(generator)
        ones = np.broadcast_to(self.mask, self.weight.shape).astype(np.float32)
        self.weight.data *= _like(self.weight, ones)

    def _make_mask(self) -> np.ndarray:
        mask_type, given, colors = self._mask_of
        if mask_type is not None:
            if colors != 1 and self.groups != 1:
                raise ValueError(f"MaskedConv2d: colors needs groups=1, got {self.groups}")
            kernel = (self.kernel_size[0], self.kernel_size[1])
            shape = (self.out_channels, self.in_channels)
            return autoregressive_mask(mask_type, kernel, *shape, colors)
        mask = np.asarray(given)
        try:
            fits = np.broadcast_shapes(mask.shape, self.weight.shape) == self.weight.shape
        except ValueError:
            fits = False
        if mask.ndim < 2 or not fits:
            raise ValueError(
                f"MaskedConv2d: mask must broadcast to the weight {self.weight.shape}, got "
                f"shape {mask.shape}"
            )
        return mask.astype(bool)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W')."""
        self._check_input(input)
        return masked_conv2d(
            input,
            self.weight,
            self.bias,
            self.mask,
            self.stride,
            self.padding,
            self.dilation,
            self.groups,
            self.rectify,
        )

    def multiply_adds(self, args: tuple[Any, ...], output: Tensor) -> int:
        """Only the taps that the mask leaves to some channel."""
        used = self.mask.reshape(-1, *self.mask.shape[-2:]).any(axis=0)
        taps = int(np.broadcast_to(used, self.kernel_size).sum())
        return output.numel() * self.weight.shape[1] * taps

    def extra_repr(self) -> str:
        """The sizes and the mask."""
        mask_type, _, colors = self._mask_of
        text = super().extra_repr()
        text += f", mask_type={mask_type!r}" if mask_type else f", mask={self.mask.shape}"
        return text + (f", colors={colors}" if colors != 1 else "")


def _like(tensor: Tensor, host: np.ndarray) -> Any:
    from minigen.backends import active

    return active.backend.asarray(host, tensor.dtype)
