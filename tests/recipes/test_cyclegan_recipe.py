"""Runs of CycleGAN between small sets of images: directions, steps, resume, readers, refusals."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen import nn
from minigen.backends.strict import count_transfers
from minigen.cli import main
from minigen.data import Dataset, load
from minigen.data.pairs import Pair, PairBatches, load_pair
from minigen.data.resize import pad_to, resize
from minigen.errors import UserError
from minigen.recipes import digit_judges
from minigen.recipes.cyclegan import CycleGANConfig, CycleGANRecipe
from minigen.recipes.run import Run
from minigen.training import Observer, StopRequest, checkpoint

SMALL = {"width": 2, "blocks": 1, "patch_width": 2, "patch_depth": 1, "batch_size": 4, "pool": 6}


class StopAt(Observer):
    def __init__(self, step: int, stop: StopRequest) -> None:
        self.at, self.stop = step, stop

    def stepped(self, step: int) -> None:
        if step == self.at:
            self.stop.signal = signal.SIGINT


def images(name: str, count: int, channels: int, side: int = 12, split: str = "train") -> Dataset:
    """Bright bars on grey: upright ones in "a", flat ones in every other."""
    random = np.random.default_rng(len(name) + channels)
    data = random.integers(0, 60, (count, channels, side, side)).astype(np.uint8)
    for index, one in enumerate(data):
        place = 2 + index % (side - 4)
        one[(..., slice(place, place + 2)) if name == "a" else (slice(None), place)] = 230
    return Dataset(name, split, data, None, "image", (0, 255))


def pair(channels: tuple[int, int] = (1, 1), counts: tuple[int, int] = (13, 11)) -> Pair:
    return Pair(images("a", counts[0], channels[0]), images("b", counts[1], channels[1]))


def recipe_of(data: Pair, **options: Any) -> Any:
    config = CycleGANConfig(**{**SMALL, **options})
    recipe = CycleGANRecipe(config, CycleGANRecipe.describe(config, data), 3)
    return recipe, recipe.batches(data)


def inside(recipe: Any, batches: Any) -> tuple[mg.Tensor, mg.Tensor]:
    a, b = (2.0 * mg.tensor(half.x) - 1.0 for half in next(batches))
    return a, b


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cyclegan")
    np.save(folder / "a.npy", images("a", 33, 1).data)
    np.save(folder / "b.npy", images("b", 21, 3, 14).data)
    return folder


def create(folder: Path, out: Path, **changes: Any) -> Run:
    return Run.create(
        "cyclegan",
        data=f"{folder / 'a.npy'}::{folder / 'b.npy'}",
        out=out,
        steps=7,
        seed=3,
        options={**SMALL, "evaluate_every": 3, **changes},
    )


@pytest.fixture(scope="module")
def finished(folder: Path) -> Path:
    create(folder, folder / "run").train()
    return folder / "run"


# ---------------------------------------------------------------- runs


def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    folder: Path, finished: Path, tmp_path: Path
) -> None:
    again, stop = tmp_path / "run", StopRequest()
    assert create(folder, again).train(StopAt(4, stop), stop) is None
    Run.resume(again).train()
    expected, got = (
        checkpoint.separate(checkpoint.load(f / "checkpoint.safetensors"))
        for f in (finished, again)
    )
    assert set(expected[0]) == set(got[0])
    for name, array in expected[0].items():
        assert array.tobytes() == got[0][name].tobytes(), name
    assert expected[1]["recipe"] == got[1]["recipe"]
    for name in ("metrics.jsonl", "progress.gif", "progress/step_000007.png"):
        assert (again / name).read_bytes() == (finished / name).read_bytes(), name


def test_a_checkpoint_has_four_networks_two_optimizers_and_two_full_pools(finished: Path) -> None:
    state = checkpoint.load(finished / "checkpoint.safetensors")["recipe"]
    assert set(state) == {
        "a_to_b", "b_to_a", "discriminator_a", "discriminator_b", "generator_optimizer",
        "discriminator_optimizer", "generator_schedule", "discriminator_schedule",
        "pool_a", "pool_b", "random",
    }  # fmt: skip
    assert state["pool_a"]["images"].shape == (6, 1, 14, 14)
    assert state["pool_b"]["images"].shape == (6, 3, 14, 14)


def test_a_run_leaves_numbers_and_pictures(finished: Path) -> None:
    summary = json.loads((finished / "summary.json").read_text())
    assert summary["headline"] == "cycle_l1"
    assert set(summary["metrics"]) == {"cycle_l1", "spread"}
    assert {"loss.png", "terms.png", "translations.png", "progress.gif"} <= {
        path.name for path in finished.iterdir()
    }
    pictures = sorted(path.name for path in (finished / "progress").iterdir())
    assert pictures == [f"step_{step:06d}.png" for step in (0, 3, 6, 7)]
    lines = [json.loads(x) for x in (finished / "metrics.jsonl").read_text().splitlines()]
    train = next(x for x in lines if x["split"] == "train")
    assert {"generator_loss", "cycle_loss", "discriminator_loss", "real_accuracy"} <= set(train)


def test_looking_does_not_change_what_is_looked_at(folder: Path, tmp_path: Path) -> None:
    run = create(folder, tmp_path / "run")
    recipe = run.recipe
    recipe.batches(run.data("train"))
    before = checkpoint.separate(recipe.state())
    recipe.evaluate(run.data("val"), thorough=True)
    recipe.progress(tmp_path, 3)
    after = checkpoint.separate(recipe.state())
    assert before[1] == after[1]
    assert all(before[0][name].tobytes() == after[0][name].tobytes() for name in before[0])


def test_the_cycle_closes_in_training() -> None:
    recipe, batches = recipe_of(pair(), width=4, learning_rate=2e-3, decay=False)
    first = recipe.evaluate(pair(), thorough=False)["cycle_l1"]
    for _ in range(60):
        recipe.step(next(batches))
    assert recipe.evaluate(pair(), thorough=False)["cycle_l1"] < 0.6 * first


# ---------------------------------------------------------------- directions and terms


def test_directions_are_not_swapped_as_their_channels_show() -> None:
    """Grey A, RGB B: each network fits in one place of the cycle only."""
    recipe, batches = recipe_of(pair((1, 3)))
    assert recipe.translate(np.zeros((2, 1, 12, 12)), "ab").shape == (2, 3, 12, 12)
    assert recipe.translate(np.zeros((2, 3, 12, 12)), "ba").shape == (2, 1, 12, 12)
    assert [recipe.source_channels(d) for d in ("ab", "ba")] == [1, 3]
    numbers = recipe.step(next(batches))
    assert "identity_loss" not in numbers  # an image of B cannot be given to A → B
    assert recipe.pool_a.images.shape == (6, 1, 12, 12)
    assert recipe.pool_b.images.shape == (6, 3, 12, 12)


def test_every_term_is_its_formula_and_so_is_the_gradient() -> None:
    """Image heap by image heap, in the words of the paper; the recipe joins what does not mix."""
    recipe, batches = recipe_of(pair(), cycle=7.0, identity=0.3)
    a, b = inside(recipe, batches)
    forth, back = recipe.a_to_b, recipe.b_to_a

    def off(x: mg.Tensor, y: mg.Tensor) -> mg.Tensor:
        return mg.abs(x - y).mean()

    deceit = mg.square(recipe.discriminator_b(forth(a)) - 1.0).mean()
    deceit = deceit + mg.square(recipe.discriminator_a(back(b)) - 1.0).mean()
    cycle = off(back(forth(a)), a) + off(forth(back(b)), b)
    identity = off(forth(b), b) + off(back(a), a)
    learned = [*forth.parameters(), *back.parameters()]
    expected = mg.grad(deceit + 7.0 * cycle + 2.1 * identity, learned)
    fakes = back(b).numpy(), forth(a).numpy()
    numbers, fake_a, fake_b = recipe.generator_step(a, b)
    assert numbers["generator_loss"].item() == pytest.approx(deceit.item(), rel=1e-5)
    assert numbers["cycle_loss"].item() == pytest.approx(cycle.item(), rel=1e-5)
    assert numbers["identity_loss"].item() == pytest.approx(identity.item(), rel=1e-5)
    for fake, made in zip((fake_a, fake_b), fakes, strict=True):
        assert not fake.requires_grad
        np.testing.assert_allclose(fake.numpy(), made, atol=1e-5)
    for parameter, gradient in zip(learned, expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), rtol=2e-3, atol=2e-5)


def test_a_discriminator_is_charged_for_its_own_domain() -> None:
    recipe, batches = recipe_of(pair(), pool=0)
    a, b = inside(recipe, batches)
    fake_a, fake_b = mg.rand(4, 1, 12, 12), mg.rand(4, 1, 12, 12) - 1.0
    expected = sum(
        0.5 * mg.square(network(real) - 1.0).mean().item()
        + 0.5 * mg.square(network(fake)).mean().item()
        for network, real, fake in (
            (recipe.discriminator_a, a, fake_a),
            (recipe.discriminator_b, b, fake_b),
        )
    )
    got = recipe.discriminator_step(a, b, fake_a, fake_b)["discriminator_loss"].item()
    assert got == pytest.approx(expected, rel=1e-4)


def state_of(*networks: nn.Module) -> list[bytes]:
    return [x.numpy().tobytes() for network in networks for x in network.state_dict().values()]


def test_a_step_of_one_side_leaves_the_other_as_it_is() -> None:
    recipe, batches = recipe_of(pair())
    a, b = inside(recipe, batches)
    generators = (recipe.a_to_b, recipe.b_to_a)
    judges = (recipe.discriminator_a, recipe.discriminator_b)
    for network in (*generators, *judges):
        for parameter in network.parameters():
            parameter.grad = None
    before = state_of(*generators), state_of(*judges)
    # Fakes still on the tape, as a step that forgets to cut it would hand them on.
    recipe.discriminator_step(a, b, recipe.b_to_a(b), recipe.a_to_b(a))
    assert state_of(*generators) == before[0]
    assert all(p.grad is None for network in generators for p in network.parameters())
    assert all(x != y for x, y in zip(state_of(*judges), before[1], strict=True))
    middle = state_of(*judges)
    recipe.generator_step(a, b)
    assert state_of(*judges) == middle
    assert all(x != y for x, y in zip(state_of(*generators), before[0], strict=True))


def test_the_discriminators_see_what_the_pools_hand_out() -> None:
    recipe, batches = recipe_of(pair(), pool=6)
    seen: list[np.ndarray] = []
    recipe.discriminator_b.register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    a, b = inside(recipe, batches)
    old = 0
    for step in range(30):
        seen.clear()
        fake = mg.full((4, 1, 12, 12), float(step))
        recipe.discriminator_step(a, b, fake, fake)
        np.testing.assert_array_equal(seen[0][:4], b.numpy())
        old += int((seen[0][4:, 0, 0, 0] < step).sum())
    assert 30 < old < 85  # of 112 after the pool is full


def test_the_learning_rates_stay_and_then_fall_straight_to_zero() -> None:
    recipe, batches = recipe_of(pair(), steps=8, learning_rate=1e-3)
    rates = []
    for _ in range(8):
        recipe.step(next(batches))
        rates.append([o.param_groups[0]["lr"] for o in
                      (recipe.generator_optimizer, recipe.discriminator_optimizer)])  # fmt: skip
    np.testing.assert_allclose(
        np.array(rates).T, [[1e-3, 1e-3, 1e-3, 1e-3, 7.5e-4, 5e-4, 2.5e-4, 0]] * 2, atol=1e-12
    )


def test_a_step_brings_nothing_to_the_host() -> None:
    with mg.use("strict"):
        recipe, batches = recipe_of(pair())
        for _ in range(3):
            batch = next(batches)
            a, b = mg.tensor(batch.a.x), mg.tensor(batch.b.x)
            with count_transfers() as count:
                _, fake_a, fake_b = recipe.generator_step(a, b)
                recipe.discriminator_step(a, b, fake_a, fake_b)
            assert count.total == 0, count


@pytest.mark.parametrize("counts", [(3, 3), (1, 13), (9, 2)])
def test_data_smaller_than_a_batch_are_one_batch(counts: tuple[int, int]) -> None:
    recipe, batches = recipe_of(pair(counts=counts))
    for _ in range(4):
        batch = next(batches)
        assert [len(batch.a.x), len(batch.b.x)] == [min(4, count) for count in counts]
        assert np.isfinite(recipe.step(batch)["generator_loss"].item())


def test_a_data_set_beside_itself_is_not_paired() -> None:
    one = images("a", 40, 1)
    batches = PairBatches(Pair(one, one), 10, seed=4)
    batch = next(batches)
    assert (batch.a.x != batch.b.x).any()


# ---------------------------------------------------------------- sizes, readers


def test_images_are_brought_to_one_size_with_the_border_asked_for() -> None:
    data = Pair(images("a", 5, 1, 8), images("b", 5, 1, 28))
    recipe, _ = recipe_of(data, inside_a=20)
    assert recipe.facts["size"] == [28, 28]
    small = np.random.default_rng(0).random((2, 1, 8, 8)).astype(np.float32)
    np.testing.assert_array_equal(recipe.fit(small, "a"), pad_to(resize(small, 20), 28))
    np.testing.assert_array_equal(recipe.fit(small, "b"), resize(small, 28))
    large = np.zeros((1, 1, 28, 28))
    assert recipe.fit(large, "a") is large
    plain, _ = recipe_of(data, size=16)
    assert plain.fitted(data.b, "b").sample_shape == (1, 16, 16)


def digits_and_enlarged(split: str = "val") -> Pair:
    """Digits, and themselves under the name of MNIST, in its size."""
    digits = load("digits", split)
    large = pad_to(resize(np.round(digits.data * (255 / 16)).astype(np.uint8), 20), 28)
    return Pair(digits, Dataset("mnist", split, large, digits.labels, "image", (0, 255)))


def test_a_translator_that_does_nothing_is_read_as_the_untranslated_images_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    data = digits_and_enlarged()
    recipe, _ = recipe_of(data, inside_a=20)
    assert recipe.headline == "accuracy_translated_percent"
    monkeypatch.setattr(type(recipe), "translate", lambda self, x, d: self.fit(x, d[0]))
    got = recipe.evaluate(data, thorough=False)
    assert got["accuracy_translated_percent"] == got["accuracy_untranslated_percent"]
    assert got["accuracy_untranslated_percent"] == pytest.approx(82, abs=3)
    assert got["cycle_l1"] == 0
    assert got["spread"] == pytest.approx(1, abs=0.05)
    before, real = recipe.oracles(data)
    assert (before.label, before.value) == ("untranslated", got["accuracy_untranslated_percent"])
    assert real.value == pytest.approx(before.value, abs=2)


def test_a_translator_that_swaps_the_labels_is_found_out(monkeypatch: pytest.MonkeyPatch) -> None:
    """What it makes are perfect digits, and the wrong ones."""
    data = digits_and_enlarged()
    recipe, _ = recipe_of(data, inside_a=20)
    monkeypatch.setattr(
        type(recipe), "translate", lambda self, x, d: np.roll(self.fit(x, d[0]), 1, axis=0)
    )
    assert recipe.evaluate(data, thorough=False)["accuracy_translated_percent"] < 30


def test_the_reader_of_small_digits_learns_from_them_and_leaves_the_random_state(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(digit_judges, "STEPS", 80)
    train, val = (
        Dataset("digits", s, resize((d := load("digits", s)).data / np.float32(16), 12), d.labels,
                "image", (0, 1))
        for s in ("train", "val")
    )  # fmt: skip
    before = mg.default_generator().state()
    read = digit_judges.judge_of("digits", None, lambda: train)
    assert mg.default_generator().state() == before
    assert (read(val.data) == val.labels).mean() > 0.7
    np.testing.assert_array_equal(
        read(val.data), digit_judges.judge_of("digits", None, lambda: train)(val.data)
    )


def test_the_reader_of_mnist_takes_the_border_off_again() -> None:
    data = digits_and_enlarged()
    plain = digit_judges.judge_of("mnist", None, lambda: data.b)(data.b.data / 255)
    framed = pad_to(data.b.data / 255, 36)
    np.testing.assert_array_equal(digit_judges.judge_of("mnist", 28, lambda: data.b)(framed), plain)


# ---------------------------------------------------------------- the command line


def test_a_and_b_on_the_command_line(folder: Path, tmp_path: Path, capsys: Any) -> None:
    command = ["train", "cyclegan", "--a", str(folder / "a.npy"), "--b", str(folder / "b.npy")]
    options = [f"{name}={value}" for name, value in SMALL.items()]
    assert main([*command, "--out", str(tmp_path / "run"), "--steps", "2", "--set", *options]) == 0
    assert "cycle_l1" in capsys.readouterr().out
    settings = json.loads((tmp_path / "run" / "config.json").read_text())
    assert settings["data"] == f"{folder / 'a.npy'}::{folder / 'b.npy'}"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["vae", "--a", "digits", "--b", "mnist"], "vae trains on one data set: give --data"),
        (["cyclegan", "--a", "digits"], "--a and --b go together: --b is missing"),
        (["cyclegan", "--a", "x", "--b", "y", "--data", "z"], "--data and --a, --b exclude"),
        (["cyclegan", "--data", "digits"], "data must be two data sets, A::B, got 'digits'"),
        (["cyclegan", "--a", "digits", "--b", "x::y"], "a path without '::', got 'x::y'"),
        (["cyclegan", "--a", "digits", "--b", "wine"], "needs grey or RGB images, and wine has"),
        (["cyclegan", "--a", "digits", "--b", "digits", "--set", "inside_a=9"],
         "inside_a must be at most 8, the size of the images, got 9"),
        (["cyclegan", "--a", "digits", "--b", "digits", "--set", "patch_depth=2"],
         "patch_depth 2 is too much for images of 8×8"),
    ],
)  # fmt: skip
def test_what_cannot_be_ends_in_one_line(
    arguments: list[str], message: str, tmp_path: Path, capsys: Any
) -> None:
    assert main(["train", *arguments, "--out", str(tmp_path / "run")]) == 2
    shown = capsys.readouterr().err
    assert message in shown
    assert shown.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_a_run_does_not_take_images_of_other_channels(finished: Path, folder: Path) -> None:
    with pytest.raises(UserError, match="was built for 1 and 3 channels, got 3 and 3"):
        Run.open(finished).evaluate(data=f"{folder / 'b.npy'}::{folder / 'b.npy'}")
    with pytest.raises(UserError, match="cyclegan cannot be sampled"):
        Run.open(finished).sample(3)
    with pytest.raises(UserError, match="direction must be one of ab, ba, got 'bb'"):
        Run.open(finished).translate(np.zeros((1, 1, 14, 14)), "bb")
    with pytest.raises(UserError, match=r"images must have shape \(N, 3, H, W\)"):
        Run.open(finished).translate(np.zeros((1, 1, 14, 14)), "ba")


def test_a_folder_with_a_broken_file_is_one_line(tmp_path: Path) -> None:
    from PIL import Image

    (tmp_path / "a").mkdir()
    for index in range(12):
        Image.fromarray(np.zeros((9, 9), np.uint8)).save(tmp_path / "a" / f"{index}.png")
    assert len(load_pair(f"{tmp_path / 'a'}::digits", "train").a) == 10
    (tmp_path / "a" / "3.png").write_bytes(b"no image")
    with pytest.raises(UserError, match=r"3\.png is no image, or a damaged one"):
        load_pair(f"{tmp_path / 'a'}::digits", "train")
