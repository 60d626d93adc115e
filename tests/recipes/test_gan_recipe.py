"""Runs of the adversarial recipes from beginning to end, on small nets: steps, resume, refusals."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from run_checks import assert_same_end, assert_steps_bring_nothing_to_the_host, stop_and_resume

import minigen as mg
from minigen import nn
from minigen.cli import main
from minigen.data import Dataset
from minigen.errors import UserError
from minigen.models.adversarial import LOSSES, r1_penalty
from minigen.recipes import find
from minigen.recipes.adversarial import InstanceNoise
from minigen.recipes.run import Run
from minigen.training import checkpoint

POINTS = {"latent": 2, "hidden": (8, 8), "batch_size": 16, "evaluate_every": 4}
IMAGES = {"latent": 4, "width": 2, "batch_size": 6, "evaluate_every": 4}
KINDS = {
    "gan": ("ring", {**POINTS, "r1": 0.1, "ema": 0.9, "decay": True, "instance_noise": 0.5}),
    "wgan-gp": ("grid", {**POINTS, "critic_steps": 2, "ema": 0.9}),
    "dcgan": ("images", {**IMAGES, "augment": ("translation", "colour"), "norm": "spectral"}),
    "conditional": ("images", {**POINTS, "conditional": True, "dropout": 0.2, "batch_size": 6}),
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("gan")


@pytest.fixture(scope="module")
def images(folder: Path) -> Path:
    """Forty grey images, 16×16, of three classes: a bright bar at one of three places."""
    random = np.random.default_rng(0)
    data = random.integers(0, 60, (40, 1, 16, 16)).astype(np.uint8)
    labels = np.arange(40) % 3
    for one, label in zip(data, labels, strict=True):
        one[:, :, 2 + 5 * label : 5 + 5 * label] = 230
    np.savez(folder / "bars.npz", data=data, labels=labels)
    return folder / "bars.npz"


def make(kind: str, out: Path, images: Path, steps: int = 10, **changes: Any) -> Run:
    data, options = KINDS[kind]
    return Run.create(
        "gan" if kind == "conditional" else kind,
        data=str(images) if data == "images" else data,
        out=out,
        steps=steps,
        seed=3,
        options={**options, **changes},
    )


@pytest.fixture(scope="module")
def finished(folder: Path, images: Path) -> dict[str, Path]:
    for kind in KINDS:
        make(kind, folder / kind, images).train()
    return {kind: folder / kind for kind in KINDS}


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("kind", KINDS)
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    kind: str, finished: dict[str, Path], images: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    stop_and_resume(make(kind, folder, images), 5)
    pictures = sorted(path.name for path in (finished[kind] / "progress").iterdir())
    assert pictures == [f"step_{step:06d}.png" for step in (0, 4, 8, 10)]
    drawn = (f"progress/{name}" for name in pictures)
    assert_same_end(finished[kind], folder, "metrics.jsonl", "progress.gif", *drawn)


def test_a_checkpoint_has_both_sides_and_the_average(finished: dict[str, Path]) -> None:
    state = checkpoint.load(finished["gan"] / "checkpoint.safetensors")["recipe"]
    assert set(state) == {
        "generator", "discriminator", "generator_optimizer", "discriminator_optimizer",
        "generator_schedule", "discriminator_schedule", "average", "fog", "random",
    }  # fmt: skip


def test_a_run_says_how_it_went(finished: dict[str, Path]) -> None:
    lines = [json.loads(x) for x in (finished["gan"] / "metrics.jsonl").read_text().splitlines()]
    assert [x["label"] for x in lines if x["split"] == "oracle"] == ["all", "the data"]
    (train,) = [x for x in lines if x["split"] == "train"]
    assert set(train) == {
        "step", "split", "discriminator_loss", "generator_loss", "real_accuracy", "fake_accuracy",
        "discriminator_grad_norm", "generator_grad_norm", "r1_penalty", "instance_noise",
    }  # fmt: skip
    assert 0 <= train["fake_accuracy"] <= 1
    summary = json.loads((finished["gan"] / "summary.json").read_text())
    assert summary["headline"] == "modes"
    assert set(summary["metrics"]) == {
        "modes", "within_3_sigma_percent", "modes_total", "spread",
    }  # fmt: skip
    assert isinstance(summary["verdict"], list)
    assert {"loss.png", "samples.png", "progress.gif"} <= {
        path.name for path in finished["gan"].iterdir()
    }
    images = json.loads((finished["dcgan"] / "summary.json").read_text())
    assert images["headline"] == "spread"


def test_a_collapse_is_told_once_in_the_log_and_on_the_command_line(
    tmp_path: Path, capsys: Any
) -> None:
    command = ["train", "gan", "--out", str(tmp_path / "run"), "--steps", "12", "--set"]
    # A generator that hardly moves stays the heap of points that it is at the start.
    command += ["generator_lr=1e-9", "hidden=8,8", "latent=2", "evaluate_every=2", "batch_size=8"]
    assert main(command) == 0
    shown = capsys.readouterr().err
    assert shown.count("\nVERDICT: collapse at step 4: the samples' deviation is") == 1
    assert "minigen: VERDICT: collapse at step 12" in shown
    log = (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()
    signs = [json.loads(line)["sign"] for line in log if '"verdict"' in line]
    assert signs.count("collapse") == 1
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["verdict"][0].startswith("collapse at step 12")


def test_samples_are_images_in_the_unit_interval_or_points_in_the_data_s_units(
    finished: dict[str, Path], tmp_path: Path
) -> None:
    points = Run.open(finished["wgan-gp"]).sample(7, seed=1)
    assert points.shape == (7, 2)
    run = Run.open(finished["dcgan"])
    pixels = run.sample(7, seed=1)
    assert pixels.shape == (7, 1, 16, 16)
    assert pixels.min() >= 0
    assert pixels.max() <= 1
    np.testing.assert_array_equal(run.sample(7, seed=1), pixels)
    Run.open(finished["gan"]).write_samples(tmp_path / "x.png", 30)
    run.write_samples(tmp_path / "y.png", 30)
    Run.open(finished["gan"]).write_samples(tmp_path / "x.npy", 30)
    assert np.load(tmp_path / "x.npy").shape == (30, 2)


def test_looking_does_not_change_what_is_looked_at(images: Path, tmp_path: Path) -> None:
    run = make("dcgan", tmp_path / "run", images)
    before = checkpoint.separate(run.recipe.state())
    run.recipe.evaluate(run.data("val"), thorough=False)
    run.recipe.progress(tmp_path, 3)
    after = checkpoint.separate(run.recipe.state())
    assert before[1] == after[1]
    assert all(before[0][name].tobytes() == after[0][name].tobytes() for name in before[0])


# ---------------------------------------------------------------- one step


def recipe_of(kind: str, images: Path, tmp_path: Path, **changes: Any) -> Any:
    run = make(kind, tmp_path / "run", images, **changes)
    return run.recipe, next(run.recipe.batches(run.data("train")))[0]


def state_of(network: nn.Module) -> dict[str, bytes]:
    return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_of_one_side_leaves_the_other_as_it_is(
    kind: str, images: Path, tmp_path: Path
) -> None:
    recipe, batch = recipe_of(kind, images, tmp_path)
    real, labels = recipe.inside(mg.tensor(batch.x)), recipe.labels_of(batch)
    for step, moves, stays in (
        (lambda: recipe.generator_step(6, labels), recipe.generator, recipe.discriminator),
        (lambda: recipe.discriminator_step(real[:6], _first(labels)),
         recipe.discriminator, recipe.generator),
    ):  # fmt: skip
        for parameter in (*recipe.generator.parameters(), *recipe.discriminator.parameters()):
            parameter.grad = None
        own, other = state_of(moves), state_of(stays)
        step()
        assert state_of(stays) == other
        assert all(parameter.grad is None for parameter in stays.parameters())
        assert state_of(moves) != own


def _first(labels: mg.Tensor | None) -> mg.Tensor | None:
    return None if labels is None else labels[:6]


def test_batch_norm_s_memory_moves_in_its_own_step_only(images: Path, tmp_path: Path) -> None:
    recipe, batch = recipe_of("dcgan", images, tmp_path, norm="batch")
    assert any("running_mean" in name for name in recipe.discriminator.state_dict())
    before = state_of(recipe.discriminator)
    recipe.generator_step(6, None)
    assert state_of(recipe.discriminator) == before
    memory = {name: x for name, x in state_of(recipe.generator).items() if "running" in name}
    recipe.discriminator_step(recipe.inside(mg.tensor(batch.x)), None)
    assert {name: state_of(recipe.generator)[name] for name in memory} == memory


def test_real_and_fake_never_share_a_batch(images: Path, tmp_path: Path) -> None:
    """In one batch norm they would see one another's statistics."""
    recipe, batch = recipe_of("dcgan", images, tmp_path, norm="batch", augment=())
    real, seen = recipe.inside(mg.tensor(batch.x)), []
    recipe.discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    recipe.discriminator_step(real, None)
    recipe.generator_step(len(real), None)
    assert [len(x) for x in seen] == [len(real)] * 3
    np.testing.assert_array_equal(seen[0], real.numpy())


def test_no_gradient_reaches_the_generator_through_the_real_half(
    images: Path, tmp_path: Path
) -> None:
    """Each side's gradient is that of its own loss by its own parameters, and nothing more."""
    recipe, batch = recipe_of("gan", images, tmp_path, r1=0.0, ema=0.0, instance_noise=0.0)
    real = recipe.inside(mg.tensor(batch.x))
    recipe.generator_optimizer.zero_grad()
    recipe.discriminator_step(real, None)
    assert all(parameter.grad is None for parameter in recipe.generator.parameters())
    state = recipe.random.state()
    fake = recipe.generator(recipe.noise(5))
    expected = mg.grad(
        recipe.game.generator(recipe.discriminator(fake)), list(recipe.generator.parameters())
    )
    recipe.random.load_state(state)
    recipe.generator_step(5, None)
    for parameter, gradient in zip(recipe.generator.parameters(), expected, strict=True):
        np.testing.assert_allclose(parameter.grad.numpy(), gradient.numpy(), rtol=1e-5, atol=1e-8)


def test_r1_looks_at_real_samples_only(images: Path, tmp_path: Path) -> None:
    recipe, batch = recipe_of("gan", images, tmp_path)
    real = recipe.inside(mg.tensor(batch.x))
    expected = r1_penalty(recipe.discriminator, real).item()
    numbers = recipe.discriminator_step(real, None)
    assert numbers["r1_penalty"].item() == pytest.approx(expected, rel=1e-5)


def test_both_sides_move_down_their_own_loss(images: Path, tmp_path: Path) -> None:
    recipe, batch = recipe_of("gan", images, tmp_path, r1=0.0, ema=0.0, batch_size=512)
    real = recipe.inside(mg.tensor(batch.x))
    z = recipe.noise(512, mg.Generator(9))

    def losses() -> tuple[float, float]:
        with mg.no_grad():
            of_real, of_fake = (recipe.discriminator(x) for x in (real, recipe.generator(z)))
            return (
                recipe.game.discriminator(of_real, of_fake).item(),
                recipe.game.generator(of_fake).item(),
            )

    before = losses()[0]
    for _ in range(20):
        recipe.discriminator_step(real, None)
    between = losses()
    assert between[0] < before
    for _ in range(20):
        recipe.generator_step(512, None)
    assert losses()[1] < between[1]


def test_real_pixels_are_shown_between_minus_1_and_1_as_the_generator_s_are(
    images: Path, tmp_path: Path
) -> None:
    recipe, _ = recipe_of("dcgan", images, tmp_path)
    x = mg.tensor(np.array([0.0, 0.5, 1.0], dtype="f4"))
    np.testing.assert_allclose(recipe.inside(x).numpy(), [-1, 0, 1])
    np.testing.assert_allclose(recipe.outside(recipe.inside(x)).numpy(), x.numpy())


def test_instance_noise_falls_along_half_a_cosine_and_stays_at_its_end() -> None:
    fog, seen = InstanceNoise(0.5, 0.1, 4), []
    for _ in range(7):
        seen.append(fog.deviation)
        fog.steps += 1
    high, low = 0.5 + 0.5 * np.sqrt(0.5), 0.5 - 0.5 * np.sqrt(0.5)
    expected = [0.5, 0.1 + 0.4 * high, 0.3, 0.1 + 0.4 * low, 0.1, 0.1, 0.1]
    np.testing.assert_allclose(seen, expected, rtol=1e-12)
    again = InstanceNoise(0.5, 0.1, 4)
    again.load_state_dict({"steps": 2})
    assert (again.state_dict(), again.deviation) == ({"steps": 2}, pytest.approx(0.3))


def test_instance_noise_is_over_real_and_made_up_samples_alike(
    images: Path, tmp_path: Path
) -> None:
    """What the discriminator is shown lies beside what it would be shown, by s in both halves."""
    options = {"r1": 0.0, "instance_noise": 0.3, "batch_size": 4000}
    recipe, batch = recipe_of("gan", images, tmp_path, **options)
    real, seen = recipe.inside(mg.tensor(batch.x)), []
    recipe.discriminator.register_forward_pre_hook(lambda _, args: seen.append(args[0].numpy()))
    recipe.generator.register_forward_hook(lambda _, args, out: seen.append(out.numpy()))
    recipe.discriminator_step(real, None)
    recipe.generator_step(len(real), None)
    made, foggy_real, foggy_made, made_later, foggy_later = seen
    for shown, clear in ((foggy_real, real.numpy()), (foggy_made, made), (foggy_later, made_later)):
        assert (shown - clear).std() == pytest.approx(0.3, rel=0.05)
        assert abs((shown - clear).mean()) < 0.02
    assert recipe.sample(5, 0).shape == (5, 2)
    assert len(seen) == 5  # samples to look at are clear


def test_samples_come_from_the_average_when_there_is_one(images: Path, tmp_path: Path) -> None:
    recipe, batch = recipe_of("gan", images, tmp_path, generator_lr=0.1)
    recipe.step([batch])
    recipe.step([batch])
    z = recipe.noise(4, mg.Generator(0))
    with mg.no_grad():
        average = recipe.outside(recipe.average.model(z)).numpy()
        newest = recipe.outside(recipe.generator(z)).numpy()
    np.testing.assert_allclose(recipe.sample(4, 0), average, rtol=1e-5)
    assert not np.allclose(average, newest)


def test_labels_of_samples_go_round_and_the_real_ones_are_the_batch_s(
    images: Path, tmp_path: Path
) -> None:
    recipe, batch = recipe_of("conditional", images, tmp_path)
    assert recipe.labels_for(5).tolist() == [0, 1, 2, 0, 1]
    assert recipe.labels_of(batch).tolist() == batch.labels.tolist()


@pytest.mark.parametrize("kind", KINDS)
def test_a_step_on_the_strict_backend_brings_nothing_to_the_host(
    kind: str, images: Path, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(kind, tmp_path / "run", images, steps=2)
        assert_steps_bring_nothing_to_the_host(run)
        assert run.recipe.evaluate(run.data("val"), thorough=False)["spread"] > 0


# ---------------------------------------------------------------- other data, other options


@pytest.mark.parametrize("loss", LOSSES)
def test_any_network_plays_any_game(loss: str, images: Path, tmp_path: Path) -> None:
    for kind in ("gan", "dcgan"):
        recipe, batch = recipe_of(kind, images, tmp_path / kind, loss=loss)
        before = [state_of(recipe.generator), state_of(recipe.discriminator)]
        numbers = recipe.step([batch])
        assert all(np.isfinite(float(value)) for value in numbers.values())
        assert state_of(recipe.generator) != before[0]
        assert state_of(recipe.discriminator) != before[1]


@pytest.mark.parametrize("count", [1, 3, 5])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_handful_of_images_smaller_than_a_batch_is_enough(
    count: int, channels: int, tmp_path: Path
) -> None:
    data = np.random.default_rng(0).integers(0, 256, (count, channels, 9, 12)).astype(np.uint8)
    train = Dataset("few", "train", data, None, "image", (0.0, 255.0))
    for name, options in {"dcgan": {"width": 2}, "gan": {"hidden": (8,)}}.items():
        kind = find(name)
        config = kind.Config(steps=2, latent=3, **options)
        recipe = kind(config, kind.describe(config, train), seed=0)
        batches = recipe.batches(train)
        for _ in range(3):
            numbers = recipe.step(next(batches))
            assert all(np.isfinite(float(value)) for value in numbers.values())
        assert recipe.sample(2, 0).shape == (2, channels, 9, 12)


def test_batches_are_all_of_one_size_where_the_data_suffice(images: Path, tmp_path: Path) -> None:
    run = make("dcgan", tmp_path / "run", images, batch_size=7, critic_steps=3)
    batches = run.recipe.batches(run.data("train"))
    for _ in range(5):
        assert [len(batch.x) for batch in next(batches)] == [7, 7, 7]


@pytest.mark.parametrize("model", ["gan", "wgan-gp"])
@pytest.mark.parametrize("data", ["ring", "grid", "moons", "eight-gaussians"])
def test_points_have_budgets_of_their_own(model: str, data: str) -> None:
    kind = find(model)
    for budget in ("short", "long"):
        config = kind.Config(**kind.preset(budget, data))
        assert config.latent < 10
        assert max(config.hidden) < 256


def test_rows_of_more_columns_are_drawn_as_histograms(tmp_path: Path) -> None:
    run = Run.create("gan", data="wine", out=tmp_path / "run", steps=2, options=POINTS)
    assert run.train() is not None
    assert (tmp_path / "run" / "samples.png").exists()


@pytest.mark.parametrize(
    ("model", "data", "options", "message"),
    [
        ("dcgan", "ring", {}, "dcgan needs images, and ring has rows"),
        ("gan", "moons", {"augment": ("cutout",)}, "cannot build gan: augment needs images"),
        ("dcgan", "bars", {"gradient_penalty": 1.0}, "gradient_penalty needs norm layer, spectral"),
        ("dcgan", "bars", {"r1": 1.0}, "cannot build dcgan: r1 needs norm layer, spectral or none"),
        ("gan", "bars", {"loss": "best"}, "loss must be non-saturating or minimax or"),
        ("wgan-gp", "ring", {"loss": "hinge"}, "loss must be wasserstein, got hinge"),
        ("gan", "bars", {"ema": 1.5}, "ema must be a number >= 0 and <"),
        ("gan", "shakespeare", {}, "gan needs images or points"),
    ],
)
def test_what_cannot_be_is_one_line(
    model: str, data: str, options: dict[str, Any], message: str, images: Path, tmp_path: Path
) -> None:
    if data == "shakespeare":
        (tmp_path / "own.txt").write_text("no picture, " * 20)
        data = str(tmp_path / "own.txt")
    with pytest.raises(UserError) as raised:
        Run.create(
            model,
            data=str(images) if data == "bars" else data,
            out=tmp_path / "run",
            options=options,
        )
    assert message in str(raised.value)
    assert "\n" not in str(raised.value)
    assert not (tmp_path / "run").exists()


def test_classes_need_labels_and_samples_of_another_shape_are_refused(
    finished: dict[str, Path], tmp_path: Path
) -> None:
    np.save(tmp_path / "plain.npy", np.zeros((19, 1, 16, 16), dtype=np.uint8))
    with pytest.raises(UserError, match="conditional needs labels, and plain"):
        Run.create("gan", data=str(tmp_path / "plain.npy"), out=tmp_path / "run",
                   options={"conditional": True})  # fmt: skip
    with pytest.raises(UserError, match=r"kind image, got rows"):
        Run.open(finished["dcgan"]).evaluate(data="moons")
