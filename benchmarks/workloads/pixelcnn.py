"""PixelCNN on binary images: one training step (van den Oord et al. 2016a, figure 5 and table 1).

    7×7 convolution, mask A, 1 -> 64
    five residual blocks  x + (ReLU, 1×1, 64 -> 32, ReLU, 3×3 mask B, 32 -> 32, ReLU, 1×1, 32 -> 64)
    ReLU, 1×1, 64 -> 64, ReLU, 1×1, 64 -> 1 logit a pixel
    loss  binary cross-entropy, mean over pixels;  Adam, learning rate 1e-3

PyTorch has no masked convolution: its weight is multiplied by the mask in every step, as everybody
writes it, and the taps behind the mask are computed all the same. So does JAX's ``lax``
convolution; its ``products`` leave them out. The floor counts only the taps
that the mask leaves: 24 of 49 (A) and 5 of 9 (B).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, layer_gemms
from benchmarks.workload import Setting, Step, Workload


def taps(kernel: int, kind: str) -> int:
    """Kernel positions that a mask leaves: all before the centre, type B also the centre."""
    return kernel * kernel // 2 + (kind == "B")


@dataclass(frozen=True)
class PixelCnn(Workload):
    """7×7 A, residual blocks with a 3×3 B in the middle, two 1×1."""

    name: ClassVar[str] = "pixelcnn"
    title: ClassVar[str] = "masked convolutions (PixelCNN) training step"
    has_images: ClassVar[bool] = True
    small: ClassVar[str] = "batch=2,size=7,channels=8,blocks=2"

    batch: int = 32
    size: int = 28
    channels: int = 64
    blocks: int = 5

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of binary images, (N, 1, size, size), a fifth of the pixels on."""
        generator = np.random.default_rng(0)
        shape = (self.batch, 1, self.size, self.size)
        return [[(generator.random(shape) < 0.2).astype(np.float32)] for _ in range(4)]

    def gemms(self) -> list[Gemm]:
        """Every convolution as im2col rows times a matrix, with the taps of its mask only."""
        rows, wide, narrow = self.batch * self.size**2, self.channels, self.channels // 2
        products = layer_gemms(rows, taps(7, "A"), wide, input_gradient=False)
        for _ in range(self.blocks):
            products += layer_gemms(rows, wide, narrow)
            products += layer_gemms(rows, narrow * taps(3, "B"), narrow)
            products += layer_gemms(rows, narrow, wide)
        return products + layer_gemms(rows, wide, wide) + layer_gemms(rows, wide, 1)

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        import minigen as mg
        from benchmarks.sides.minigen_side import training_step

        class Block(mg.nn.Module):
            def __init__(self, wide: int) -> None:
                super().__init__()
                narrow = wide // 2
                self.reduce = mg.nn.Conv2d(wide, narrow, 1, rectify=0.0)  # a ReLU before each
                self.masked = mg.nn.MaskedConv2d(
                    narrow, narrow, 3, padding=1, mask_type="B", rectify=0.0
                )
                self.widen = mg.nn.Conv2d(narrow, wide, 1, rectify=0.0)

            def forward(self, x: mg.Tensor) -> mg.Tensor:
                h = self.masked(self.reduce(x))  # (N, C, H, W) -> (N, C/2, H, W)
                return x + self.widen(h)  # (N, C/2, H, W) -> (N, C, H, W)

        class Network(mg.nn.Module):
            def __init__(self, wide: int, blocks: int) -> None:
                super().__init__()
                self.first = mg.nn.MaskedConv2d(1, wide, 7, padding=3, mask_type="A")
                self.blocks = mg.nn.Sequential(*[Block(wide) for _ in range(blocks)])
                self.last = mg.nn.Conv2d(wide, wide, 1, rectify=0.0)
                self.logits = mg.nn.Conv2d(wide, 1, 1, rectify=0.0)

            def forward(self, x: mg.Tensor) -> mg.Tensor:
                h = self.blocks(self.first(x))
                return self.logits(self.last(h))  # (N, C, H, W) -> (N, 1, H, W)

        def loss_of(network: Any, x: mg.Tensor) -> mg.Tensor:
            return mg.binary_cross_entropy_with_logits(network(x), x)

        network = Network(self.channels, self.blocks)
        return training_step(network, loss_of, self.batches(), setting)

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch
        import torch.nn.functional as F

        from benchmarks.sides.torch_side import training_step

        class MaskedConv2d(torch.nn.Conv2d):
            mask: torch.Tensor

            def __init__(self, inputs: int, outputs: int, kernel: int, kind: str) -> None:
                super().__init__(inputs, outputs, kernel, padding=kernel // 2)
                mask = torch.zeros(kernel * kernel)
                mask[: taps(kernel, kind)] = 1
                self.register_buffer("mask", mask.view(1, 1, kernel, kernel))

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                return self._conv_forward(x, self.weight * self.mask, self.bias)

        class Block(torch.nn.Module):
            def __init__(self, wide: int) -> None:
                super().__init__()
                narrow = wide // 2
                self.reduce = torch.nn.Conv2d(wide, narrow, 1)
                self.masked = MaskedConv2d(narrow, narrow, 3, "B")
                self.widen = torch.nn.Conv2d(narrow, wide, 1)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                h = self.reduce(F.relu(x))  # (N, C, H, W) -> (N, C/2, H, W)
                h = self.masked(F.relu(h))
                return x + self.widen(F.relu(h))  # (N, C/2, H, W) -> (N, C, H, W)

        class Network(torch.nn.Module):
            def __init__(self, wide: int, blocks: int) -> None:
                super().__init__()
                self.first = MaskedConv2d(1, wide, 7, "A")
                self.blocks = torch.nn.Sequential(*[Block(wide) for _ in range(blocks)])
                self.last = torch.nn.Conv2d(wide, wide, 1)
                self.logits = torch.nn.Conv2d(wide, 1, 1)

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                h = self.last(F.relu(self.blocks(self.first(x))))
                return self.logits(F.relu(h))  # (N, C, H, W) -> (N, 1, H, W)

        def loss_of(network: Any, x: torch.Tensor) -> torch.Tensor:
            return F.binary_cross_entropy_with_logits(network(x), x)

        network = Network(self.channels, self.blocks)
        return training_step(network, loss_of, self.batches(), setting)

    def jax(self, setting: Setting) -> Step:
        """The step in JAX."""
        import jax

        from benchmarks.sides import jax_side as side

        how = setting.get("convolution", "lax")
        wide, narrow = self.channels, self.channels // 2
        # name -> (in, out, side, taps that the mask leaves)
        layers: dict[str, tuple[int, int, int, int | None]] = {"first": (1, wide, 7, taps(7, "A"))}
        for number in range(self.blocks):
            layers[f"blocks.{number}.reduce"] = (wide, narrow, 1, None)
            layers[f"blocks.{number}.masked"] = (narrow, narrow, 3, taps(3, "B"))
            layers[f"blocks.{number}.widen"] = (narrow, wide, 1, None)
        layers |= {"last": (wide, wide, 1, None), "logits": (wide, 1, 1, None)}

        def layer(parameters: side.Parameters, name: str, x: jax.Array) -> jax.Array:
            _, _, kernel, left = layers[name]
            weight, bias = parameters[f"{name}.weight"], parameters[f"{name}.bias"]
            return side.convolve(x, weight, how, 1, kernel // 2, left) + bias

        def loss_of(parameters: side.Parameters, x: jax.Array) -> jax.Array:
            h = layer(parameters, "first", x)  # (N, H, W, 1) -> (N, H, W, C)
            for number in range(self.blocks):
                inner = h
                for name in ("reduce", "masked", "widen"):
                    inner = layer(parameters, f"blocks.{number}.{name}", jax.nn.relu(inner))
                h = h + inner
            h = layer(parameters, "last", jax.nn.relu(h))
            logits = layer(parameters, "logits", jax.nn.relu(h))  # (N, H, W, 1)
            return (jax.nn.softplus(logits) - x * logits).mean()

        parameters: side.Parameters = {}
        for name, (inputs, outputs, kernel, _) in layers.items():
            weight = side.kernel(f"{name}.weight", inputs, outputs, kernel)
            parameters[f"{name}.weight"] = weight
            parameters[f"{name}.bias"] = side.vector(f"{name}.bias", outputs)
        batches = [[x.transpose(0, 2, 3, 1).copy() for x in batch] for batch in self.batches()]
        return side.training_step(parameters, loss_of, batches, setting)
