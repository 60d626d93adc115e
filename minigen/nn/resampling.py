"""Layers that change the resolution of signals and images, and learn nothing."""

from __future__ import annotations

from collections.abc import Sequence

from minigen.autograd.tensor import Tensor
from minigen.nn._arguments import lengths, positive
from minigen.nn.module import Module
from minigen.ops.interpolation import interpolate
from minigen.ops.pooling import (
    adaptive_avg_pool1d,
    adaptive_avg_pool2d,
    avg_pool1d,
    avg_pool2d,
    max_pool1d,
    max_pool2d,
    pixel_shuffle,
    pixel_unshuffle,
)

__all__ = [
    "AdaptiveAvgPool1d",
    "AdaptiveAvgPool2d",
    "AvgPool1d",
    "AvgPool2d",
    "MaxPool1d",
    "MaxPool2d",
    "PixelShuffle",
    "PixelUnshuffle",
    "Upsample",
]

Size = int | Sequence[int]


class MaxPool2d(Module):
    """The largest value of each window. ``stride`` is by default the kernel size."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = lengths("MaxPool2d", kernel_size, 2, "kernel_size", 1)
        self.stride = lengths("MaxPool2d", stride or kernel_size, 2, "stride", 1)
        self.padding = lengths("MaxPool2d", padding, 2, "padding")
        self.dilation = lengths("MaxPool2d", dilation, 2, "dilation", 1)
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return max_pool2d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window. ``stride`` is by default the kernel size."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = lengths("AvgPool2d", kernel_size, 2, "kernel_size", 1)
        self.stride = lengths("AvgPool2d", stride or kernel_size, 2, "stride", 1)
        self.padding = lengths("AvgPool2d", padding, 2, "padding")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxPool1d(Module):
    """The largest value of each window of a signal. ``stride`` is by default the kernel size."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        dilation: Size = 1,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = lengths("MaxPool1d", kernel_size, 1, "kernel_size", 1)
        self.stride = lengths("MaxPool1d", stride or kernel_size, 1, "stride", 1)
        self.padding = lengths("MaxPool1d", padding, 1, "padding")
        self.dilation = lengths("MaxPool1d", dilation, 1, "dilation", 1)
        self.ceil_mode = ceil_mode

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) -> (N, C, L')."""
        return max_pool1d(
            input, self.kernel_size, self.stride, self.padding, self.dilation, self.ceil_mode
        )

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool1d(Module):
    """The mean of each window of a signal. ``stride`` is by default the kernel size."""

    def __init__(
        self,
        kernel_size: Size,
        stride: Size | None = None,
        padding: Size = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = lengths("AvgPool1d", kernel_size, 1, "kernel_size", 1)
        self.stride = lengths("AvgPool1d", stride or kernel_size, 1, "stride", 1)
        self.padding = lengths("AvgPool1d", padding, 1, "padding")
        self.ceil_mode, self.count_include_pad = ceil_mode, count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) -> (N, C, L')."""
        window = (self.kernel_size, self.stride, self.padding)
        return avg_pool1d(input, *window, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """The window."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AdaptiveAvgPool1d(Module):
    """The mean of ``output_size`` cells, whatever the length of the signal."""

    def __init__(self, output_size: Size) -> None:
        super().__init__()
        self.output_size = lengths("AdaptiveAvgPool1d", output_size, 1, "output_size", 1)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) -> (N, C, output_size)."""
        return adaptive_avg_pool1d(input, self.output_size)

    def extra_repr(self) -> str:
        """How many cells."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool2d(Module):
    """The mean over a grid of ``output_size`` cells, whatever the size of the image.

    None for one of the two keeps that length.
    """

    def __init__(self, output_size: int | Sequence[int | None]) -> None:
        super().__init__()
        if isinstance(output_size, (tuple, list)) and len(output_size) == 2:
            for n in output_size:
                if n is not None:
                    lengths("AdaptiveAvgPool2d", n, 1, "output_size", 1)
            self.output_size = tuple(output_size)
        else:
            self.output_size = lengths("AdaptiveAvgPool2d", output_size, 2, "output_size", 1)

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, *output_size)."""
        return adaptive_avg_pool2d(input, self.output_size)

    def extra_repr(self) -> str:
        """The grid."""
        return f"output_size={self.output_size}"


class Upsample(Module):
    """Resample to ``size`` or by ``scale_factor``.

    ``mode`` is ``nearest``, ``linear`` (signals), ``bilinear`` or ``bicubic`` (images).
    """

    def __init__(
        self,
        size: Size | None = None,
        scale_factor: float | Sequence[float] | None = None,
        mode: str = "nearest",
        align_corners: bool | None = None,
    ) -> None:
        super().__init__()
        if (size is None) == (scale_factor is None):
            raise ValueError("Upsample: exactly one of size and scale_factor must be given")
        modes = ("nearest", "linear", "bilinear", "bicubic")
        if mode not in modes:
            raise ValueError(f"Upsample: mode must be one of {', '.join(modes)}, got {mode!r}")
        self.size, self.scale_factor = size, scale_factor
        self.mode, self.align_corners = mode, align_corners

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, C, H', W')."""
        return interpolate(input, self.size, self.scale_factor, self.mode, self.align_corners)

    def extra_repr(self) -> str:
        """By how much and how."""
        what = f"size={self.size}" if self.size else f"scale_factor={self.scale_factor}"
        return f"{what}, mode={self.mode!r}"


class PixelShuffle(Module):
    """Channels to pixels: (N, C·r², H, W) -> (N, C, H·r, W·r) (Shi et al. 2016)."""

    def __init__(self, upscale_factor: int) -> None:
        super().__init__()
        positive("PixelShuffle", upscale_factor=upscale_factor)
        self.upscale_factor = upscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(N, C·r², H, W) -> (N, C, H·r, W·r)."""
        return pixel_shuffle(input, self.upscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"upscale_factor={self.upscale_factor}"


class PixelUnshuffle(Module):
    """Pixels to channels: (N, C, H·r, W·r) -> (N, C·r², H, W)."""

    def __init__(self, downscale_factor: int) -> None:
        super().__init__()
        positive("PixelUnshuffle", downscale_factor=downscale_factor)
        self.downscale_factor = downscale_factor

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H·r, W·r) -> (N, C·r², H, W)."""
        return pixel_unshuffle(input, self.downscale_factor)

    def extra_repr(self) -> str:
        """The factor."""
        return f"downscale_factor={self.downscale_factor}"
