"""The progress bar: a line that renews itself on a terminal, whole lines in a file."""

import io

from minigen.cli.progress import ProgressBar


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def drive(stream: io.StringIO) -> str:
    bar = ProgressBar(stream)
    bar.started(10, 20)
    for step in range(11, 16):
        bar.stepped(step)
    bar.logged(15, {"nelbo_nats": 123.456})
    bar.evaluated(15, {"nelbo_nats": 120.0, "kl_nats": 20.0})
    bar.stepped(16)
    bar.ended()
    return stream.getvalue()


def test_on_a_terminal_it_shows_step_loss_speed_and_remaining_time() -> None:
    text = drive(Terminal())
    last = text.split("\r")[-1]
    assert "16/20" in last
    assert "nelbo_nats 123.5" in last
    assert "step/s" in last or "s/step" in last
    assert "<" in last  # tqdm's elapsed<remaining
    assert "step 15/20  val: nelbo_nats 120, kl_nats 20" in text


def test_in_a_file_it_writes_one_line_for_each_measurement_and_no_carriage_return() -> None:
    text = drive(io.StringIO())
    (line,) = text.splitlines()
    assert line.startswith("step 15/20  val: nelbo_nats 120, kl_nats 20  [")
    assert "steps/s" in line
    assert "s left]" in line
    assert "\r" not in text
