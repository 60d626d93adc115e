"""Strided transposed convolutions: one training step of a DCGAN-like generator.

100 -> 128   7×7 from 1×1          ReLU      (Radford et al. 2015, without batch norm)
128 -> 64    4×4, stride 2, pad 1  ReLU      7×7 -> 14×14
64 -> 1      4×4, stride 2, pad 1  tanh      14×14 -> 28×28
loss  mean squared error to fixed images;  Adam, learning rate 1e-3
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from benchmarks.gemm import Gemm, layer_gemms
from benchmarks.workload import Setting, Step, Workload


@dataclass(frozen=True)
class Upsampling(Workload):
    """100 → 128 → 64 → 1 channels, 1×1 → 7×7 → 14×14 → 28×28."""

    name: ClassVar[str] = "upsampling"
    title: ClassVar[str] = "transposed convolutions (DCGAN generator) training step"
    has_images: ClassVar[bool] = True
    small: ClassVar[str] = "batch=3,latent=6,channels=8"

    batch: int = 64
    latent: int = 100
    channels: int = 128

    def batches(self) -> list[list[np.ndarray]]:
        """Four batches of noise (N, latent, 1, 1) and target images (N, 1, 28, 28) in [-1, 1]."""
        generator = np.random.default_rng(0)
        return [
            [
                generator.standard_normal((self.batch, self.latent, 1, 1)).astype(np.float32),
                generator.uniform(-1, 1, (self.batch, 1, 28, 28)).astype(np.float32),
            ]
            for _ in range(4)
        ]

    def gemms(self) -> list[Gemm]:
        """Each layer maps the pixels of its input to all the taps that they touch."""
        wide, narrow = self.channels, self.channels // 2
        return [
            *layer_gemms(self.batch, self.latent, wide * 49, input_gradient=False),
            *layer_gemms(self.batch * 7 * 7, wide, narrow * 16),
            *layer_gemms(self.batch * 14 * 14, narrow, 16),
        ]

    def minigen(self, setting: Setting) -> Step:
        """The step in minigen."""
        import minigen as mg
        from benchmarks.sides.minigen_side import training_step

        wide, narrow = self.channels, self.channels // 2
        network = mg.nn.Sequential(
            mg.nn.ConvTranspose2d(self.latent, wide, 7),  # (N, 100, 1, 1) -> (N, 128, 7, 7)
            mg.nn.ReLU(),
            mg.nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1),  # -> (N, 64, 14, 14)
            mg.nn.ReLU(),
            mg.nn.ConvTranspose2d(narrow, 1, 4, stride=2, padding=1),  # -> (N, 1, 28, 28)
            mg.nn.Tanh(),
        )

        def loss_of(network: Any, noise: mg.Tensor, images: mg.Tensor) -> mg.Tensor:
            return mg.mse_loss(network(noise), images)

        return training_step(network, loss_of, self.batches(), setting)

    def torch(self, setting: Setting) -> Step:
        """The step in PyTorch."""
        import torch
        import torch.nn.functional as F

        from benchmarks.sides.torch_side import training_step

        wide, narrow = self.channels, self.channels // 2
        network = torch.nn.Sequential(
            torch.nn.ConvTranspose2d(self.latent, wide, 7),  # (N, 100, 1, 1) -> (N, 128, 7, 7)
            torch.nn.ReLU(),
            torch.nn.ConvTranspose2d(wide, narrow, 4, stride=2, padding=1),  # -> (N, 64, 14, 14)
            torch.nn.ReLU(),
            torch.nn.ConvTranspose2d(narrow, 1, 4, stride=2, padding=1),  # -> (N, 1, 28, 28)
            torch.nn.Tanh(),
        )

        def loss_of(network: Any, noise: torch.Tensor, images: torch.Tensor) -> torch.Tensor:
            return F.mse_loss(network(noise), images)

        return training_step(network, loss_of, self.batches(), setting)
