"""Variational autoencoder (Kingma & Welling 2014, "Auto-Encoding Variational Bayes").

**The model.** An image x of D binary pixels comes about in two steps: draw a short code z, then
draw every pixel independently with a probability that a network computes from z:

    p(z)     = N(z; 0, I)                                   z has `latent` numbers
    p(x | z) = ∏_d Bernoulli(x_d; sigmoid(logit_d(z)))      the decoder

**The difficulty.** Learning means raising log p(x) = log ∫ p(x | z) p(z) dz, an integral over all
codes that nobody can do: for nearly every z the image x is impossible.

**The way out.** A second network, the encoder, looks at x and proposes where to search:

    q(z | x) = N(z; mean(x), diag(exp(log_var(x))))

By Jensen's inequality, for any q whatever,

    log p(x) ≥ E_q[log p(x | z)] − KL(q(z | x) ‖ p(z))      the evidence lower bound, ELBO

and the gap is KL(q(z | x) ‖ p(z | x)): raising the bound fits the model and improves the search
at once. The first term asks z to say what is in the picture; the second charges for saying it, in
nats. It has a closed form for two Gaussians (appendix B of the paper):

    KL = −½ ∑_j (1 + log σ_j² − μ_j² − σ_j²)

**The gradient.** z = μ + σ·ε with ε ~ N(0, I) moves the randomness out of the way, so that the
derivative of a sample with respect to μ and σ exists (the *reparameterisation trick*, section 2.4).

**Units.** All terms are *sums* over pixels and codes, in nats per image, and *means* over the batch
only. A mean over pixels would divide the reconstruction by 784 and leave the KL whole; training
then switches every code off.

**A tighter bound** on log p(x) weighs k proposals by how well each explains x (Burda et al. 2016,
"Importance Weighted Autoencoders", equation 8): `importance_weighted_bound`.

The recipe that trains it, with the numbers reached, is `minigen/recipes/vae.py`.
"""

from __future__ import annotations

import math
from itertools import pairwise

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor

__all__ = ["VAE", "gaussian_kl", "gaussian_log_density"]

LOG_2PI = math.log(2.0 * math.pi)


def gaussian_kl(mean: Tensor, log_var: Tensor) -> Tensor:
    """KL(N(mean, exp(log_var)) ‖ N(0, I)) in nats: (N, Z), (N, Z) → (N,).

    −½ ∑_j (1 + log σ_j² − μ_j² − σ_j²), Kingma & Welling 2014, appendix B.
    """
    return -0.5 * (1.0 + log_var - mean * mean - log_var.exp()).sum(dim=-1)


def gaussian_log_density(z: Tensor, mean: Tensor | float, log_var: Tensor | float) -> Tensor:
    """log N(z; mean, exp(log_var)) in nats, summed over the last axis: (…, Z) → (…,)."""
    precision = (-log_var).exp() if isinstance(log_var, Tensor) else math.exp(-log_var)
    return -0.5 * (LOG_2PI + log_var + (z - mean) * (z - mean) * precision).sum(dim=-1)


class VAE(nn.Module):
    """A dense variational autoencoder for binary images.

    Encoder `in_features → hidden → (mean, log_var)`, decoder mirrored, ReLU between.

    Args:
        in_features: pixels of an image, D = C·H·W.
        hidden: widths of the encoder's layers; the decoder has them in reverse.
        latent: length Z of the code.

    Images go in as (N, D) or (N, C, H, W), float, each pixel 0 or 1 (a grey value in between is
    read as a probability; the numbers are then no likelihoods).
    """

    def __init__(
        self,
        in_features: int = 784,
        hidden: tuple[int, ...] = (512, 256),
        latent: int = 20,
    ) -> None:
        super().__init__()
        for name, sizes in (
            ("in_features", [in_features]),
            ("latent", [latent]),
            ("hidden", hidden),
        ):
            if not sizes or min(sizes) < 1:
                raise ValueError(f"{name} must be at least 1 everywhere, got {sizes}")
        self.in_features = in_features
        self.latent = latent
        self.encoder = _layers([in_features, *hidden])
        self.mean = nn.Linear(hidden[-1], latent)
        self.log_var = nn.Linear(hidden[-1], latent)
        self.decoder = _layers([latent, *reversed(hidden)])
        self.logits = nn.Linear(hidden[0], in_features)

    def encode(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The parameters of q(z | x): (N, D) or (N, C, H, W) → mean (N, Z), log_var (N, Z)."""
        features = self.encoder(self._flat(x))  # (N, D) -> (N, hidden[-1])
        return self.mean(features), self.log_var(features)

    def decode(self, z: Tensor) -> Tensor:
        """The logits of p(x | z): (…, Z) → (…, D). `mg.sigmoid` of them are probabilities."""
        return self.logits(self.decoder(z))

    def reparameterize(
        self, mean: Tensor, log_var: Tensor, generator: mg.Generator | None = None
    ) -> Tensor:
        """One draw z = μ + σ·ε from q(z | x), differentiable in μ and σ: (N, Z) → (N, Z)."""
        generator = generator or mg.default_generator()
        epsilon = generator.normal(mean.shape, dtype=mean.dtype)
        return mean + (0.5 * log_var).exp() * epsilon

    def forward(self, x: Tensor, generator: mg.Generator | None = None) -> Tensor:
        """Encode, draw, decode: images → logits (N, D)."""
        return self.decode(self.reparameterize(*self.encode(x), generator))

    def loss(
        self,
        x: Tensor,
        generator: mg.Generator | None = None,
        kl: str = "closed",
        kl_weight: float = 1.0,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The negative ELBO of a batch with one draw of z for each image, in nats per image.

            reconstruction + kl_weight · KL,   reconstruction = −log p(x | z)

        Args:
            x: images (N, D) or (N, C, H, W).
            generator: where ε comes from; the default generator when None.
            kl: "closed" for the formula (the paper's estimator B, equation 7), "sampled" for
                log q(z | x) − log p(z) at the same z (estimator A, equation 6). Both are unbiased;
                the first is less noisy.
            kl_weight: β of Higgins et al. 2017. Only 1 is a bound on log p(x).

        Returns:
            The scalar to minimise, and its terms (scalars): `nelbo` (at weight 1),
            `reconstruction`, `kl`.
        """
        if kl not in ("closed", "sampled"):
            raise ValueError(f"kl must be 'closed' or 'sampled', got {kl!r}")
        mean, log_var = self.encode(x)  # (N, D) -> (N, Z), (N, Z)
        z = self.reparameterize(mean, log_var, generator)
        reconstruction = -self._log_likelihood(x, self.decode(z)).mean()  # (N,) -> ()
        if kl == "closed":
            divergence = gaussian_kl(mean, log_var).mean()  # (N,) -> ()
        else:
            log_ratio = gaussian_log_density(z, mean, log_var) - gaussian_log_density(z, 0.0, 0.0)
            divergence = log_ratio.mean()  # (N,) -> ()
        nelbo = reconstruction + divergence
        objective = nelbo if kl_weight == 1.0 else reconstruction + kl_weight * divergence
        return objective, {"nelbo": nelbo, "reconstruction": reconstruction, "kl": divergence}

    def importance_weighted_bound(
        self, x: Tensor, k: int = 64, generator: mg.Generator | None = None
    ) -> Tensor:
        """A lower bound on log p(x) that tightens as k grows: images → (N,), in nats.

            log 1/k ∑_i  p(x | z_i) p(z_i) / q(z_i | x),   z_i ~ q(z | x)

        k = 1 is the ELBO with the sampled KL. The mean of the weights, not of their logarithms, is
        what is unbiased, hence logsumexp (Burda et al. 2016, equation 8). Takes k·N decodings.
        """
        if k < 1:
            raise ValueError(f"k must be a whole number >= 1, got {k}")
        mean, log_var = self.encode(x)
        count, latent = mean.shape
        mean, log_var = mean.reshape(1, count, latent), log_var.reshape(1, count, latent)
        generator = generator or mg.default_generator()
        epsilon = generator.normal((k, count, latent), dtype=mean.dtype)
        z = mean + (0.5 * log_var).exp() * epsilon  # (1, N, Z) -> (k, N, Z)
        log_weight = (
            self._log_likelihood(x, self.decode(z))  # (k, N, D) -> (k, N)
            + gaussian_log_density(z, 0.0, 0.0)
            - gaussian_log_density(z, mean, log_var)
        )
        return mg.logsumexp(log_weight, dim=0) - math.log(k)  # (k, N) -> (N,)

    def sample(self, n: int, generator: mg.Generator | None = None) -> Tensor:
        """Pixel probabilities of `n` new images, z ~ N(0, I): (n, D), values in (0, 1)."""
        generator = generator or mg.default_generator()
        z = generator.normal((n, self.latent), dtype=self.mean.weight.dtype)
        return mg.sigmoid(self.decode(z))

    def _log_likelihood(self, x: Tensor, logits: Tensor) -> Tensor:
        """log p(x | z) = ∑_d log Bernoulli(x_d; sigmoid(logit_d)): (…, N, D) → (…, N)."""
        target = self._flat(x)
        if target.shape != logits.shape:
            target = mg.broadcast_to(target, logits.shape)  # (N, D) -> (k, N, D)
        return -mg.binary_cross_entropy_with_logits(logits, target, reduction="none").sum(dim=-1)

    def _flat(self, x: Tensor) -> Tensor:
        flat = x.reshape(x.shape[0], -1)  # (N, C, H, W) -> (N, D)
        if flat.shape[1] != self.in_features:
            raise ValueError(
                f"x must have {self.in_features} pixels per image, got shape {tuple(x.shape)}"
            )
        return flat


def _layers(sizes: list[int]) -> nn.Sequential:
    """Linear and ReLU, Linear and ReLU, … through the given widths."""
    layers: list[nn.Module] = []
    for before, after in pairwise(sizes):
        layers += [nn.Linear(before, after), nn.ReLU()]
    return nn.Sequential(*layers)
