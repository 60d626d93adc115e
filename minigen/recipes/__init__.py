"""Recipes: how each model is trained. One file per model, and one line here.

The table is text only: `minigen list` reads it without importing a single model.
"""

from __future__ import annotations

import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

from minigen.errors import unknown_name

if TYPE_CHECKING:
    from minigen.recipes.base import Recipe

__all__ = ["RECIPES", "Entry", "find"]


@dataclass(frozen=True)
class Entry:
    """Where a recipe is, `module:Class`, and what it trains, in one line for `minigen list`."""

    place: str
    title: str


RECIPES: dict[str, Entry] = {
    "gpt": Entry(
        "minigen.recipes.gpt:GPTRecipe",
        "causal transformer for text: characters, bytes, byte pairs (Radford et al. 2018)",
    ),
    "pixelcnn": Entry(
        "minigen.recipes.pixelcnn:PixelCNNRecipe",
        "images pixel by pixel, masked convolutions (van den Oord et al. 2016a)",
    ),
    "gated-pixelcnn": Entry(
        "minigen.recipes.pixelcnn:GatedPixelCNNRecipe",
        "two stacks without a blind spot, class-conditional (van den Oord et al. 2016b)",
    ),
    "gan": Entry(
        "minigen.recipes.gan:GANRecipe",
        "adversarial pair, dense, images or points, also by class (Goodfellow et al. 2014)",
    ),
    "dcgan": Entry(
        "minigen.recipes.gan:DCGANRecipe",
        "adversarial pair, convolutional, images (Radford et al. 2016)",
    ),
    "wgan-gp": Entry(
        "minigen.recipes.gan:WGANGPRecipe",
        "critic with a gradient penalty, images or points (Gulrajani et al. 2017)",
    ),
    "stylegan": Entry(
        "minigen.recipes.stylegan:StyleGANRecipe",
        "adversarial pair with a style for each level of detail, images (Karras et al. 2020)",
    ),
    "cyclegan": Entry(
        "minigen.recipes.cyclegan:CycleGANRecipe",
        "translation between two sets of images without pairs (Zhu et al. 2017)",
    ),
    "row-lstm": Entry(
        "minigen.recipes.pixelrnn:RowLSTMRecipe",
        "images pixel by pixel, an LSTM that goes down row by row (van den Oord et al. 2016a)",
    ),
    "diagonal-bilstm": Entry(
        "minigen.recipes.pixelrnn:DiagonalBiLSTMRecipe",
        "images pixel by pixel, LSTMs along the diagonals that see all of the past (ibid.)",
    ),
    "vae": Entry(
        "minigen.recipes.vae:VAERecipe",
        "variational autoencoder, dense, binary images (Kingma & Welling 2014)",
    ),
    "lenet": Entry(
        "minigen.recipes.lenet:LeNetRecipe",
        "classifier of small images, whose features judge samples (LeCun et al. 1998)",
    ),
    "realnvp": Entry(
        "minigen.recipes.realnvp:RealNVPRecipe",
        "normalizing flow of couplings, points and tables (Dinh et al. 2017); NICE",
    ),
    "realnvp-images": Entry(
        "minigen.recipes.realnvp_image:ImageRealNVPRecipe",
        "the same for images, multi-scale; what realnvp is where the data are images (ibid.)",
    ),
    "glow": Entry(
        "minigen.recipes.glow:GlowRecipe",
        "flow with invertible 1×1 convolutions, images (Kingma & Dhariwal 2018)",
    ),
    "wavenet": Entry(
        "minigen.recipes.wavenet:WaveNetRecipe",
        "dilated causal convolutions for sound, spoken digits (van den Oord et al. 2016)",
    ),
}


def find(name: str) -> type[Recipe]:
    """The recipe of that name, imported now.

    Raises:
        UserError: for a name that is not in the table, with the nearest one that is.
    """
    if name not in RECIPES:
        raise unknown_name("model", name, RECIPES)
    module, _, attribute = RECIPES[name].place.partition(":")
    recipe: type[Recipe] = getattr(importlib.import_module(module), attribute)
    return recipe
