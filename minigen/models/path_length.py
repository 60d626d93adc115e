"""Path-length regularisation (Karras et al. 2020, section 3.2): equal steps in w, equal changes.

Where a generator g maps styles w to images well, a step of fixed length in w changes the image by a
fixed amount, wherever one stands and whichever way one goes: the Jacobian J_w = ∂g/∂w is a multiple
of an orthogonal matrix. The penalty asks for that in random directions y of the image,

    E (‖J_wᵀ y‖₂ − a)²,     y ~ N(0, I)                                               (equation 4)

J_wᵀ y = ∇_w ⟨g(w), y⟩ is one backward pass. The goal a is nobody's choice: it is the mean of the
lengths seen so far, and a *constant* when the penalty is differentiated. Were it not, its gradient
would take back the part of the penalty that all samples share.

As in the authors' code, y is divided by √(H·W), so that a does not depend on the size of images,
and where every layer has its w, the squared length is the mean over the layers.
"""

from __future__ import annotations

import math

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor

__all__ = ["PathLength", "path_lengths"]


def path_lengths(images: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
    """‖J_wᵀ y‖₂ of each sample, on the tape: (N,).

    Args:
        images: g(w), (N, C, H, W), computed from `styles` with the tape running.
        styles: w, (N, layers, W) or (N, W), with `requires_grad`.
        directions: y, like images; N(0, I).
    """
    y = directions * (1.0 / math.sqrt(images.shape[2] * images.shape[3]))
    (slope,) = mg.grad((images * y).sum(), [styles], create_graph=True)
    assert slope is not None  # allow_unused is False
    layers = styles.shape[1] if styles.ndim == 3 else 1
    flat = slope.reshape(len(slope), -1)  # (N, layers, W) -> (N, layers·W)
    return mg.norm(flat, dim=1) * (1.0 / math.sqrt(layers))


class PathLength(nn.Module):
    """The penalty with its goal a, which is part of the state.

    Args:
        decay: weight of the newest mean length in a, once there are 1/decay of them; until then a
            is the plain mean of all, so that it does not start from an arbitrary 0.

    Attributes:
        mean: a.
        count: how many means it has seen.
    """

    mean: Tensor
    count: Tensor

    def __init__(self, decay: float = 0.01) -> None:
        super().__init__()
        if not 0 < decay <= 1:
            raise ValueError(f"decay must be in (0, 1], got {decay}")
        self.decay = decay
        self.register_buffer("mean", mg.zeros(()))
        self.register_buffer("count", mg.zeros(()))

    def forward(self, images: Tensor, styles: Tensor, directions: Tensor) -> Tensor:
        """E (‖J_wᵀ y‖ − a)² with a brought up to date first; arguments as of `path_lengths`."""
        lengths = path_lengths(images, styles, directions)  # (N,)
        with mg.no_grad():
            self.count.copy_(self.count + 1.0)
            rate = mg.clamp(1.0 / self.count, min=self.decay)
            self.mean.copy_(self.mean + rate * (lengths.detach().mean() - self.mean))
        return mg.square(lengths - self.mean.clone()).mean()
