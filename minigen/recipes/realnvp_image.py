"""Recipe: the flow of `minigen/models/realnvp_image.py`, on images of grey values.

    minigen train realnvp --data mnist
    minigen train realnvp --data digits                           8×8, 17 grey values
    minigen train realnvp-images --data mnist --set pixels=logit  the same recipe by its own name

`realnvp` chooses this recipe where the data are images, and `recipes/realnvp.py` for rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from minigen.models.image_flow import ImageFlow
from minigen.models.realnvp_image import ImageRealNVP
from minigen.recipes.base import Budgets
from minigen.recipes.config import option
from minigen.recipes.image_flow import ImageFlowConfig, ImageFlowRecipe

__all__ = ["ImageRealNVPConfig", "ImageRealNVPRecipe"]


@dataclass(frozen=True, kw_only=True)
class ImageRealNVPConfig(ImageFlowConfig):
    """The hyper-parameters of RealNVP for images."""

    couplings: int = option(3, "in a row with one kind of mask", minimum=2)
    hidden: tuple[int, ...] = option(
        (32, 64, 64), "channels in the couplings' networks: each scale, and the end", minimum=1
    )


class ImageRealNVPRecipe(ImageFlowRecipe):
    """RealNVP for images; see `ImageFlowRecipe` for how it is trained."""

    name = "realnvp-images"
    title = "RealNVP"
    Config = ImageRealNVPConfig
    budgets: ClassVar[Budgets] = {"short": {}, "long": {"steps": 60_000}}
    budgets_for_data: ClassVar[Mapping[str, Budgets]] = {
        "digits": {
            "short": {"steps": 800, "evaluate_every": 100},
            "long": {"steps": 4000},
        }
    }

    def make_model(self, shape: tuple[int, int, int], levels: int) -> ImageFlow:
        """RealNVP with the configured scales."""
        config: ImageRealNVPConfig = self.config
        return ImageRealNVP(
            shape,
            levels,
            config.hidden,
            config.pixels,
            config.alpha,
            config.limit,
            config.couplings,
        )
