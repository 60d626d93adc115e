"""Convolutions and transposed convolutions, and the causal one. Shapes are (N, C, …) as in
PyTorch; weights are (out, in/groups, *kernel), transposed ones (in, out/groups, *kernel).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from minigen.autograd.tensor import Tensor
from minigen.nn import init
from minigen.nn._arguments import lengths, need_channels, positive
from minigen.nn.module import Module
from minigen.nn.parameter import Parameter
from minigen.ops.convolution import conv1d, conv2d, conv_transpose1d, conv_transpose2d
from minigen.ops.creation import empty
from minigen.ops.random import Generator
from minigen.ops.shape import pad

__all__ = ["CausalConv1d", "Conv1d", "Conv2d", "ConvTranspose1d", "ConvTranspose2d"]

Size = int | Sequence[int]
_PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _Convolution(Module):
    """What all convolutions share: sizes, the weight and the bias.

    Attributes:
        weight: starts as U(-1/√fan_in, 1/√fan_in), fan_in = weight.shape[1] · kernel places.
        bias: (out_channels,), the same; or None.
    """

    dims: int
    transposed = False

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size,
        padding: Size | str,
        dilation: Size,
        groups: int,
        bias: bool,
        generator: Generator | None,
        rectify: float | None = None,
    ) -> None:
        super().__init__()
        name = type(self).__name__
        positive(name, in_channels=in_channels, out_channels=out_channels, groups=groups)
        if in_channels % groups or out_channels % groups:
            raise ValueError(
                f"{name}: groups must divide in_channels and out_channels, got {groups} for "
                f"{in_channels} and {out_channels}"
            )
        self.in_channels, self.out_channels, self.groups = in_channels, out_channels, groups
        self.rectify = rectify
        self.kernel_size = lengths(name, kernel_size, self.dims, "kernel_size", 1)
        self.stride = lengths(name, stride, self.dims, "stride", 1)
        self.dilation = lengths(name, dilation, self.dims, "dilation", 1)
        self.padding: tuple[int, ...] | str
        if isinstance(padding, str):
            if self.transposed or padding not in ("same", "valid"):
                accepted = "integers" if self.transposed else "integers, 'same' or 'valid'"
                raise ValueError(f"{name}: padding must be {accepted}, got {padding!r}")
            if padding == "same" and any(s != 1 for s in self.stride):
                raise ValueError(f"{name}: padding='same' needs stride 1, got {self.stride}")
            self.padding = padding
        else:
            self.padding = lengths(name, padding, self.dims, "padding")
        first, second = in_channels, out_channels
        if not self.transposed:
            first, second = out_channels, in_channels
        self.weight = Parameter(empty(first, second // groups, *self.kernel_size))
        self.bias = Parameter(empty(out_channels)) if bias else None
        self.reset_parameters(generator)

    def reset_parameters(self, generator: Generator | None = None) -> None:
        """Draw new initial values."""
        fan_in = self.weight.shape[1] * math.prod(self.kernel_size)
        init.fan_in_uniform_(self.weight, fan_in, generator)
        if self.bias is not None:
            init.fan_in_uniform_(self.bias, fan_in, generator)

    def _check_input(self, input: Any) -> None:
        ndims = (self.dims + 1, self.dims + 2)
        need_channels(type(self).__name__, input, self.in_channels, ndims, -self.dims - 1)

    def multiply_adds(self, args: tuple[Any, ...], output: Tensor) -> int:
        """Each place of the output (transposed: of the input) meets a kernel of each channel."""
        places = args[0].numel() if self.transposed else output.numel()
        return places * self.weight.shape[1] * math.prod(self.kernel_size)

    def extra_repr(self) -> str:
        """The sizes and options."""
        text = (
            f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, "
            f"stride={self.stride}"
        )
        if isinstance(self.padding, str) or any(self.padding):
            text += f", padding={self.padding!r}"
        if any(d != 1 for d in self.dilation):
            text += f", dilation={self.dilation}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.rectify is not None:
            text += f", rectify={self.rectify}"
        return text + (", bias=False" if self.bias is None else "")


class _Padded(_Convolution):
    """A convolution whose padding may also mirror, repeat or wrap the edge."""

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size | str = 0,
        dilation: Size = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        generator: Generator | None = None,
        rectify: float | None = None,
    ) -> None:
        if padding_mode not in _PADDING_MODES:
            raise ValueError(
                f"{type(self).__name__}: padding_mode must be one of {', '.join(_PADDING_MODES)}, "
                f"got {padding_mode!r}"
            )
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
        self.padding_mode = padding_mode

    def _edges(self, input: Tensor) -> tuple[Tensor, Any]:
        """The input with its edges grown, and the zeros that are still to be padded."""
        if self.padding_mode == "zeros":
            return input, self.padding
        return pad(input, self._widths(), mode=self.padding_mode), 0

    def _widths(self) -> list[int]:
        """(before, after) for each dimension, the last one first, as ``mg.pad`` wants them."""
        widths: list[int] = []
        for d in reversed(range(self.dims)):
            if isinstance(self.padding, str):
                total = self.dilation[d] * (self.kernel_size[d] - 1)
                total = total if self.padding == "same" else 0
                widths += [total // 2, total - total // 2]
            else:
                widths += [self.padding[d]] * 2
        return widths


class Conv1d(_Padded):
    """Cross-correlation along one dimension: (N, C, L) -> (N, O, L').

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: taps.
        stride: distance between windows.
        padding: places added on each side, or ``same``, ``valid``.
        dilation: distance between taps.
        groups: independent parts that the channels are cut into.
        bias: whether a number is added to each output channel.
        padding_mode: ``zeros``, ``reflect``, ``replicate`` or ``circular``.
        generator: where the initial weights come from.
        rectify: slope of a rectifier applied to the input first, 0 for ReLU; None for none.
    """

    dims = 1

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) -> (N, O, ⌊(L + 2p - d(k - 1) - 1)/s⌋ + 1)."""
        self._check_input(input)
        input, padding = self._edges(input)
        return conv1d(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            self.rectify,
        )


class Conv2d(_Padded):
    """Cross-correlation of images: (N, C, H, W) -> (N, O, H', W').

    The arguments are those of :class:`Conv1d`, each one number or one for (down, across).
    """

    dims = 2

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) -> (N, O, H', W'), H' = ⌊(H + 2p - d(k - 1) - 1)/s⌋ + 1."""
        self._check_input(input)
        input, padding = self._edges(input)
        return conv2d(
            input,
            self.weight,
            self.bias,
            self.stride,
            padding,
            self.dilation,
            self.groups,
            self.rectify,
        )


class _Transposed(_Convolution):
    """A transposed convolution: the gradient of a convolution, used to enlarge."""

    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Size,
        stride: Size = 1,
        padding: Size = 0,
        output_padding: Size = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Size = 1,
        generator: Generator | None = None,
    ) -> None:
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
        )
        name = type(self).__name__
        self.output_padding = lengths(name, output_padding, self.dims, "output_padding")
        for extra, s, d in zip(self.output_padding, self.stride, self.dilation):
            if extra >= max(s, d):
                raise ValueError(
                    f"{name}: output_padding must be smaller than stride or dilation, got "
                    f"{self.output_padding}"
                )

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, …) -> (N, O, …), each length (L - 1)s - 2p + d(k - 1) + output_padding + 1."""
        self._check_input(input)
        function = conv_transpose1d if self.dims == 1 else conv_transpose2d
        return function(
            input,
            self.weight,
            self.bias,
            self.stride,
            self.padding,  # type: ignore[arg-type]
            self.output_padding,
            self.groups,
            self.dilation,
        )


class ConvTranspose1d(_Transposed):
    """Transposed convolution along one dimension: (N, C, L) -> (N, O, L').

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: taps.
        stride: by how much it enlarges.
        padding: places cut off on each side.
        output_padding: places added at the end, to choose among the lengths that a strided
            convolution maps to the same one.
        groups: independent parts that the channels are cut into.
        bias: whether a number is added to each output channel.
        dilation: distance between taps.
        generator: where the initial weights come from.
    """

    dims = 1


class ConvTranspose2d(_Transposed):
    """Transposed convolution of images: (N, C, H, W) -> (N, O, H', W').

    The arguments are those of :class:`ConvTranspose1d`, each one number or one for
    (down, across).
    """

    dims = 2


class CausalConv1d(_Convolution):
    """A convolution in time that never looks ahead: (N, C, T) -> (N, O, T).

    ``out[t] = Σ_k weight[k] · x[t - (K - 1 - k)·d]``, with zeros before the beginning. The
    building block of WaveNet (van den Oord et al. 2016, section 2.1).

    Args:
        in_channels: C.
        out_channels: O.
        kernel_size: K taps.
        dilation: d, distance between taps.
        groups: independent parts that the channels are cut into.
        bias: whether a number is added to each output channel.
        mask_type: ``B`` if ``out[t]`` may see ``x[t]``; ``A`` if only what came before, as the
            first layer of a model that predicts its own input must.
        generator: where the initial weights come from.
    """

    dims = 1

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: int,
        dilation: int = 1,
        groups: int = 1,
        bias: bool = True,
        mask_type: str = "B",
        generator: Generator | None = None,
    ) -> None:
        if mask_type not in ("A", "B"):
            raise ValueError(f"CausalConv1d: mask_type must be 'A' or 'B', got {mask_type!r}")
        super().__init__(
            in_channels, out_channels, kernel_size, 1, 0, dilation, groups, bias, generator
        )
        self.mask_type = mask_type

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, T) -> (N, O, T)."""
        self._check_input(input)
        shift = int(self.mask_type == "A")
        before = (self.kernel_size[0] - 1) * self.dilation[0] + shift
        input = pad(input, (before, -shift))
        return conv1d(input, self.weight, self.bias, 1, 0, self.dilation, self.groups)

    def extra_repr(self) -> str:
        """The sizes and the mask."""
        return f"{super().extra_repr()}, mask_type={self.mask_type!r}"
