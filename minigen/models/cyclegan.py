"""CycleGAN: translation without pairs (Zhu, Park, Isola & Efros 2017).

**The model.** Two heaps of images, A and B, and nobody says which belongs to which. Two generators
go between them, G: A → B and F: B → A, and two discriminators judge what arrives: D_B looks at
images of B, real ones and G's; D_A at images of A, real ones and F's.

Being taken for an image of B is not enough, since *any* image of B would do. What ties a
translation to its original is that the way back must lead home:

    a → G(a) → F(G(a)) ≈ a        b → F(b) → G(F(b)) ≈ b

**The losses** (their section 3), each term a mean over all its numbers:

    discriminators   ½(D_B(b) − 1)² + ½ D_B(G(a))²   and the same of A        section 4: halved
    generators       (D_B(G(a)) − 1)² + (D_A(F(b)) − 1)²                      adversarial (LSGAN)
                     + λ (‖F(G(a)) − a‖₁ + ‖G(F(b)) − b‖₁)                    cycle
                     + λ·ι (‖G(b) − b‖₁ + ‖F(a) − a‖₁)                        identity, section 5.2

The identity term says that an image which is in B already needs no translation; it keeps colours,
and on digits the polarity and the place. It has a meaning only where A and B have the same number
of channels.

**The generator** (Johnson et al. 2016, as in their appendix 7.2), for 28×28 and width w:

    7×7, w  →  3×3 stride 2, 2w (14×14)  →  3×3 stride 2, 4w (7×7)  →  R residual blocks of two 3×3
    →  transposed 3×3, 2w (14×14)  →  transposed 3×3, w (28×28)  →  7×7, tanh

Instance norm and ReLU after every layer but the last; the stride-1 layers mirror the edge instead
of padding with zeros. Any size from 8×8 on: the way up knows the sizes of the way down.

**The discriminator** is a PatchGAN (Isola et al. 2017): it has no dense layer, and gives not one
verdict but a map of them, each on the patch that it sees. `patch_size(depth)` pixels: with one
stride of 2 a patch of 16, with two 34, with three the paper's 70.

**The pool** (Shrivastava et al. 2017, their section 2.3). The discriminators do not see the newest
fakes alone but, half of the time, one of the last fifty: what they learned to refuse yesterday is
not forgotten today.

Instance norm looks at one image alone. So G(a) and G(b) can be computed as one batch, and are.

The recipe, with the numbers reached, is `minigen/recipes/cyclegan.py`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.errors import UserError
from minigen.numeric import integer

__all__ = [
    "SMALLEST",
    "ImagePool",
    "PatchDiscriminator",
    "ResNetGenerator",
    "discriminator_loss",
    "fooled",
    "l1",
    "patch_size",
]

SMALLEST = 8  # pixels each way: a quarter of it is the least that can be mirrored
DEVIATION = 0.02  # of the initial weights
SLOPE = 0.2  # of LeakyReLU


def fooled(logits: Tensor) -> Tensor:
    """What a generator pays for the verdicts on its images, (D − 1)²: (N, 1, h, w) → scalar."""
    return mg.square(logits - 1.0).mean()


def discriminator_loss(real: Tensor, fake: Tensor) -> Tensor:
    """½(D(real) − 1)² + ½ D(fake)²: maps of verdicts → scalar."""
    return 0.5 * mg.square(real - 1.0).mean() + 0.5 * mg.square(fake).mean()


def l1(x: Tensor, y: Tensor) -> Tensor:
    """The mean distance of two pixels, |x − y|: a scalar."""
    return mg.abs(x - y).mean()


class ResidualBlock(nn.Module):
    """x + two 3×3 convolutions of x, mirrored edges, instance norm: (N, C, H, W) → the same."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(channels, channels, 3, 1, 1, bias=False, padding_mode="reflect")),
            nn.ReLU(),
            *_normed(nn.Conv2d(channels, channels, 3, 1, 1, bias=False, padding_mode="reflect")),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → the same."""
        return x + self.layers(x)


class ResNetGenerator(nn.Module):
    """Images of one domain → images of the other, both in [−1, 1].

    Args:
        size: (H, W) of the images, each at least `SMALLEST`.
        channels: of an image here and there.
        width: channels of the first hidden picture; the smallest picture has four times as many.
        blocks: residual blocks.
    """

    def __init__(
        self,
        size: Sequence[int] = (28, 28),
        channels: tuple[int, int] = (1, 1),
        width: int = 64,
        blocks: int = 6,
    ) -> None:
        super().__init__()
        self.size, self.channels = tuple(size), channels
        if len(self.size) != 2 or min(self.size) < SMALLEST:
            raise ValueError(f"size must be (H, W), each at least {SMALLEST}, got {self.size}")
        half = tuple(-(-side // 2) for side in self.size)
        self.layers = nn.Sequential(
            *_normed(nn.Conv2d(channels[0], width, 7, 1, 3, bias=False, padding_mode="reflect")),
            nn.ReLU(),
            *_normed(nn.Conv2d(width, 2 * width, 3, 2, 1, bias=False)),
            nn.ReLU(),
            *_normed(nn.Conv2d(2 * width, 4 * width, 3, 2, 1, bias=False)),
            nn.ReLU(),
            *(ResidualBlock(4 * width) for _ in range(blocks)),
            *_normed(_doubled(4 * width, 2 * width, half)),
            nn.ReLU(),
            *_normed(_doubled(2 * width, width, self.size)),
            nn.ReLU(),
            nn.Conv2d(width, channels[1], 7, 1, 3, padding_mode="reflect"),
        )
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C here, H, W) → (N, C there, H, W)."""
        if x.shape[1:] != (self.channels[0], *self.size):
            raise ValueError(
                f"images must have shape (N, {self.channels[0]}, {self.size[0]}, {self.size[1]}), "
                f"got {x.shape}"
            )
        return mg.tanh(self.layers(x))


class PatchDiscriminator(nn.Module):
    """Images → a map of verdicts, each on one patch: near 1 for real, near 0 for made up.

    Args:
        channels: of an image.
        width: channels of the first hidden picture; doubled by each following layer.
        depth: strided layers, which decide how large a patch is (`patch_size`).
    """

    def __init__(self, channels: int = 1, width: int = 64, depth: int = 3) -> None:
        super().__init__()
        layers: list[nn.Module] = [nn.Conv2d(channels, width, 4, 2, 1), nn.LeakyReLU(SLOPE)]
        for step in range(1, depth + 1):
            stride = 2 if step < depth else 1
            wide = width * 2**step
            layers += _normed(nn.Conv2d(wide // 2, wide, 4, stride, 1, bias=False))
            layers.append(nn.LeakyReLU(SLOPE))
        layers.append(nn.Conv2d(width * 2**depth, 1, 4, 1, 1))
        self.layers = nn.Sequential(*layers)
        _initialise(self)

    def forward(self, x: Tensor) -> Tensor:
        """(N, C, H, W) → (N, 1, h, w)."""
        return self.layers(x)


def patch_size(depth: int) -> int:
    """How many pixels each way one verdict of a `PatchDiscriminator` sees: 16, 34, 70, …"""
    seen = 7  # by two layers of 4×4 without stride
    for _ in range(depth):
        seen = 2 * seen + 2
    return seen


class ImagePool:
    """The last so many fakes; hands out an old one half of the time.

    Until it is full, every image is kept and handed out as it came. From then on a coin is tossed
    for each: heads, it is handed out and forgotten; tails, it takes the place of one in the pool,
    which is handed out instead. All of it happens where the images are: no number comes to the
    host.

    Args:
        capacity: images; 0 for no pool.
    """

    def __init__(self, capacity: int = 50) -> None:
        self.capacity, self.count = integer("capacity", capacity, 0), 0
        self.images: Tensor | None = None

    def query(self, images: Tensor, generator: mg.Generator) -> Tensor:
        """(N, C, H, W) → as many images, new memory, off the tape.

        generator: tosses the coins and chooses the places.
        """
        images = images.detach()
        if self.images is None:
            self.images = mg.zeros(self.capacity, *images.shape[1:], dtype=images.dtype)
        free = min(self.capacity - self.count, len(images))
        if free > 0:
            self.images.data[self.count : self.count + free] = images.data[:free]
            self.count += free
        out, start = [images[:free]], free
        while start < len(images):  # a batch larger than the pool goes through it in parts
            part = images[start : start + max(self.capacity, 1)]
            out.append(self._exchange(part, generator) if self.capacity else part)
            start += len(part)
        return mg.cat(out)

    def _exchange(self, images: Tensor, generator: mg.Generator) -> Tensor:
        """Through the full pool; the places of one call are different ones."""
        assert self.images is not None
        xp, kept = active.backend.xp, self.images.data
        places = generator.permutation(self.capacity).data[: len(images)]
        coins = generator.uniform(len(images), 1, 1, 1).data < 0.5
        old = kept[places]  # a copy: (N, C, H, W)
        kept[places] = xp.where(coins, images.data, old)
        return Tensor(xp.where(coins, old, images.data))

    def state(self) -> dict[str, Any]:
        """The images that are in the pool; their number."""
        kept = {} if self.images is None else {"images": self.images[: self.count].numpy().copy()}
        return {"capacity": self.capacity, "count": self.count, **kept}

    def load_state(self, state: dict[str, Any]) -> None:
        """Go back to what `state` returned.

        Raises:
            UserError: for the state of a pool of another size.
        """
        if state.get("capacity") != self.capacity:
            raise UserError(
                f"pool has a capacity of {self.capacity}, the state one of {state.get('capacity')}"
            )
        self.count, self.images = int(state["count"]), None
        if "images" in state:
            kept = mg.tensor(state["images"])
            self.images = mg.zeros(self.capacity, *kept.shape[1:], dtype=kept.dtype)
            self.images.data[: self.count] = kept.data


def _normed(layer: nn.Conv2d | nn.ConvTranspose2d) -> list[nn.Module]:
    """A convolution, and instance norm without scale and shift, as in the authors' networks."""
    return [layer, nn.InstanceNorm2d(layer.out_channels)]


def _doubled(channels: int, out: int, size: Sequence[int]) -> nn.ConvTranspose2d:
    """The transposed 3×3 convolution that arrives at `size`, from half of it, rounded up."""
    # From L to 2L − 1; where the side is even, one more row or column.
    more = tuple(1 - side % 2 for side in size)
    return nn.ConvTranspose2d(channels, out, 3, 2, 1, more, bias=False)


def _initialise(network: nn.Module) -> None:
    """Weights from N(0, 0.02²), biases 0."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, DEVIATION)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
