"""Mistakes of CycleGAN, planted one at a time: a named check notices each.

A check counts only if it passes on minigen as it is and fails on minigen with the mistake.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from suite import Patch, Plant, assert_caught, each_of, replace, test_of

import minigen as mg
from minigen.data import pairs
from minigen.models import adversarial
from minigen.models.cyclegan import ImagePool
from minigen.recipes import cyclegan as recipe

Recipe = recipe.CycleGANRecipe


def run(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("recipes/test_cyclegan_recipe.py", name, *arguments)


def pool(name: str, *arguments: Any) -> Callable[[], None]:
    return test_of("models/test_cyclegan.py", name, *arguments)


def after_build(change: Callable[[Any], None]) -> Callable[[Patch], None]:
    original = Recipe.build

    def build(self: Any) -> None:
        original(self)
        change(self)

    return replace(Recipe, "build", build)


def swap_generators(self: Any) -> None:
    self.a_to_b, self.b_to_a = self.b_to_a, self.a_to_b


def swap_discriminators(self: Any) -> None:
    self.discriminator_a, self.discriminator_b = self.discriminator_b, self.discriminator_a


def one_optimizer(self: Any) -> None:
    networks = (self.a_to_b, self.b_to_a, self.discriminator_a, self.discriminator_b)
    every = [p for network in networks for p in network.parameters()]
    self.generator_optimizer = self.discriminator_optimizer = mg.optim.Adam(every)


def generators_swapped_in_the_cycle(patch: Patch) -> None:
    """F(F(a)) for F(G(a)): the fakes are right, the way home is the wrong network."""

    original = Recipe._translated

    def translated(self: Any, network: Any, x: Any, there: Any) -> Any:
        out = original(self, network, x, there)
        if network is self.__dict__["kept"][1]:  # both fakes are there: the cycle comes next
            self.a_to_b, self.b_to_a = self.__dict__["kept"][::-1]
        return out

    step = Recipe.generator_step

    def generator_step(self: Any, a: Any, b: Any) -> Any:
        self.__dict__["kept"] = (self.a_to_b, self.b_to_a)
        try:
            return step(self, a, b)
        finally:
            self.a_to_b, self.b_to_a = self.__dict__.pop("kept")

    patch.setattr(Recipe, "_translated", translated)
    patch.setattr(Recipe, "generator_step", generator_step)


def identity_of_the_wrong_domain(patch: Patch) -> None:
    """G(a) against b, where G(b) belongs."""
    original = Recipe._translated

    def translated(self: Any, network: Any, x: Any, there: Any) -> Any:
        return original(self, network, x, x)

    patch.setattr(Recipe, "_translated", translated)


def always_new(self: Any, images: mg.Tensor, generator: mg.Generator) -> mg.Tensor:
    self._exchange_right(images, generator)
    return images


def pool_that_hands_out_the_newest(patch: Patch) -> None:
    patch.setattr(ImagePool, "_exchange_right", ImagePool._exchange, raising=False)
    patch.setattr(ImagePool, "_exchange", always_new)


def pool_that_aliases(patch: Patch) -> None:
    def query(self: Any, images: mg.Tensor, generator: mg.Generator) -> mg.Tensor:
        self.images = images.detach()
        return images.detach()

    patch.setattr(ImagePool, "query", query)


def pool_without_its_images(patch: Patch) -> None:
    original = ImagePool.state

    def state(self: Any) -> dict[str, Any]:
        return {**original(self), "count": 0}

    patch.setattr(ImagePool, "state", state)


def fakes_not_detached(patch: Patch) -> None:
    def query(self: Any, images: mg.Tensor, generator: mg.Generator) -> mg.Tensor:
        return images

    patch.setattr(ImagePool, "query", query)


class NothingFrozen(adversarial.frozen):
    def __enter__(self) -> None:
        self.values = []

    def __exit__(self, *error: object) -> None:
        pass


def one_optimizer_for_all_four(patch: Patch) -> None:
    after_build(one_optimizer)(patch)
    patch.setattr(recipe, "frozen", NothingFrozen)


def one_seed_for_both(patch: Patch) -> None:
    original = pairs.Batches
    patch.setattr(
        pairs,
        "Batches",
        lambda data, size, seed, drop_last: original(data, size, seed=7, drop_last=drop_last),
    )


FORMULA = "test_every_term_is_its_formula_and_so_is_the_gradient"
CHANNELS = "test_directions_are_not_swapped_as_their_channels_show"
STEP = "test_a_step_of_one_side_leaves_the_other_as_it_is"

PLANTS = [
    Plant("the two generators swapped", after_build(swap_generators), run(CHANNELS)),
    Plant("the generators swapped in the cycle", generators_swapped_in_the_cycle, run(FORMULA)),
    Plant(
        "the discriminators swapped",
        after_build(swap_discriminators),
        run(CHANNELS),
    ),
    Plant(
        "the identity term fed with the wrong domain", identity_of_the_wrong_domain, run(FORMULA)
    ),
    Plant(
        "squares in place of distances in the cycle",
        replace(recipe, "l1", lambda x, y: mg.square(x - y).mean()),
        run(FORMULA),
    ),
    Plant(
        "the pool hands out the newest image every time",
        pool_that_hands_out_the_newest,
        pool("test_a_full_pool_hands_out_an_old_image_half_of_the_time", lambda: None),
    ),
    Plant(
        "the pool keeps the very memory that it hands out",
        pool_that_aliases,
        pool("test_the_pool_shares_no_memory_with_what_comes_and_goes"),
    ),
    Plant(
        "a checkpoint without the pool's images",
        pool_without_its_images,
        pool("test_a_pool_goes_on_from_its_state", lambda: None),
    ),
    Plant("the fakes of the discriminators' step not detached", fakes_not_detached, run(STEP)),
    Plant("one optimizer for all four networks", one_optimizer_for_all_four, run(STEP)),
    Plant(
        "a discriminator that is told to believe the fakes",
        replace(recipe, "discriminator_loss", lambda real, fake: mg.square(fake - 1.0).mean()),
        run("test_a_discriminator_is_charged_for_its_own_domain"),
    ),
    Plant(
        "a data set beside itself comes in pairs",
        one_seed_for_both,
        run("test_a_data_set_beside_itself_is_not_paired"),
    ),
]  # fmt: skip


@each_of(PLANTS)
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    # Swapped networks refuse images of other channels with a ValueError.
    assert_caught(plant, ValueError)
