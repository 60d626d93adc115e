"""What is in force belongs to a thread: backend, switches, default generator; and it comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any

import pytest

import minigen as mg
from minigen.backends import active
from minigen.thread_state import change, current, within


def in_a_thread(function: Callable[[], Any]) -> Any:
    """What ``function`` returns or raises in a new thread."""
    found: dict[str, Any] = {}

    def run() -> None:
        try:
            found["result"] = function()
        except BaseException as error:
            found["error"] = error

    thread = threading.Thread(target=run)
    thread.start()
    thread.join()
    if "error" in found:
        raise found["error"]
    return found["result"]


@pytest.fixture(autouse=True)
def on_numpy():
    mg.use("numpy")
    yield
    mg.use("numpy")


def backend_name() -> str:
    return type(mg.ones(1).data).__name__


def test_a_block_on_another_backend_is_this_threads_alone():
    with mg.use("strict"):
        assert backend_name() == "StrictArray"
        assert in_a_thread(backend_name) == "ndarray"

    def inside() -> str:
        with mg.use("strict"):
            return backend_name()

    assert in_a_thread(inside) == "StrictArray"
    assert backend_name() == "ndarray"


def test_a_statement_of_the_main_thread_is_the_choice_of_threads_that_made_none():
    mg.use("strict")
    assert in_a_thread(backend_name) == "StrictArray"

    def own() -> str:
        mg.use("numpy")
        return backend_name()

    assert in_a_thread(own) == "ndarray"
    assert backend_name() == "StrictArray"


def test_a_statement_of_another_thread_is_its_own():
    in_a_thread(lambda: mg.use("strict"))
    assert backend_name() == "ndarray"
    assert in_a_thread(backend_name) == "ndarray"


def test_a_thread_stays_with_the_backend_of_its_first_tensor():
    first, second = threading.Event(), threading.Event()

    def twice() -> list[str]:
        names = []
        with mg.no_grad():
            names.append(backend_name())
        first.set()
        assert second.wait(10)
        return [*names, backend_name()]

    found: list[list[str]] = []
    thread = threading.Thread(target=lambda: found.append(twice()))
    thread.start()
    assert first.wait(10)
    mg.use("strict")
    second.set()
    thread.join()
    assert found == [["ndarray", "ndarray"]]


def test_a_block_inside_a_block_of_no_grad_comes_back_to_both():
    with mg.no_grad():
        with mg.use("strict"):
            assert active.backend.name == "strict"
            assert not mg.is_grad_enabled()
        assert active.backend.name == "numpy"
        mg.use("strict")
    assert mg.is_grad_enabled()
    assert active.backend.name == "strict"


def test_one_switch_entered_by_two_threads_gives_each_its_own_mode_back():
    switch = mg.no_grad()
    inside, leave = threading.Event(), threading.Event()

    def other() -> bool:
        with switch:
            inside.set()
            assert leave.wait(10)
        return mg.is_grad_enabled()

    found: list[bool] = []
    thread = threading.Thread(target=lambda: found.append(other()))
    with mg.enable_grad():
        with mg.no_grad():
            thread.start()
            assert inside.wait(10)
            with switch:
                leave.set()
                thread.join()
            assert not mg.is_grad_enabled()
        assert mg.is_grad_enabled()
    assert found == [True]


def test_within_ends_with_the_call_whatever_happens_in_it():
    def fails() -> None:
        change(anomaly=True)
        assert not current().grad_enabled
        raise KeyboardInterrupt

    before = current()
    with pytest.raises(KeyboardInterrupt):
        within({"grad_enabled": False}, fails)
    assert current() is before


def test_the_default_generator_is_each_threads_own():
    mg.manual_seed(7)
    wanted = mg.Generator(7).normal(4).tolist()

    def other() -> tuple[list[float], list[float]]:
        unseeded = mg.randn(4).tolist()
        mg.manual_seed(3)
        return unseeded, mg.randn(4).tolist()

    unseeded, seeded = in_a_thread(other)
    assert seeded == mg.Generator(3).normal(4).tolist()
    assert mg.randn(4).tolist() == wanted  # the other thread has not moved this one's stream
    assert in_a_thread(other)[0] != unseeded  # threads do not draw the same numbers
    assert unseeded != mg.Generator(0).normal(4).tolist()
