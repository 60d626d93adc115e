"""RealNVP (Dinh, Sohl-Dickstein & Bengio 2017, "Density estimation using Real NVP"), for vectors.

**The model.** A bijection f turns data x into noise z = f(x) of the same dimension D, and the noise
is standard normal. The density of the data then follows exactly from the *change of variables*
(equation 2 of the paper):

    log p(x) = log N(f(x); 0, I) + log |det ∂f(x)/∂x|

The second term counts volume: where f stretches a small cube of data to twice its size, the same
probability lies more thinly in the noise, so the data were twice as dense there.

**Directions.** Data → noise is `forward` (training, likelihood), noise → data is `inverse`
(sampling). Both are exact and cost the same, and log_det is that of the direction taken.

**The difficulty.** A determinant costs D³ in general, and most networks cannot be undone.

**The way out** is a map whose Jacobian is triangular. Cut x into halves (a, b); leave a alone, and
let a network of any kind look at a and say how b is stretched and shifted (equations 7 and 8):

    z_a = a                                             ∂z/∂x = ⎡ I        0           ⎤
    z_b = b ⊙ exp(s(a)) + t(a)                                  ⎣ ∂z_b/∂a  diag(exp s)  ⎦

The determinant of a triangular matrix is the product of its diagonal, so log |det| = ∑_i s_i(a):
no matter what is in the corner ∂z_b/∂a, the networks s and t are never differentiated for it and
never inverted. As a is still there, b = (z_b − t(a)) ⊙ exp(−s(a)).

**Alternating halves.** One coupling leaves a as it was. The next one takes b to say what becomes of
a. Without that exchange half of the coordinates would reach the noise unchanged, and the model
would believe that they are Gaussian.

**NICE** (Dinh, Krueger & Bengio 2015) is the special case s = 0, `coupling="additive"`: every
coupling preserves volume, and one diagonal stretch at the end (section 3.3 there) is all that
changes it.

**ActNorm** (Kingma & Dhariwal 2018, section 3.1), a learned scale and shift of each coordinate that
starts with the statistics of the first batch, stands before every coupling (the paper has batch
normalisation in its place, whose likelihood of a row depends on the rest of the batch).

**Units.** Nats per row: sums over coordinates, means over rows. A density has the data's units, so
nats of data scaled otherwise are not comparable: log p shifts by the logarithm of the scale.

The recipe that trains it, with the numbers reached, is `minigen/recipes/realnvp.py`.
"""

from __future__ import annotations

import math

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor

__all__ = ["ACTIVATIONS", "COUPLINGS", "DiagonalScale", "RealNVP", "standard_normal_log_density"]

COUPLINGS = ("affine", "additive")
ACTIVATIONS: dict[str, type[nn.Module]] = {"relu": nn.ReLU, "tanh": nn.Tanh}


def standard_normal_log_density(z: Tensor) -> Tensor:
    """log N(z; 0, I) in nats: (N, D) → (N,), −½ ∑_d (z_d² + log 2π)."""
    return -0.5 * (z * z + math.log(2.0 * math.pi)).sum(dim=1)


class DiagonalScale(nn.FlowLayer):
    """z = x ⊙ exp(s) with one learned s for each coordinate (NICE, section 3.3); it starts at 1.

    Args:
        features: D.
    """

    def __init__(self, features: int) -> None:
        super().__init__()
        self.log_scale = nn.Parameter(mg.zeros(features))

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data (N, D) → (z (N, D), log |det ∂z/∂x| = ∑ s (N,))."""
        return x * self.log_scale.exp(), self._log_det(x)

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise (N, D) → (x (N, D), log |det ∂x/∂z| = −∑ s (N,))."""
        return z * (-self.log_scale).exp(), -self._log_det(z)

    def _log_det(self, x: Tensor) -> Tensor:
        # The same for every row: () -> (1,) -> (N,)
        return mg.broadcast_to(self.log_scale.sum().reshape(1), (x.shape[0],))


class RealNVP(nn.Module):
    """A normalizing flow of coupling layers for rows of D ≥ 2 numbers.

    Args:
        features: D.
        couplings: how many coupling layers; at least 2, so that every coordinate is moved.
        hidden: widths of the network in each coupling that computes s and t.
        coupling: "affine" (RealNVP) or "additive" (NICE).
        actnorm: put an ActNorm before every coupling. Its first batch in training sets it.
        activation: between those widths. "relu" learns sharp edges sooner; "tanh" saturates, so
            that a row far outside of the training data is not flung out of the noise.

    Rows go in as (N, D), float. A new model with `actnorm=False` is the identity: the last layer of
    every network starts at zero.
    """

    def __init__(
        self,
        features: int,
        couplings: int = 8,
        hidden: tuple[int, ...] = (64, 64),
        coupling: str = "affine",
        actnorm: bool = True,
        activation: str = "relu",
    ) -> None:
        super().__init__()
        if coupling not in COUPLINGS:
            raise ValueError(f"coupling must be 'affine' or 'additive', got {coupling!r}")
        if activation not in ACTIVATIONS:
            raise ValueError(f"activation must be 'relu' or 'tanh', got {activation!r}")
        if features < 2:
            raise ValueError(f"features must be at least 2, to be cut in halves, got {features}")
        if couplings < 2:
            raise ValueError(f"couplings must be at least 2, to move both halves, got {couplings}")
        if not hidden or min(hidden) < 1:
            raise ValueError(f"hidden must be at least 1 everywhere, got {hidden}")
        self.features = features
        layers: list[nn.FlowLayer] = []
        for index in range(couplings):
            if actnorm:
                layers.append(nn.ActNorm(features))
            swap = index % 2 == 1
            layers.append(_coupling(features, hidden, coupling, activation, swap))
        if coupling == "additive":
            layers.append(DiagonalScale(features))
        self.flow = nn.Flow(*layers)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Data → noise: (N, D) → z (N, D), log |det ∂z/∂x| (N,)."""
        return self.flow(self._rows("x", x))

    def inverse(self, z: Tensor) -> tuple[Tensor, Tensor]:
        """Noise → data: (N, D) → x (N, D), log |det ∂x/∂z| (N,)."""
        return self.flow.inverse(self._rows("z", z))

    def log_prob(self, x: Tensor) -> Tensor:
        """log p(x) in nats, by the change of variables: (N, D) → (N,)."""
        z, log_det = self(x)  # (N, D) -> (N, D), (N,)
        return standard_normal_log_density(z) + log_det

    def loss(self, x: Tensor) -> tuple[Tensor, dict[str, Tensor]]:
        """The mean negative log-likelihood of a batch, in nats per row: (N, D) → scalar.

        Returns:
            The scalar to minimise, and its terms (scalars): `nll` = `prior` − `log_det`, where
            `prior` is −log N(z; 0, I).
        """
        z, log_det = self(x)  # (N, D) -> (N, D), (N,)
        prior = -standard_normal_log_density(z).mean()  # (N,) -> ()
        volume = log_det.mean()  # (N,) -> ()
        nll = prior - volume
        return nll, {"nll": nll, "prior": prior, "log_det": volume}

    def sample(
        self, n: int, generator: mg.Generator | None = None, temperature: float = 1.0
    ) -> Tensor:
        """`n` new rows, f⁻¹(temperature · ε) with ε ~ N(0, I): (n, D).

        Only temperature 1 draws from p; less stays nearer to the middle of the noise.
        """
        if not temperature >= 0:
            raise ValueError(f"temperature must be a number >= 0, got {temperature}")
        generator = generator or mg.default_generator()
        dtype = next(iter(self.parameters())).dtype
        z = generator.normal((n, self.features), dtype=dtype) * temperature
        return self.inverse(z)[0]

    def _rows(self, name: str, x: Tensor) -> Tensor:
        if x.ndim != 2 or x.shape[1] != self.features:
            raise ValueError(f"{name} must have shape (N, {self.features}), got {tuple(x.shape)}")
        return x


def _coupling(
    features: int, hidden: tuple[int, ...], kind: str, activation: str, swap: bool
) -> nn.FlowLayer:
    """A coupling and its network: a (the half that is kept) → t, and for affine also raw s."""
    one, two = features - features // 2, features // 2
    kept, moved = (two, one) if swap else (one, two)
    numbers = 2 if kind == "affine" else 1
    layers: list[nn.Module] = []
    before = kept
    for width in hidden:
        layers += [nn.Linear(before, width), ACTIVATIONS[activation]()]
        before = width
    last = nn.Linear(before, numbers * moved)
    with mg.no_grad():  # at the start t = s = 0: the coupling is the identity
        for parameter in last.parameters():
            parameter.copy_(mg.zeros(*parameter.shape))
    network = nn.Sequential(*layers, last)
    if kind == "affine":
        return nn.AffineCoupling(network, swap=swap)
    return nn.AdditiveCoupling(network, swap=swap)
