"""Mistakes of StyleGAN, planted one at a time: a named check notices each.

A check counts only if it passes on minigen as it is and fails on minigen with the mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from suite import Patch, Plant, assert_caught, each_of, folder, replace, test_of

import minigen as mg
from minigen.models import path_length, stylegan, stylegan_layers
from minigen.optim import ema
from minigen.recipes import adversarial as base
from minigen.recipes import stylegan as recipe

Generator = stylegan.StyleGenerator
Recipe = recipe.StyleGANRecipe


def images() -> Path:
    path = folder() / "bars.npz"
    data = np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16)).astype(np.uint8)
    np.savez(path, data=data)
    return path


def layers(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("models/test_stylegan_layers.py", name, *arguments)


def model(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("models/test_stylegan.py", name, *arguments)


def length(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("models/test_path_length.py", name, *arguments)


def run(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("recipes/test_stylegan_recipe.py", name, *arguments)


def demodulated_over(dim: int) -> Callable[[Patch], None]:
    """The kernel's energy summed over the wrong axis: outputs instead of inputs."""

    def wrong(
        x: mg.Tensor, weight: mg.Tensor, style: mg.Tensor, *, demodulate: bool = True,
        up: bool = False, gain: float = 1.0,
    ) -> mg.Tensor:  # fmt: skip
        y = stylegan_layers._convolved(x * style.unsqueeze(2).unsqueeze(3), weight, up)
        if demodulate:
            energy = mg.square(weight).sum(dim=(dim, 2, 3))
            y = y * (gain * mg.rsqrt(energy.mean() + mg.zeros(1, len(weight), 1, 1, dtype=x.dtype)))
        return stylegan_layers.smooth(y, 1, 1, gain=2.0) if up else y

    return lambda patch: (
        patch.setattr(stylegan_layers, "modulated_conv2d", wrong)
        or (_in_test(patch, "models/test_stylegan_layers.py", "modulated_conv2d", wrong))
    )


def _in_test(patch: Patch, path: str, name: str, wrong: Any) -> None:
    """A test file that imported the function by its name sees the wrong one too."""
    from suite import module_of

    patch.setattr(module_of(path), name, wrong)


def r1_on_fakes(patch: Patch) -> None:
    original = base.r1_penalty
    patch.setattr(base, "r1_penalty", lambda judge, real: original(judge, -real))


def average_without_buffers(patch: Patch) -> None:
    def update(self: Any, decay: float | None = None) -> None:
        average = dict(self.model.named_parameters())
        for name, parameter in self.source.named_parameters():
            ema._average(average[name], parameter, self.decay)

    patch.setattr(ema.EMA, "update", update)


def followed_everywhere(patch: Patch) -> None:
    """The mean style moves in evaluation too: whoever looks changes what is looked at."""
    original = Generator.forward

    def forward(self: Any, z: Any, labels: Any = None, generator: Any = None) -> Any:
        if not self.training:
            self.follow(self.mapping(z))
        return original(self, z, labels, generator)

    patch.setattr(Generator, "forward", forward)


def mean_of_another_layer(patch: Patch) -> None:
    """The average of what the mapping's last layer reads, not of what it gives."""
    original = Generator.follow

    def follow(self: Any, w: mg.Tensor) -> None:
        original(self, mg.leaky_relu(w, 0.2))

    patch.setattr(Generator, "follow", follow)


def crossover_off_by_one(patch: Patch) -> None:
    original = stylegan.mix_styles

    def wrong(first: Any, second: Any, crossover: Any, layers: int) -> Any:
        return original(first, second, crossover + 1, layers)

    patch.setattr(stylegan, "mix_styles", wrong)
    _in_test(patch, "models/test_stylegan.py", "mix_styles", wrong)


def goal_not_detached(patch: Patch) -> None:
    def forward(self: Any, images: Any, styles: Any, directions: Any) -> Any:
        lengths = path_length.path_lengths(images, styles, directions)
        with mg.no_grad():
            self.count.copy_(self.count + 1.0)
            rate = mg.clamp(1.0 / self.count, min=self.decay)
        goal = self.mean.clone() + rate * (lengths.mean() - self.mean.clone())
        self.mean.copy_(goal.detach())
        return mg.square(lengths - goal).mean()

    patch.setattr(path_length.PathLength, "forward", forward)


def goal_not_saved(patch: Patch) -> None:
    original = Recipe.build

    def build(self: Any) -> None:
        original(self)
        self.saved = tuple(name for name in self.saved if name != "path_length")

    patch.setattr(Recipe, "build", build)


def direction_of_one_pixel(patch: Patch) -> None:
    """y not divided by √(H·W): the goal grows with the size of the image."""
    original = path_length.path_lengths

    def wrong(images: Any, styles: Any, directions: Any) -> Any:
        scale = (images.shape[2] * images.shape[3]) ** 0.5
        return original(images, styles, directions * scale)

    patch.setattr(path_length, "path_lengths", wrong)
    _in_test(patch, "models/test_path_length.py", "path_lengths", wrong)


def groups_of_neighbours(patch: Patch) -> None:
    """The deviation over features instead of over the samples of a group."""

    def forward(self: Any, x: mg.Tensor) -> mg.Tensor:
        n, _, h, w = x.shape
        away = x - x.mean(dim=(1, 2, 3), keepdim=True)
        deviation = mg.sqrt(mg.square(away).mean(dim=(1, 2, 3), keepdim=True) + 1e-8)
        return mg.cat([x, mg.broadcast_to(deviation, (n, 1, h, w))], dim=1)

    patch.setattr(stylegan_layers.MinibatchDeviation, "forward", forward)


def image_demodulated(patch: Patch) -> None:
    original = stylegan_layers.modulated_conv2d

    def wrong(x: Any, weight: Any, style: Any, **options: Any) -> Any:
        return original(x, weight, style, **{**options, "demodulate": True})

    patch.setattr(stylegan_layers, "modulated_conv2d", wrong)


def mapping_at_full_speed(patch: Patch) -> None:
    """The multiplier at use only: weights stored at 1 are used a hundred times too small."""
    original = stylegan_layers.EqualLinear.__init__

    def wrong(self: Any, *sizes: int, multiplier: float = 1.0, **options: Any) -> None:
        original(self, *sizes, multiplier=multiplier, **options)
        with mg.no_grad():
            self.weight.copy_(self.weight * multiplier)

    patch.setattr(stylegan_layers.EqualLinear, "__init__", wrong)


def truncated_by_its_own_batch(patch: Patch) -> None:
    def wrong(self: Any, w: mg.Tensor, psi: float) -> mg.Tensor:
        mean = w.mean(dim=0)
        return mean + psi * (w - mean)

    patch.setattr(Generator, "truncated", wrong)


STYLES = "test_the_mean_style_follows_the_mapping_in_training_and_rests_in_evaluation"
LAZY = "test_a_lazy_penalty_is_due_at_the_first_of_so_many_steps_with_so_many_times_its_weight"
SAVED = "test_the_state_has_all_that_later_steps_depend_on"


PLANTS = [
    Plant("R1 on fakes", r1_on_fakes, run("test_r1_looks_at_real_samples_only", images, folder)),
    Plant(
        "an average without buffers",
        average_without_buffers,
        run("test_the_average_follows_parameters_and_the_mean_style", images, folder),
    ),
    Plant("the mean style moves in evaluation", followed_everywhere, model(STYLES)),
    Plant("the mean style of another layer", mean_of_another_layer, model(STYLES)),
    Plant(
        "truncation towards the mean of the batch",
        truncated_by_its_own_batch,
        model("test_at_psi_0_there_is_one_style_and_images_differ_by_noise_only"),
    ),
    Plant(
        "demodulation over the output channels",
        demodulated_over(0),
        layers("test_scaling_channels_is_convolving_with_a_kernel_for_each_sample", True, False),
    ),
    Plant(
        "demodulation that does not know the style",
        demodulated_over(1),
        layers("test_demodulated_outputs_have_deviation_1_however_strong_the_style"),
    ),
    Plant(
        "an image that is demodulated",
        image_demodulated,
        layers("test_the_image_of_a_level_is_not_demodulated"),
    ),
    Plant(
        "a crossover off by one",
        crossover_off_by_one,
        model("test_styles_change_hands_exactly_at_the_crossover"),
    ),
    Plant(
        "styles mixed in evaluation",
        replace(Generator, "eval", lambda self: self),
        model("test_nothing_is_mixed_in_evaluation_and_all_that_is_drawn_comes_from_the_generator"),
    ),
    Plant(
        "the goal of the path length not detached",
        goal_not_detached,
        length(
            "test_the_penaltys_gradient_is_that_of_finite_differences_with_the_goal_held"
        ),
    ),
    Plant("the goal of the path length not saved", goal_not_saved, run(SAVED, images, folder)),
    Plant(
        "directions that grow with the image",
        direction_of_one_pixel,
        length("test_the_length_is_that_of_the_jacobian_times_the_direction"),
    ),
    Plant(
        "a lazy penalty without its factor",
        replace(
            Recipe,
            "r1_weight",
            lambda self: self.config.r1 if self.clock.due(self.config.r1_every) else 0.0,
        ),
        run(LAZY, images, folder),
    ),
    Plant(
        "minibatch deviation over features",
        groups_of_neighbours,
        layers("test_the_deviation_of_a_group_is_the_formula"),
    ),
    Plant(
        "weights of the mapping stored small",
        mapping_at_full_speed,
        layers("test_an_equalised_layer_stores_large_weights_and_uses_small_ones", 0.01),
    ),
]  # fmt: skip


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
