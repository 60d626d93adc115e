"""The command line: exit statuses, one line on stderr, JSON on stdout, Ctrl-C."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from minigen.cli import main
from minigen.training import checkpoint

SMALL = ["--set", "latent=2", "hidden=16", "iw_samples=2", "evaluate_every=10"]


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("runs") / "vae"
    assert main(["train", "vae", "--out", str(folder), "--steps", "20", *SMALL]) == 0
    return folder


def test_train_ends_with_the_numbers_and_the_pictures_on_stdout(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["train", "vae", "--out", str(tmp_path / "r"), "--steps", "12", *SMALL]) == 0
    out, err = capsys.readouterr()
    assert "vae on digits (val), step 12" in out
    assert str(tmp_path / "r" / "samples.png") in out
    assert "step 10/12" in err


def test_eval_prints_one_json_object_with_the_keys_of_the_contract(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["eval", str(finished), "--split", "test"]) == 0
    result = json.loads(capsys.readouterr().out)
    assert set(result) == {"model", "data", "split", "headline", "metrics", "seconds"}
    assert (result["model"], result["data"], result["split"]) == ("vae", "digits", "test")
    assert result["headline"] in result["metrics"]
    assert all(isinstance(value, float) for value in result["metrics"].values())


def test_sample_writes_a_picture_or_an_array(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    png, npy = tmp_path / "s.png", tmp_path / "s.npy"
    assert main(["sample", str(finished), "--n", "5", "--out", str(png)]) == 0
    assert main(["sample", str(finished), "--n", "5", "--out", str(npy), "--seed", "3"]) == 0
    assert png.read_bytes().startswith(b"\x89PNG")
    assert np.load(npy).shape == (5, 1, 8, 8)
    assert str(npy) in capsys.readouterr().out


def test_list_has_a_line_for_each_model_and_describes_one(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert any(line.startswith("vae ") for line in lines)
    assert main(["list", "vae"]) == 0
    text = capsys.readouterr().out
    assert "latent" in text
    assert "--budget short: steps=" in text


def test_no_command_and_help_show_how_to_begin(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 0
    assert "minigen train vae" in capsys.readouterr().out
    for command in ("train", "eval", "sample", "list"):
        with pytest.raises(SystemExit) as caught:
            main([command, "--help"])
        assert caught.value.code == 0
        assert "examples:" in capsys.readouterr().out


def test_the_help_of_train_lists_the_hyper_parameters_of_the_model_that_was_named(
    capsys: pytest.CaptureFixture[str],
) -> None:
    with pytest.raises(SystemExit):
        main(["train", "vae", "--help"])
    with_model = capsys.readouterr().out
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    assert "binarization" in with_model
    assert "binarization" not in capsys.readouterr().out
    assert main(["train", "vea", "--help"]) == 2


def test_version_is_the_packages(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.metadata import version

    with pytest.raises(SystemExit) as caught:
        main(["--version"])
    assert caught.value.code == 0
    assert capsys.readouterr().out == f"minigen {version('minigen')}\n"


TRAIN = ["train", "vae", "--out", "new"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["tarin"], "did you mean 'train'?"),
        (["train"], "needs a model or --resume"),
        (["train", "vea"], "did you mean 'vae'?"),
        ([*TRAIN, "--sede", "3"], "no such option: --sede (did you mean --seed?)"),
        ([*TRAIN, "--sede=3"], "no such option: --sede (did you mean --seed?)"),
        ([*TRAIN, "--seed"], "--seed: expected one argument"),
        ([*TRAIN, "--seed", "x"], "must be a whole number >= 0, got 'x'"),
        ([*TRAIN, "--steps", "0"], "must be a whole number >= 1, got '0'"),
        ([*TRAIN, "--steps", "-3"], "--steps"),
        ([*TRAIN, "--budget", "shrt"], "did you mean 'short'?"),
        ([*TRAIN, "--data", "mnits"], "mnits"),
        ([*TRAIN, "--data", "no/such/file.npz"], "no/such/file.npz"),
        ([*TRAIN, "--data", "mnist", "--data-dir", "nowhere"], "nowhere"),
        ([*TRAIN, "--backend", "nunpy"], "did you mean 'numpy'?"),
        ([*TRAIN, "--set", "latnet=2"], "did you mean 'latent'?"),
        ([*TRAIN, "--set", "latent=two"], "latent must be a whole number >= 1, got 'two'"),
        ([*TRAIN, "--set", "latent=-2"], "latent must be a whole number >= 1, got -2"),
        ([*TRAIN, "--set", "latent"], "key=value"),
        ([*TRAIN, "--set", "learning_rate=-1"], "learning_rate must be a number > 0, got -1"),
        ([*TRAIN, "--set", "binarization=grey"], "binarization must be"),
        ([*TRAIN, "--set", "learning_rate=1e30", "warmup=0"], "at step"),
        (["train", "--resume", "nowhere"], "no run at nowhere"),
        (["train", "--resume", "."], "is no run"),
        (["eval", "nowhere"], "no run at nowhere"),
        (["eval"], "RUN"),
        (["eval", ".", "--split", "tset"], "did you mean 'test'?"),
        (["sample", "nowhere"], "no run at nowhere"),
        (["sample", "nowhere", "--n", "0"], "must be a whole number >= 1, got '0'"),
        (["list", "vea"], "did you mean 'vae'?"),
    ],
)
def test_a_mistake_is_exit_status_2_and_one_line(
    arguments: list[str],
    message: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MINIGEN_DATA", raising=False)
    assert main(arguments) == 2
    out, err = capsys.readouterr()
    said = [line for line in err.splitlines() if not line.startswith(("minigen: training", "step"))]
    assert len(said) == 1, err
    assert said[0].startswith("minigen: ")
    assert message in said[0]
    assert out == ""


def test_debug_shows_the_traceback() -> None:
    with pytest.raises(ValueError, match="no run at nowhere"):
        main(["eval", "nowhere", "--debug"])


def test_what_a_run_has_settled_cannot_be_given_with_resume(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for extra in (["--seed", "0"], ["--data", "mnist"], ["--set", "latent=3"], ["--out", "x"]):
        assert main(["train", "--resume", str(finished), *extra]) == 2
        assert f"{extra[0]} cannot be changed by --resume" in capsys.readouterr().err
    assert main(["train", "gan", "--resume", str(finished)]) == 2
    assert "is a run of vae, not gan" in capsys.readouterr().err


def test_an_out_folder_that_holds_a_run_is_refused_and_untouched(
    finished: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = {path: path.stat().st_mtime_ns for path in finished.iterdir()}
    assert main(["train", "vae", "--out", str(finished)]) == 2
    assert "holds a run" in capsys.readouterr().err
    assert {path: path.stat().st_mtime_ns for path in finished.iterdir()} == before


def test_a_sample_file_of_an_unknown_kind_or_place_is_one_line(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    for name, message in (("s.gif", "must end in .png or .npy"), ("no/s.png", "cannot write")):
        assert main(["sample", str(finished), "--n", "2", "--out", str(tmp_path / name)]) == 2
        err = capsys.readouterr().err
        assert message in err
        assert err.count("\n") == 1


def test_a_truncated_checkpoint_is_one_line_for_every_command(
    finished: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    import shutil

    folder = tmp_path / "copy"
    shutil.copytree(finished, folder)
    path = folder / "checkpoint.safetensors"
    path.write_bytes(path.read_bytes()[:1000])
    capsys.readouterr()
    for command in (["eval"], ["sample"], ["train", "--resume"]):
        assert main([*command, str(folder)]) == 2
        err = capsys.readouterr().err
        assert "damaged" in err
        assert err.count("\n") == 1


def test_python_m_minigen_is_the_same_program() -> None:
    done = subprocess.run(
        [sys.executable, "-m", "minigen", "eval", "nowhere"], capture_output=True, text=True
    )
    assert done.returncode == 2
    assert done.stderr == "minigen: no run at nowhere: there is no such folder\n"
    assert done.stdout == ""


def test_the_command_line_and_list_import_nothing_heavy() -> None:
    code = (
        "import sys; from minigen.cli import main; main(['list'])\n"
        "heavy = ['matplotlib', 'tqdm', 'pooch', 'safetensors', 'numba', 'cupy',\n"
        "         'minigen.models.vae', 'minigen.data', 'minigen.plots']\n"
        "loaded = [name for name in heavy if name in sys.modules]\n"
        "assert not loaded, loaded"
    )
    subprocess.run([sys.executable, "-c", code], check=True, capture_output=True)


def test_ctrl_c_saves_says_how_to_resume_and_the_resumed_run_is_bit_equal(tmp_path: Path) -> None:
    options = ["--steps", "400", "--set", "latent=2", "hidden=16", "iw_samples=1"]
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    assert main(["train", "vae", "--out", str(whole), *options]) == 0
    command = [sys.executable, "-m", "minigen", "train", "vae", "--out", str(parts), *options]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    log = parts / "metrics.jsonl"
    deadline = time.monotonic() + 60
    while not (log.exists() and '"train"' in log.read_text()):  # until training has begun
        assert time.monotonic() < deadline
        assert process.poll() is None, process.communicate()
        time.sleep(0.002)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    assert out == ""
    last = err.splitlines()[-1]
    assert "stopped and saved at step" in last
    assert last.endswith(f"minigen train --resume {parts}")
    step = checkpoint.load(parts / "checkpoint.safetensors")["loop"]["step"]
    assert 0 < step < 400

    assert main(["train", "--resume", str(parts)]) == 0
    states = [checkpoint.load(f / "checkpoint.safetensors") for f in (whole, parts)]
    first, second = (checkpoint.separate(state)[0] for state in states)
    assert set(first) == set(second)
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)
    assert log.read_bytes() == (whole / "metrics.jsonl").read_bytes()
