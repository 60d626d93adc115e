"""Mistakes of adversarial training, planted one at a time: a named check notices each.

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
from minigen.metrics import verdict
from minigen.models import adversarial, dcgan, diffaugment
from minigen.recipes import adversarial as recipe

Recipe = recipe.AdversarialRecipe


def entry(table: dict[str, Any], name: str, wrong: Any) -> Callable[[Patch], None]:
    return lambda patch: patch.setitem(table, name, wrong)


def images() -> Path:
    path = folder() / "bars.npz"
    data = np.random.default_rng(0).integers(0, 256, (40, 1, 16, 16)).astype(np.uint8)
    np.savez(path, data=data, labels=np.arange(40) % 3)
    return path


def penalty(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("models/test_adversarial.py", name, *arguments)


def run(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("recipes/test_gan_recipe.py", name, *arguments)


def slope_with(change: Callable[[mg.Tensor], mg.Tensor]) -> Callable[[Patch], None]:
    original = adversarial._slope
    return replace(adversarial, "_slope", lambda f, x: change(original(f, x)))


def penalty_with(norm: Callable[[mg.Tensor], mg.Tensor]) -> Callable[[Patch], None]:
    """Another norm of the slopes (N, D) in the gradient penalty."""
    return replace(mg, "norm", lambda slopes, dim: norm(slopes))


class NothingFrozen(adversarial.frozen):
    def __enter__(self) -> None:
        self.values = []

    def __exit__(self, *error: object) -> None:
        pass


class BuffersNotPutBack(adversarial.frozen):
    def __exit__(self, *error: object) -> None:
        self.values = [buffer.data.copy() for buffer in self.buffers]
        super().__exit__()


def one_optimizer_for_both(patch: Patch) -> None:
    original = Recipe.build

    def build(self: Any) -> None:
        original(self)
        both = [*self.generator.parameters(), *self.discriminator.parameters()]
        self.generator_optimizer = self.discriminator_optimizer = mg.optim.Adam(both)

    patch.setattr(Recipe, "build", build)
    patch.setattr(recipe, "frozen", NothingFrozen)


def fakes_not_detached(patch: Patch) -> None:
    patch.setattr(recipe, "frozen", NothingFrozen)
    patch.setattr(mg, "no_grad", mg.enable_grad)


def mixed_batch(patch: Patch) -> None:
    """Real and fake through the discriminator as one batch."""

    def step(self: Any, real: Any, labels: Any) -> dict[str, Any]:
        with mg.no_grad(), adversarial.frozen(self.generator):
            fake = self.generator(self.noise(len(real)), labels)
        logits = self.discriminator(mg.cat([real, fake]), labels)
        loss = self.game.discriminator(logits[: len(real)], logits[len(real) :])
        recipe.descend(self.discriminator_optimizer, loss)
        return {"discriminator_loss": loss}

    patch.setattr(Recipe, "discriminator_step", step)


def labels_swapped(patch: Patch) -> None:
    right = adversarial.LOSSES["non-saturating"]
    wrong = adversarial.AdversarialLoss(
        lambda real, fake: right.discriminator(fake, real), right.generator
    )
    patch.setitem(adversarial.LOSSES, "non-saturating", wrong)


def norm_at_the_input(patch: Patch) -> None:
    original = dcgan.ConvDiscriminator.__init__

    def wrong(self: Any, shape: Any = (1, 28, 28), width: int = 64, norm: str = "batch") -> None:
        original(self, shape, width, norm)
        if norm == "batch":
            self.layers = mg.nn.Sequential(mg.nn.BatchNorm2d(shape[0]), *self.layers.children())

    patch.setattr(dcgan.ConvDiscriminator, "__init__", wrong)


STEP = "test_a_step_of_one_side_leaves_the_other_as_it_is"
FORMULA = "test_a_penalty_is_the_plain_formula_of_each_samples_own_gradient"

PLANTS = [
    Plant(
        "the fakes of the discriminator's step are not detached",
        fakes_not_detached,
        run("test_no_gradient_reaches_the_generator_through_the_real_half", images, folder),
    ),
    Plant("one optimizer for both networks", one_optimizer_for_both,
          run(STEP, "gan", images, folder)),
    Plant(
        "the other network's batch norm remembers this network's step",
        replace(recipe, "frozen", BuffersNotPutBack),
        run("test_batch_norm_s_memory_moves_in_its_own_step_only", images, folder),
    ),
    Plant(
        "spectral norm's vectors move in the generator's step",
        replace(recipe, "frozen", BuffersNotPutBack),
        run(STEP, "dcgan", images, folder),
    ),
    Plant(
        "real and fake in one batch norm",
        mixed_batch,
        run("test_real_and_fake_never_share_a_batch", images, folder),
    ),
    Plant(
        "real and fake swapped in the loss",
        labels_swapped,
        penalty("test_a_loss_is_its_formula", "non-saturating"),
    ),
    Plant(
        "the generator climbs its loss",
        entry(
            adversarial.LOSSES,
            "hinge",
            adversarial.AdversarialLoss(
                adversarial.LOSSES["hinge"].discriminator, lambda fake: fake.mean()
            ),
        ),
        penalty("test_what_the_discriminator_likes_the_generator_does_not", "hinge"),
    ),
    Plant(
        "the penalty's norm over the batch instead of over a sample",
        penalty_with(lambda slope: mg.sqrt(mg.square(slope).sum(dim=0))),
        penalty("test_the_norm_is_over_all_numbers_of_an_image"),
    ),
    Plant(
        "the penalty's norm over everything at once",
        penalty_with(lambda slope: mg.sqrt(mg.square(slope).sum()).reshape(1)),
        penalty("test_the_norm_is_over_all_numbers_of_an_image"),
    ),
    Plant(
        "a plain root in the penalty's norm",
        penalty_with(lambda slope: mg.sqrt(mg.square(slope).sum(dim=1))),
        penalty("test_a_penalty_is_finite_where_the_critic_is_flat", False),
    ),
    Plant(
        "the slope off the tape: a penalty that teaches nothing",
        slope_with(lambda slope: slope.detach().requires_grad_()),
        penalty(
            "test_the_gradient_of_a_penalty_is_that_of_finite_differences",
            "gradient_penalty",
        ),
    ),
    Plant(
        "R1 on the mean of the logits: too small by the batch's size, squared",
        slope_with(lambda slope: slope * (1 / len(slope))),
        penalty(FORMULA),
    ),
    Plant(
        "R1 on fakes",
        replace(
            recipe,
            "r1_penalty",
            lambda judge, real: adversarial.r1_penalty(judge, -real),
        ),
        run("test_r1_looks_at_real_samples_only", images, folder),
    ),
    Plant(
        "pixels in [0, 1] against a generator in [−1, 1]",
        replace(Recipe, "inside", lambda self, x: x),
        run("test_real_pixels_are_shown_between_minus_1_and_1_as_the_generator_s_are",
            images, folder),
    ),
    Plant(
        "samples from the newest weights, though there is an average",
        replace(
            Recipe,
            "sample",
            lambda self, n, seed: self.outside(
                self.generator(self.noise(n, mg.Generator(seed)))
            ).numpy(),
        ),
        run("test_samples_come_from_the_average_when_there_is_one", images, folder),
    ),
    Plant(
        "a batch norm at the discriminator's input",
        norm_at_the_input,
        test_of("models/test_dcgan.py", "test_norm_stands_everywhere_but_at_the_ends"),
    ),
    Plant(
        "one translation for the whole batch",
        entry(
            diffaugment.AUGMENTATIONS,
            "translation",
            lambda x, generator: mg.roll(x, 1, 2),
        ),
        test_of(
            "models/test_diffaugment.py",
            "test_translation_shifts_each_image_by_its_own_step_and_fills_with_zeros",
        ),
    ),
    Plant(
        "an augmentation without a gradient",
        entry(
            diffaugment.AUGMENTATIONS,
            "cutout",
            lambda x, generator: diffaugment._cutout(x.detach(), generator) + 0.0 * x,
        ),
        test_of(
            "models/test_diffaugment.py", "test_gradients_flow_back_through_all_of_them"
        ),
    ),
    Plant(
        "a verdict that never sees a discriminator win",
        replace(verdict, "PATIENCE", 10**6),
        test_of(
            "metrics/test_verdict.py",
            "test_each_sickness_is_named_with_its_number_and_what_to_try",
            "unbeaten",
            [
                {"step": 50 * (i + 1), "split": "train", "real_accuracy": 1.0,
                 "fake_accuracy": 0.7 if i < 5 else 0.999}
                for i in range(20)
            ],
            "100.0 % of real and 99.9 % of fake samples since step 300",
        ),
    ),
]  # fmt: skip


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)
