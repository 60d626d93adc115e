"""Recipe: the flow of `minigen/models/glow.py`, on digits that fit in the package or on MNIST.

    minigen train glow                                            8×8 digits, 17 grey values
    minigen train glow --data mnist
    minigen train glow --data mnist --set pixels=logit alpha=0.05

**What to expect on MNIST**, in the units of `recipes/realnvp_image.py`, which also says why
`pixels=histogram`: independent pixels need 1.70 bits per dimension. With seed 0 and
`--steps 1600`, two passes through the training images, val is at 1.39 after 200 steps, 1.28 after
800 and **1.256 at the end**, over all 10,000 images, in 610 s on two cores that were busy with much
else. The default is 3,000 steps. The published number is 1.05 (Kingma & Dhariwal's model, in table
2 of Grathwohl et al. 2019); below 0.95 is a leak or a wrong unit, and the run says so. After so few
steps many samples are strokes that are nearly digits; temperature 0.7 takes the specks away.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from minigen.models.glow import Glow
from minigen.models.image_flow import ImageFlow
from minigen.recipes.base import Budgets
from minigen.recipes.config import option
from minigen.recipes.image_flow import ImageFlowConfig, ImageFlowRecipe

__all__ = ["GlowConfig", "GlowRecipe"]


@dataclass(frozen=True, kw_only=True)
class GlowConfig(ImageFlowConfig):
    """The hyper-parameters of Glow."""

    flow_steps: tuple[int, ...] = option(
        (6, 10), "K at each scale; as many numbers as scales", minimum=1
    )
    hidden: tuple[int, ...] = option(
        (32, 64), "channels in the couplings' networks at each scale", minimum=1
    )


class GlowRecipe(ImageFlowRecipe):
    """Glow; see `ImageFlowRecipe` for how it is trained."""

    name = "glow"
    title = "Glow"
    Config = GlowConfig
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 60_000, "flow_steps": (8, 16)}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        "digits": {
            "short": {"steps": 800, "evaluate_every": 100, "flow_steps": (4, 4)},
            "long": {"steps": 4000, "flow_steps": (4, 4)},
        }
    }

    def make_model(self, shape: tuple[int, int, int], levels: int) -> ImageFlow:
        """Glow with the configured scales."""
        config: GlowConfig = self.config
        return Glow(
            shape,
            levels,
            config.flow_steps,
            config.hidden,
            config.pixels,
            config.alpha,
            config.limit,
        )
