"""DiffAugment: the discriminator sees every image shifted, cut and recoloured (Zhao et al. 2020).

A discriminator that sees few images soon knows them by heart and tells G nothing but "not one of
these". Enlarging the data alone does not help: G would learn to make shifted, cut pictures as well.
The way out: augment *both* halves, real and fake, in D's step and in G's, by functions through
which G's gradient can flow back,

    L_D = f(D(T(x)), D(T(G(z))))        L_G = g(D(T(G(z))))

so that D never meets an image as it is, and G's own images stay clean.

    colour       brightness + U(−½, ½);  saturation × U(0, 2);  contrast × U(½, 3/2)
    translation  by up to ⅛ of the side in each direction, zeros where nothing was
    cutout       a square of half the side at a random place becomes zero

Each sample draws its own. Images are (N, C, H, W) in [−1, 1], where 0 is grey.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import minigen as mg
from minigen.autograd.tensor import Tensor

__all__ = ["AUGMENTATIONS", "diff_augment"]

SHIFT = 0.125  # of the side
CUT = 0.5  # of the side


def diff_augment(x: Tensor, policy: Sequence[str], generator: mg.Generator | None = None) -> Tensor:
    """Images (N, C, H, W) → the same shape, augmented by each word of `policy` in turn.

    Args:
        x: images in [−1, 1].
        policy: words out of `AUGMENTATIONS`; none of them: x itself.
        generator: where all draws come from.

    Raises:
        ValueError: for another word, or an x that is no batch of images.
    """
    generator = generator or mg.default_generator()
    if x.ndim != 4:
        raise ValueError(f"x must be images (N, C, H, W), got shape {tuple(x.shape)}")
    for word in policy:
        if word not in AUGMENTATIONS:
            raise ValueError(f"policy must be out of {', '.join(AUGMENTATIONS)}, got {word!r}")
        x = AUGMENTATIONS[word](x, generator)
    return x


def _colour(x: Tensor, generator: mg.Generator) -> Tensor:
    def draw(low: float, high: float) -> Tensor:
        return low + (high - low) * generator.uniform((len(x), 1, 1, 1), dtype=x.dtype)

    x = x + draw(-0.5, 0.5)
    if x.shape[1] > 1:  # one channel has no saturation
        grey = x.mean(dim=1, keepdim=True)  # (N, C, H, W) -> (N, 1, H, W)
        x = (x - grey) * draw(0.0, 2.0) + grey
    mean = x.mean(dim=(1, 2, 3), keepdim=True)  # (N, C, H, W) -> (N, 1, 1, 1)
    return (x - mean) * draw(0.5, 1.5) + mean


def _translation(x: Tensor, generator: mg.Generator) -> Tensor:
    for dim in (2, 3):
        length = x.shape[dim]
        reach = round(SHIFT * length)
        by = generator.integers(-reach, reach + 1, (len(x), 1))
        places = mg.arange(length).reshape(1, -1) - by  # (N, L): where each place comes from
        inside = mg.logical_and(places >= 0, places < length)
        around = [len(x), 1, 1, 1]
        around[dim] = length
        index = mg.expand(places.clamp(0, length - 1).reshape(*around), *x.shape)
        x = mg.where(inside.reshape(*around), mg.gather(x, dim, index), 0.0)
    return x


def _cutout(x: Tensor, generator: mg.Generator) -> Tensor:
    outside = []
    for dim in (2, 3):
        length = x.shape[dim]
        side = max(1, round(CUT * length))
        # The square may hang over the edge by half, so that every place is cut as often.
        start = generator.integers(0, length + 1 - side % 2, (len(x), 1)) - side // 2
        places = mg.arange(length).reshape(1, -1)
        outside.append(mg.logical_or(places < start, places >= start + side))  # (N, L)
    rows, columns = outside
    kept = mg.logical_or(rows.reshape(len(x), 1, -1, 1), columns.reshape(len(x), 1, 1, -1))
    return mg.where(kept, x, 0.0)  # (N, 1, H, W), (N, C, H, W) -> (N, C, H, W)


AUGMENTATIONS: dict[str, Callable[[Tensor, mg.Generator], Tensor]] = {
    "colour": _colour,
    "translation": _translation,
    "cutout": _cutout,
}
"""The words of a policy."""
