"""Runs of StyleGAN on small nets: resume, lazy penalties, the average, styles, refusals."""

import json
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import minigen as mg
from minigen.backends.strict import count_transfers
from minigen.cli import main
from minigen.errors import UserError
from minigen.models.adversarial import r1_penalty
from minigen.models.stylegan import levels
from minigen.recipes import stylegan
from minigen.recipes.run import Run
from minigen.recipes.stylegan import StyleGANRecipe
from minigen.training import Observer, StopRequest, checkpoint

OPTIONS = {
    **{"latent": 4, "style": 4, "width": 1, "most": 2, "batch_size": 6, "evaluate_every": 4},
    **{"r1_every": 4, "path_every": 3, "mapping_layers": 2},
}


class StopAt(Observer):
    def __init__(self, step: int, stop: StopRequest) -> None:
        self.at, self.stop = step, stop

    def stepped(self, step: int) -> None:
        if step == self.at:
            self.stop.signal = signal.SIGINT


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("stylegan")


@pytest.fixture(scope="module")
def images(folder: Path) -> Path:
    """Forty grey images, 16×16: a bright bar at one of three places."""
    random = np.random.default_rng(0)
    data = random.integers(0, 60, (40, 1, 16, 16)).astype(np.uint8)
    for number, one in enumerate(data):
        one[:, :, 2 + 5 * (number % 3) : 5 + 5 * (number % 3)] = 230
    np.savez(folder / "bars.npz", data=data)
    return folder / "bars.npz"


@pytest.fixture(autouse=True)
def few_samples(monkeypatch: pytest.MonkeyPatch) -> None:
    """A measurement of 50 images instead of thousands."""
    for name in ("SAMPLES", "THOROUGH_SAMPLES"):
        monkeypatch.setattr(f"minigen.recipes.adversarial.{name}", 50)


def make(out: Path, images: Path, steps: int = 8, **changes: Any) -> Run:
    options = {**OPTIONS, **changes}
    return Run.create(
        "stylegan", data=str(images), out=out, steps=steps, seed=3, options=options
    )  # fmt: skip


@pytest.fixture(scope="module")
def finished(folder: Path, images: Path) -> Path:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("SAMPLES", "THOROUGH_SAMPLES"):
            patch.setattr(f"minigen.recipes.adversarial.{name}", 50)
        make(folder / "finished", images).train()
    return folder / "finished"


# ---------------------------------------------------------------- runs


@pytest.mark.parametrize("stop_at", [2, 5])
def test_a_resumed_run_is_bit_equal_to_one_never_stopped(
    stop_at: int, finished: Path, images: Path, tmp_path: Path
) -> None:
    folder, stop = tmp_path / "run", StopRequest()
    assert make(folder, images).train(StopAt(stop_at, stop), stop) is None
    Run.resume(folder).train()
    expected, got = (
        checkpoint.separate(checkpoint.load(f / "checkpoint.safetensors")["recipe"])
        for f in (finished, folder)
    )
    assert set(expected[0]) == set(got[0])
    for name, array in expected[0].items():
        assert array.tobytes() == got[0][name].tobytes(), name
    assert expected[1] == got[1]  # numbers, random states, the clock
    for name in ("metrics.jsonl", "progress.gif", "mixing.png", "interpolation.png"):
        assert (folder / name).read_bytes() == (finished / name).read_bytes(), name


def test_a_run_leaves_the_pictures_of_style_and_the_numbers_of_its_penalties(
    finished: Path,
) -> None:
    names = {path.name for path in finished.iterdir()}
    assert {"mixing.png", "interpolation.png", "truncation.png", "samples.png"} <= names
    lines = [json.loads(x) for x in (finished / "metrics.jsonl").read_text().splitlines()]
    (train,) = [line for line in lines if line["split"] == "train"]
    assert {"r1_penalty", "path_penalty", "path_length"} <= set(train)


# ---------------------------------------------------------------- one step


def recipe_of(images: Path, tmp_path: Path, **changes: Any) -> tuple[Any, mg.Tensor]:
    run = make(tmp_path / "run", images, **changes)
    (batch,) = next(run.recipe.batches(run.data("train")))
    return run.recipe, run.recipe.inside(mg.tensor(batch.x))


def test_the_state_has_all_that_later_steps_depend_on(images: Path, tmp_path: Path) -> None:
    recipe, _ = recipe_of(images, tmp_path)
    for _ in range(4):
        recipe.generator_step(6, None)
        recipe.clock.tick()
    state = recipe.state()
    assert set(state) == {
        "generator", "discriminator", "generator_optimizer", "discriminator_optimizer",
        "average", "clock", "path_length", "random",
    }  # fmt: skip
    assert state["clock"] == {"steps": 4}
    assert state["path_length"]["count"].item() == 2  # steps 0 and 3
    assert state["path_length"]["mean"].item() > 0
    assert "mean_style" in state["generator"]
    assert "model.mean_style" in state["average"]


def test_a_lazy_penalty_is_due_at_the_first_of_so_many_steps_with_so_many_times_its_weight(
    images: Path, tmp_path: Path
) -> None:
    recipe, _ = recipe_of(images, tmp_path, r1=0.5, path=2.0)
    weights = []
    for _ in range(12):
        weights.append((recipe.r1_weight(), recipe.path_weight()))
        recipe.clock.tick()
    assert [r1 for r1, _ in weights] == [2.0, 0.0, 0.0, 0.0] * 3
    assert [path for _, path in weights] == [6.0, 0.0, 0.0] * 4


@pytest.mark.parametrize("side", ["discriminator", "generator"])
def test_lazy_gradients_are_the_eager_ones_in_expectation(
    side: str, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over a whole period, the networks and what is drawn being held still."""
    lazy, real = recipe_of(images, tmp_path / "lazy", r1=5.0, path=5.0, path_decay=1e-9)
    eager, _ = recipe_of(
        images, tmp_path / "eager", r1=5.0, path=5.0, path_decay=1e-9, r1_every=1, path_every=1
    )
    gradients: list[Any] = []
    monkeypatch.setattr(
        stylegan, "descend", lambda optimizer, loss: gradients.append(slopes(optimizer, loss))
    )
    monkeypatch.setattr("minigen.recipes.adversarial.descend", stylegan.descend)

    def slopes(optimizer: mg.optim.Adam, loss: mg.Tensor) -> list[np.ndarray]:
        found = mg.grad(loss, optimizer.param_groups[0]["params"], allow_unused=True)
        return [np.zeros(1) if g is None else g.numpy().astype("f8") for g in found]

    def total(recipe: Any) -> list[np.ndarray]:
        gradients.clear()
        for _ in range(12):  # 4 and 3 divide it
            recipe.random.load_state({"seed": 5, "streams": {}})
            mg.manual_seed(6)
            recipe.path_length.count.copy_(mg.tensor(1e9))  # the goal stays at 0.1
            recipe.path_length.mean.copy_(mg.tensor(0.1))
            if side == "discriminator":
                recipe.discriminator_step(real, None)
            else:
                recipe.generator_step(6, None)
            recipe.clock.tick()
        return [sum(parts) / 12 for parts in zip(*gradients, strict=True)]

    for one, other in zip(total(lazy), total(eager), strict=True):
        np.testing.assert_allclose(one, other, rtol=2e-3, atol=2e-4 * np.abs(other).max() + 1e-7)


def test_r1_looks_at_real_samples_only(images: Path, tmp_path: Path) -> None:
    recipe, real = recipe_of(images, tmp_path)
    expected = r1_penalty(recipe.discriminator, real).item()
    numbers = recipe.discriminator_step(real, None)
    assert numbers["r1_penalty"].item() == pytest.approx(expected, rel=1e-5)


def test_each_side_s_step_leaves_the_other_and_its_mean_style_as_they_are(
    images: Path, tmp_path: Path
) -> None:
    recipe, real = recipe_of(images, tmp_path)

    def state(network: Any) -> dict[str, bytes]:
        return {name: value.numpy().tobytes() for name, value in network.state_dict().items()}

    before = state(recipe.generator)
    recipe.discriminator_step(real, None)
    assert state(recipe.generator) == before
    other = state(recipe.discriminator)
    recipe.generator_step(6, None)
    assert state(recipe.discriminator) == other
    after = state(recipe.generator)
    assert after["mean_style"] != before["mean_style"]
    assert after["mapping.layers.0.weight"] != before["mapping.layers.0.weight"]


def test_the_average_follows_parameters_and_the_mean_style(images: Path, tmp_path: Path) -> None:
    recipe, real = recipe_of(images, tmp_path, ema=0.75)
    before = {k: v.numpy().copy() for k, v in recipe.average.model.state_dict().items()}
    for _ in range(2):
        recipe.discriminator_step(real, None)
        recipe.generator_step(6, None)
        recipe.average.update()
        for name, value in recipe.generator.state_dict().items():
            before[name] = 0.75 * before[name] + 0.25 * value.numpy()
    assert np.abs(before["mean_style"]).max() > 0
    for name, value in recipe.average.model.state_dict().items():
        np.testing.assert_allclose(value.numpy(), before[name], rtol=1e-5, atol=1e-7, err_msg=name)


def test_a_step_on_the_strict_backend_brings_nothing_to_the_host(
    images: Path, tmp_path: Path
) -> None:
    with mg.use("strict"):
        run = make(tmp_path / "run", images, steps=2)
        batches = run.recipe.batches(run.data("train"))
        for _ in range(2):  # with the penalties and without
            with count_transfers() as count:
                run.recipe.step(next(batches))
            assert count.total == 0, count
        assert run.recipe.evaluate(run.data("val"), thorough=False)["spread"] > 0
        assert run.recipe.mixed(2, 0)[2]["fine"].shape == (2, 2, 1, 16, 16)


# ---------------------------------------------------------------- styles


def test_samples_come_from_the_average_with_its_truncation(finished: Path) -> None:
    recipe: Any = Run.open(finished).recipe
    images = recipe.sample(7, 1)
    assert images.shape == (7, 1, 16, 16)
    assert 0 <= images.min() <= images.max() <= 1
    np.testing.assert_array_equal(recipe.sample(7, 1, 1.0), images)
    network = recipe.average.model
    with mg.no_grad():
        for layer in network.synthesis.convolutions:
            layer.noise_strength.copy_(mg.zeros(()))
    one = recipe.sample(7, 1, 0.0)
    assert (one == one[:1]).all()
    with mg.no_grad():
        mean = network.synthesis(network.spread(network.mean_style.reshape(1, -1)), None, "none")
    np.testing.assert_allclose(one[:1], recipe.outside(mean).clamp(0, 1).numpy(), atol=1e-6)


def test_a_mixing_grid_has_the_column_s_picture_with_the_row_s_style_at_one_level(
    finished: Path,
) -> None:
    recipe: Any = Run.open(finished).recipe
    across, down, grids = recipe.mixed(3, 5)
    assert across.shape == (3, 1, 16, 16)
    assert down.shape == (6, 1, 16, 16)
    assert list(grids) == ["coarse", "middle", "fine"]
    generator = mg.Generator(5)
    columns, rows = recipe.styles(3, generator), recipe.styles(6, generator)
    noise = generator.state()
    for number, (_, layers) in enumerate(levels((1, 16, 16)).values()):
        for row in range(2):
            w = np.repeat(columns.numpy()[:, None], 6, axis=1)  # (3, L, W)
            w[:, layers] = rows.numpy()[2 * number + row]
            generator.load_state(noise)
            expected = recipe.pictures(mg.tensor(w), generator, "shared")
            got = list(grids.values())[number][row]
            np.testing.assert_allclose(got, expected, atol=1e-6)
            assert not np.allclose(got, across, atol=1e-6)


def test_a_walk_begins_and_ends_at_two_samples(finished: Path) -> None:
    recipe: Any = Run.open(finished).recipe
    walks = recipe.walks(2, 4)
    assert walks.shape == (2, 9, 1, 16, 16)
    generator = mg.Generator(4)
    ends = recipe.styles(4, generator)
    pictures = recipe.pictures(recipe.network.spread(ends), generator, "shared")
    np.testing.assert_allclose(walks[:, 0], pictures[:2], atol=1e-6)
    np.testing.assert_allclose(walks[:, -1], pictures[2:], atol=1e-6)


def test_shared_noise_is_shared_by_more_images_than_are_drawn_at_a_time(
    finished: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    recipe: Any = Run.open(finished).recipe
    styles = recipe.network.spread(recipe.styles(5, mg.Generator(0)))
    whole = recipe.pictures(styles, mg.Generator(1), "shared")
    monkeypatch.setattr(stylegan, "CHUNK", 2)
    np.testing.assert_allclose(recipe.pictures(styles, mg.Generator(1), "shared"), whole, atol=1e-6)


def test_the_command_line_draws_styles(finished: Path, tmp_path: Path) -> None:
    def sample(*words: str) -> bytes:
        out = tmp_path / words[0]
        assert main(["sample", str(finished), "--out", str(out), *words[1:]]) == 0
        return out.read_bytes()

    assert sample("a.png", "--mix", "--n", "3").startswith(b"\x89PNG")
    assert sample("b.png", "--interpolate", "--n", "2") != sample("c.png", "--mix", "--n", "2")
    assert sample("d.png", "--mix") != sample("e.png", "--mix", "--truncation", "0.5")
    sample("f.npy", "--truncation", "0", "--n", "5")
    assert np.load(tmp_path / "f.npy").shape == (5, 1, 16, 16)
    assert sample("g.png", "--truncation", "0.5") != sample("h.png")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--mix", "--interpolate"], "not allowed with argument --mix"),
        (["--mix", "--out", "x.npy"], "--out must end in .png for --mix, got 'x.npy'"),
        (["--truncation", "half"], "must be a number, got 'half'"),
        (["--truncation", "-1"], "--truncation must be a number from 0 to 2, got -1"),
        (["--truncation", "0.5", "--out", "x.gif"], "--out must end in .png or .npy"),
    ],
)
def test_a_mistake_in_sampling_is_one_line(
    words: list[str], message: str, finished: Path, tmp_path: Path, capsys: Any, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    capsys.readouterr()
    assert main(["sample", str(finished), *words]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_a_model_without_styles_says_so_in_one_line(tmp_path: Path, capsys: Any) -> None:
    run = Run.create(
        "gan", out=tmp_path / "gan", steps=1, options={"hidden": (4,), "batch_size": 8}
    )
    run.train()
    for word in (["--mix"], ["--truncation", "0.7"], ["--interpolate"]):
        capsys.readouterr()
        assert main(["sample", str(tmp_path / "gan"), *word]) == 2
        assert capsys.readouterr().err == (
            f"minigen: {word[0]} is nothing that gan can do; it has no such options\n"
        )
    with pytest.raises(UserError, match="--zoom is nothing that gan can do"):
        run.write_samples(tmp_path / "x.png", 3, zoom=2)


# ---------------------------------------------------------------- data


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((1, 28, 28), "a side of 16, 32, 64, 128, … pixels (4·2^k), got 28×28"),
        ((1, 16, 32), "got 16×32"),
        ((1, 8, 8), "got 8×8"),
    ],
)
def test_images_of_another_size_are_refused_in_one_line(
    shape: tuple[int, ...], message: str, tmp_path: Path, capsys: Any
) -> None:
    np.savez(tmp_path / "x.npz", data=np.zeros((12, *shape), np.uint8))
    command = ["train", "stylegan", "--data", str(tmp_path / "x.npz")]
    assert main([*command, "--out", str(tmp_path / "run")]) == 2
    err = capsys.readouterr().err
    assert message in err
    assert err.count("\n") == 1
    assert not (tmp_path / "run").exists()


def test_points_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="stylegan needs images, and ring has rows"):
        Run.create("stylegan", data="ring", out=tmp_path / "run")


def test_the_digits_are_enlarged_to_16_pixels_and_mnist_gets_a_frame(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = StyleGANRecipe.load_data("digits", "val", None)
    assert digits.sample_shape == (1, 16, 16)
    assert digits.name == "digits"

    def mnist(name: str, split: str, data_dir: Any) -> Any:
        from minigen.data import Dataset

        data = np.full((2, 1, 28, 28), 255, np.uint8)
        return Dataset(name, split, data, None, "image", (0, 255))

    monkeypatch.setattr("minigen.data.load", mnist)
    framed = np.asarray(StyleGANRecipe.load_data("mnist", "train", None).data)
    assert framed.shape == (2, 1, 32, 32)
    assert framed[:, :, 2:-2, 2:-2].min() == 255
    assert framed.sum() == 2 * 255 * 28 * 28


@pytest.mark.parametrize(("count", "channels"), [(11, 1), (13, 3)])
def test_fewer_images_than_a_batch_are_enough(count: int, channels: int, tmp_path: Path) -> None:
    data = np.random.default_rng(0).integers(0, 256, (count, channels, 16, 16)).astype(np.uint8)
    np.savez(tmp_path / "few.npz", data=data)
    run = make(tmp_path / "run", tmp_path / "few.npz", steps=2, batch_size=16)
    batches = run.recipe.batches(run.data("train"))
    for _ in range(2):
        numbers = run.recipe.step(next(batches))
    assert np.isfinite(numbers["generator_loss"].item())
    assert run.sample(2).shape == (2, channels, 16, 16)


def test_a_batch_of_one_image_is_enough(images: Path, tmp_path: Path) -> None:
    recipe, real = recipe_of(images, tmp_path)
    numbers = recipe.discriminator_step(real[:1], None) | recipe.generator_step(1, None)
    assert all(np.isfinite(value.item()) for value in numbers.values())
