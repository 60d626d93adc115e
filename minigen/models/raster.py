"""Models that go through an image pixel by pixel: likelihood, sampling, completion.

The probability of an image is a product over its D = H·W·C numbers in raster order (row by row,
left to right, and at each pixel one colour after another):

    p(x) = ∏_d p(x_d | x_1 … x_{d−1})

A network computes all D factors in one pass, because its convolutions are blind to what comes
later; so the likelihood costs one pass. Drawing costs D steps, as each needs the values before it.
Done literally (`Naive` below) a step is a whole pass, and all but one pixel of it is thrown away.
A model's own *painter* keeps what earlier pixels computed and adds one pixel's column at a step:
one image then costs about one pass. `Naive` is the definition that it must equal.

**Completion** is the same walk, but a pixel that is known keeps its value: an unknown one is drawn
given everything before it in raster order, drawn or known. What is known further down has no
influence on it: that would take the posterior, which the factors do not give.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import Array, active, to_host
from minigen.errors import UserError
from minigen.models.pixel_heads import PixelHead, make_head

__all__ = ["Naive", "Painter", "RasterModel", "check_sizes"]


class Painter(Protocol):
    """Goes through N images in raster order, together. Everything is raw arrays.

    For every row `begin_row()`, then for every column j and colour c first `parameters(j, c)`
    and then `put(j, c, values)`.
    """

    def begin_row(self) -> None:
        """Go to the next row; the first call goes to row 0."""

    def parameters(self, j: int, c: int) -> Array:
        """What the head needs for colour c of pixel j in this row: (N, P)."""

    def put(self, j: int, c: int, values: Array) -> None:
        """Say which values, in [0, 1], the N images have there: (N,)."""


class Naive:
    """The definition: for each value of each pixel a whole forward pass."""

    def __init__(self, model: RasterModel, n: int, labels: Tensor | None) -> None:
        self.model, self.labels = model, labels
        self.row = -1
        self.x = mg.zeros(n, *model.shape, dtype=model.dtype)

    def begin_row(self) -> None:
        """Count."""
        self.row += 1

    def parameters(self, j: int, c: int) -> Array:
        """One pixel of a pass over all."""
        size = self.model.head.parameters
        out = self.model(self.x, self.labels).data  # (N, C·P, H, W)
        return out[:, c * size : (c + 1) * size, self.row, j]

    def put(self, j: int, c: int, values: Array) -> None:
        """Paint."""
        self.x.data[:, c, self.row, j] = values


class RasterModel(nn.Module):
    """The base: what follows from a network with `forward` and a painter.

    Args:
        shape: (C, H, W) of an image.
        head: one of `minigen.models.pixel_heads.HEADS`.
        values: K, how many values a colour can take; 2 for "bernoulli".
        components: bumps of the "logistic-mixture".
        classes: number of labels that the model is told; 0 for none.

    Images are (N, C, H, W) float in [0, 1]; value i of K is i/(K − 1).
    """

    def __init__(
        self,
        shape: Sequence[int],
        head: str = "bernoulli",
        values: int = 256,
        components: int = 5,
        classes: int = 0,
    ) -> None:
        super().__init__()
        if len(shape) != 3 or min(shape) < 1:
            raise ValueError(f"shape must be (C, H, W), each at least 1, got {tuple(shape)}")
        if classes < 0:
            raise ValueError(f"classes must be at least 0, got {classes}")
        self.shape = (int(shape[0]), int(shape[1]), int(shape[2]))
        self.head: PixelHead = make_head(head, values, components)
        self.classes = classes

    @abstractmethod
    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """All factors at once: images (N, C, H, W), labels (N,) int → head's (N, C·P, H, W)."""

    @abstractmethod
    def painter(self, n: int, labels: Tensor | None = None) -> Painter:
        """A painter of n images that costs about one pass in all."""

    @property
    def dtype(self) -> np.dtype:
        """Of the weights."""
        return next(iter(self.parameters())).dtype

    def log_prob(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """log p(x), or log p(x | label), in nats: (N, C, H, W), (N,) → (N,)."""
        return self.head.log_prob(self(x, labels), x)

    def loss(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """The mean negative log-likelihood in nats per image."""
        return -self.log_prob(x, labels).mean()

    def sample(
        self,
        n: int,
        given: Any = None,
        known: Any = None,
        labels: Any = None,
        generator: mg.Generator | None = None,
        cached: bool = True,
    ) -> Tensor:
        """`n` new images, or `n` completions: (n, C, H, W), values in [0, 1].

        Args:
            n: how many.
            given: images to complete, (C, H, W) for all or (n, C, H, W), on the host; NaN where a
                value is unknown.
            known: which values of `given` count, boolean, of a shape that broadcasts to
                (n, C, H, W), such as (H, W). All that are not NaN when None.
            labels: for a model with classes, one label or n of them; 0, 1, 2, … in turn when None.
            generator: where the draws come from; the default generator when None.
            cached: False for the slow definition. Both draw the same images but for rounding.

        Raises:
            UserError: one line for any of these that does not fit the model.
        """
        if type(n) is not int or n < 1:
            raise UserError(f"n must be a whole number >= 1, got {n!r}")
        chosen = self._labels(n, labels)
        kept = self._given(n, given, known)
        generator = generator or mg.default_generator()
        colors, height, width = self.shape
        # one array for all draws, so that neither the painter nor what is known shifts them
        shape = (height, width, colors, self.head.uniforms, n)
        uniforms = generator.uniform(shape, dtype=self.dtype).data
        xp = active.backend.xp
        out = xp.zeros((height, width, colors, n), dtype=self.dtype)
        with mg.no_grad():
            painter = self.painter(n, chosen) if cached else Naive(self, n, chosen)
            for i in range(height):
                painter.begin_row()
                for j in range(width):
                    for c in range(colors):
                        values = self.head.draw(painter.parameters(j, c), uniforms[i, j, c])
                        if kept is not None:
                            fixed, mask = kept
                            values = xp.where(mask[i, j, c], fixed[i, j, c], values)
                        painter.put(j, c, values)
                        out[i, j, c] = values
        images = out.transpose(3, 2, 0, 1)  # (H, W, C, n) -> (n, C, H, W)
        return Tensor(xp.ascontiguousarray(images))

    # Arguments -----------------------------------------------------------------------------------

    def _centred(self, x: Tensor) -> Tensor:
        """[0, 1] → [−1, 1], so that the zeros around the image are no value of a pixel."""
        if x.ndim != 4 or tuple(x.shape[1:]) != self.shape:
            size = "×".join(map(str, self.shape))
            raise UserError(f"images must be (N, C, H, W) with {size}, got shape {tuple(x.shape)}")
        return x * 2.0 - 1.0

    def _one_hot(self, n: int, labels: Tensor | None) -> Tensor | None:
        """The labels as rows of 0 and 1, (N, classes); checked."""
        if self.classes == 0:
            if labels is not None:
                raise UserError("labels must be None for a model without classes")
            return None
        if labels is None or labels.shape != (n,) or labels.dtype.kind not in "iu":
            got = None if labels is None else f"{labels.dtype} {tuple(labels.shape)}"
            raise UserError(f"labels must be {n} integers, one for each image, got {got}")
        # elsewhere a look costs a transfer, and a captured step must not look at all
        if active.backend.name == "numpy" and active.recorder is None and n:
            self._check_classes(labels.data)
        xp = active.backend.xp
        row = xp.arange(self.classes)[None, :]
        return Tensor((labels.data[:, None] == row).astype(self.dtype))  # (N, classes)

    def _check_classes(self, labels: np.ndarray) -> None:
        if labels.min() < 0 or labels.max() >= self.classes:
            wrong = labels.min() if labels.min() < 0 else labels.max()
            raise UserError(f"labels must be from 0 to {self.classes - 1}, got {wrong}")

    def _labels(self, n: int, labels: Any) -> Tensor | None:
        if self.classes == 0:
            if labels is not None:
                raise UserError("labels must be None for a model without classes")
            return None
        if labels is None:
            labels = np.arange(n) % self.classes
        host = _host(labels)
        if host.dtype.kind not in "iu" or host.shape not in ((), (1,), (n,)):
            raise UserError(
                f"labels must be one integer or {n}, got {host.dtype} of shape {host.shape}"
            )
        self._check_classes(host)
        return mg.tensor(np.broadcast_to(host, (n,)).astype(np.int64))

    def _given(self, n: int, given: Any, known: Any) -> tuple[Array, Array] | None:
        """The values to keep, and where: both (H, W, C, n) on the backend; None to keep nothing."""
        if given is None:
            if known is not None:
                raise UserError("known needs given: the values of the pixels that are known")
            return None
        shape = (n, *self.shape)
        host = _host(given)
        if host.dtype.kind not in "fiub" or host.shape not in (self.shape, shape):
            raise UserError(
                f"given must be images of shape {self.shape} or {shape}, got {host.dtype} of "
                f"shape {host.shape}"
            )
        host = np.broadcast_to(host.astype(np.float64), shape)
        where = ~np.isnan(host)
        if known is not None:
            chosen = _host(known)
            if chosen.dtype.kind != "b" or not _broadcasts(chosen.shape, shape):
                raise UserError(
                    f"known must be true and false, of a shape that broadcasts to {shape}, got "
                    f"{chosen.dtype} of shape {chosen.shape}"
                )
            chosen = np.broadcast_to(chosen, shape)
            if (chosen & ~where).any():
                raise UserError("given must be a number, not NaN, where known is true")
            where = chosen
        top = self.head.values - 1
        kept = np.where(where, host, 0.0)
        if (
            np.abs(kept * top - np.rint(kept * top)).max() > 1e-3
            or kept.min() < 0
            or kept.max() > 1
        ):
            raise UserError(
                f"given must hold values i/{top} with i = 0 … {top} where it is known; cut or "
                "round it first"
            )
        order = (2, 3, 1, 0)  # (n, C, H, W) -> (H, W, C, n)
        asarray = active.backend.asarray
        return (
            asarray(np.ascontiguousarray(kept.transpose(order)), self.dtype),
            asarray(np.ascontiguousarray(where.transpose(order))),
        )


def check_sizes(colors: int, **sizes: int) -> None:
    """Sizes at least 1, kernels odd, hidden divisible by the colours; ValueError names it."""
    for name, size in sizes.items():
        least, odd = 3 if name == "first_kernel" else 1, "kernel" in name
        if type(size) is not int or size < least or (odd and size % 2 == 0):
            kind = "an odd number" if odd else "a whole number"
            raise ValueError(f"{name} must be {kind} >= {least}, got {size!r}")
        if name == "hidden" and size % colors:
            raise ValueError(f"hidden must be a multiple of the {colors} colours, got {size}")


def _host(value: Any) -> np.ndarray:
    """Host data from a Tensor, an array or a list."""
    if isinstance(value, Tensor):
        return np.asarray(to_host(value.data))
    return np.asarray(value)


def _broadcasts(shape: tuple[int, ...], target: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, target) == target
    except ValueError:
        return False
