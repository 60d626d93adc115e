"""The dense generative adversarial network (Goodfellow et al. 2014), for images and for points.

**The model.** Noise goes through a stack of matrices, each but the last followed by LeakyReLU, and
comes out as an image; the discriminator is the same stack turned round, with one number at its end:

    G:  z ~ N(0, I)  100 → 256 → 512 → 1024 → 784, tanh         pixels in [−1, 1]
    D:  x            784 → 1024 → 512 → 256 → 1                 the logit of "real"

LeakyReLU(x) = max(x, 0.2x) lets a gradient through on both sides of 0: all that G ever learns
arrives through D, and a dead unit there is a direction in which G is blind. There is no sigmoid at
the end of D: the losses of `minigen/models/adversarial.py` take logits.

For points the last layer of G is linear, since the plane has no edge.

**With classes** (Mirza & Osindero 2014, "Conditional generative adversarial nets"): each network
reads a learned row of numbers for the label beside its input, and D judges the *pair*: a perfect 7
with the label 3 is a fake.

The recipe, with the numbers reached, is `minigen/recipes/gan.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor

__all__ = ["DenseDiscriminator", "DenseGenerator"]

SLOPE = 0.2  # of LeakyReLU


class DenseGenerator(nn.Module):
    """Noise (N, latent), and labels (N,) if there are classes → samples (N, *shape).

    Args:
        latent: length of z.
        shape: of one sample: (C, H, W), or (D,) for points.
        hidden: widths of the layers between.
        classes: how many labels there are; 0 for none.
        bounded: tanh at the end, for what lies in [−1, 1].
    """

    def __init__(
        self,
        latent: int = 100,
        shape: Sequence[int] = (1, 28, 28),
        hidden: Sequence[int] = (256, 512, 1024),
        classes: int = 0,
        bounded: bool = True,
    ) -> None:
        super().__init__()
        self.latent, self.shape, self.bounded = latent, tuple(shape), bounded
        self.labels = nn.Embedding(classes, classes) if classes else None
        self.layers = _layers([latent + classes, *hidden, math.prod(shape)])

    def forward(self, z: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, latent), (N,) → (N, *shape)."""
        x = self.layers(_beside(z, labels, self.labels))  # (N, latent + classes) -> (N, D)
        x = mg.tanh(x) if self.bounded else x
        return x.reshape(len(z), *self.shape)  # (N, D) -> (N, *shape)


class DenseDiscriminator(nn.Module):
    """Samples (N, *shape), and labels (N,) if there are classes → logits (N,).

    Args:
        shape: of one sample.
        hidden: widths of the layers; the mirrored generator's.
        classes: how many labels there are; 0 for none.
        dropout: share of each hidden layer that is switched off in training.
        spectral: divide every matrix by its largest singular value (Miyato et al. 2018).
    """

    def __init__(
        self,
        shape: Sequence[int] = (1, 28, 28),
        hidden: Sequence[int] = (1024, 512, 256),
        classes: int = 0,
        dropout: float = 0.0,
        spectral: bool = False,
    ) -> None:
        super().__init__()
        self.labels = nn.Embedding(classes, classes) if classes else None
        self.layers = _layers([math.prod(shape) + classes, *hidden, 1], dropout)
        if spectral:
            for layer in self.layers.children():
                if isinstance(layer, nn.Linear):
                    nn.spectral_norm(layer)

    def forward(self, x: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, *shape), (N,) → (N,)."""
        flat = x.reshape(len(x), -1)  # (N, *shape) -> (N, D)
        return self.layers(_beside(flat, labels, self.labels)).reshape(-1)  # (N, 1) -> (N,)


def _beside(x: Tensor, labels: Tensor | None, table: nn.Embedding | None) -> Tensor:
    """(N, D), (N,) → (N, D + classes): the label's row to the right of each sample."""
    if table is None:
        return x
    if labels is None:
        raise ValueError(f"labels must be given: the network has {table.num_embeddings} classes")
    return mg.cat([x, table(labels)], dim=1)


def _layers(sizes: Sequence[int], dropout: float = 0.0) -> nn.Sequential:
    """Linear, LeakyReLU, Linear, …, Linear through the given widths."""
    if min(sizes) < 1:
        raise ValueError(f"widths must be at least 1 everywhere, got {tuple(sizes)}")
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.LeakyReLU(SLOPE)]
        if dropout:
            layers.append(nn.Dropout(dropout))
    end = 2 if dropout else 1
    return nn.Sequential(*layers[:-end])
