"""RealNVP in the plane: one training step (Dinh et al. 2017).

four affine couplings, the halves in turn; conditioner 1 - 64 - 64 - 2, ReLU between
z_b = x_b · exp(s) + t,  s = 2·tanh(r/2)                   (t, r) from the conditioner
loss  -log N(z; 0, I) - Σ s, mean over the batch, in nats;  Adam, learning rate 1e-3
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, layer_gemms
from benchmarks.workload import Setting, Step, Workload

LIMIT = 2.0


@dataclass(frozen=True)
class RealNvp(Workload):
    """Two numbers a row, ``couplings`` couplings."""

    name: ClassVar[str] = "realnvp"
    title: ClassVar[str] = "RealNVP in the plane, training step"
    small: ClassVar[str] = "batch=8,hidden=8,couplings=2"

    batch: int = 64
    hidden: int = 64
    couplings: int = 4

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of points (N, 2)."""
        generator = np.random.default_rng(0)
        return [[generator.standard_normal((self.batch, 2)).astype(np.float32)] for _ in range(4)]

    def gemms(self) -> list[Gemm]:
        """Of all conditioners; the first one's input needs no gradient."""
        sizes = [(1, self.hidden), (self.hidden, self.hidden), (self.hidden, 2)]
        return [
            product
            for coupling in range(self.couplings)
            for index, (inputs, outputs) in enumerate(sizes)
            for product in layer_gemms(
                self.batch, inputs, outputs, input_gradient=coupling + index > 0
            )
        ]

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        import minigen as mg
        from benchmarks.sides.minigen_side import training_step
        from minigen.models.realnvp import RealNVP

        def loss_of(flow: Any, x: mg.Tensor) -> mg.Tensor:
            return -flow.log_prob(x).mean()

        flow = RealNVP(2, self.couplings, (self.hidden, self.hidden), actnorm=False)
        return training_step(flow, loss_of, self.batches(), setting)

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch

        from benchmarks.sides.torch_side import training_step

        class Coupling(torch.nn.Module):
            def __init__(self, hidden: int, swap: bool) -> None:
                super().__init__()
                self.swap = swap
                self.conditioner = torch.nn.Sequential(
                    torch.nn.Linear(1, hidden),
                    torch.nn.ReLU(),
                    torch.nn.Linear(hidden, hidden),
                    torch.nn.ReLU(),
                    torch.nn.Linear(hidden, 2),
                )

            def forward(
                self, kept: torch.Tensor, moved: torch.Tensor
            ) -> tuple[torch.Tensor, torch.Tensor]:
                shift, raw = self.conditioner(kept).chunk(2, dim=1)  # (N, 2) -> (N, 1) twice
                scale = LIMIT * torch.tanh(raw / LIMIT)
                return torch.addcmul(shift, moved, scale.exp()), scale

        class Network(torch.nn.Module):
            def __init__(self, couplings: int, hidden: int) -> None:
                super().__init__()
                self.flow = torch.nn.ModuleList(
                    Coupling(hidden, swap=k % 2 == 1) for k in range(couplings)
                )

            def forward(self, x: torch.Tensor) -> torch.Tensor:
                a, b = x.chunk(2, dim=1)  # (N, 2) -> (N, 1) twice
                scales = []
                for coupling in self.flow:
                    if coupling.swap:
                        a, scale = coupling(b, a)
                    else:
                        b, scale = coupling(a, b)
                    scales.append(scale)
                squares = 0.5 * (a * a + b * b)
                return (squares - sum(scales)).mean() + math.log(2 * math.pi)

        def loss_of(network: Any, x: torch.Tensor) -> torch.Tensor:
            return network(x)

        network = Network(self.couplings, self.hidden)
        return training_step(network, loss_of, self.batches(), setting)

    def jax(self, setting: Setting) -> Step:
        """The step in JAX."""
        import jax
        import jax.numpy as jnp

        from benchmarks.sides import jax_side as side

        def loss_of(parameters: side.Parameters, x: jax.Array) -> jax.Array:
            kept, moved = x[:, :1], x[:, 1:]  # (N, 2) -> (N, 1) twice
            volume = jnp.zeros_like(kept)
            for coupling in range(self.couplings):
                name = f"flow.{coupling}.conditioner."
                said = side.chain(parameters, name, 3, kept, jax.nn.relu)  # (N, 1) -> (N, 2)
                scale = LIMIT * jnp.tanh(said[:, 1:] / LIMIT)
                volume = volume + scale
                kept, moved = moved * jnp.exp(scale) + said[:, :1], kept
            squares = 0.5 * (kept * kept + moved * moved)
            return (squares - volume).mean() + math.log(2 * math.pi)

        parameters: side.Parameters = {}
        for coupling in range(self.couplings):
            name = f"flow.{coupling}.conditioner."
            parameters |= side.dense_layers(name, [1, self.hidden, self.hidden, 2])
        return side.training_step(parameters, loss_of, self.batches(), setting)
