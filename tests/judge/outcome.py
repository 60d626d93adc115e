"""One call of both libraries, and the verdict on it."""

from __future__ import annotations

import dataclasses
import inspect
import re
from collections.abc import Callable, Iterable
from typing import Any

import numpy as np
import torch

import minigen as mg

from .convert import Detached, Outside, ToMinigen, array, parts

KINDS = ("equal", "refused", "wrong", "crash")

TOLERANCE = {"float64": (1e-7, 1e-7), "float32": (1e-4, 1e-5), "float16": (5e-3, 1e-3)}
"""(relative, absolute), by the narrower dtype of result and inputs."""


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call ended: one of `KINDS`, and what is to be said about it."""

    kind: str
    text: str = ""


class Wrong(Exception):  # noqa: N818
    """A result that differs from PyTorch's."""


# ---------------------------------------------------------------- errors

ANSWERS = (TypeError, ValueError, IndexError, RuntimeError, OverflowError)
"""What minigen may raise at a wrong argument."""

MACHINE_ROOM = re.compile(
    r"has no attribute|object is not|not subscriptable|not supported between|ufunc|numpy\."
    r"|setting an array element|not enough values|too many values|invalid literal"
    r"|unsupported operand|sequence item|must be real number|unhashable|NoneType"
    r"|cannot access local|maximum recursion|list index|tuple index"
)
"""Texts of Python and NumPy that tell a user nothing about the argument."""


def judge_error(error: BaseException, name: str, function: Any) -> Outcome:
    """Whether an exception is an answer: of a usual kind, in one line, naming op or argument."""
    text = f"{type(error).__name__}: {error}"
    if isinstance(error, (NotImplementedError, RecursionError)) or not isinstance(error, ANSWERS):
        return Outcome("crash", text)
    message = str(error)
    words = {name.split(".")[-1], *parameter_names(function)} - {""}
    named = any(re.search(rf"(?<![A-Za-z]){re.escape(w)}(?![A-Za-z])", message) for w in words)
    # Python's own: they quote the argument, or the operator.
    named = named or "unexpected keyword argument" in message
    if re.fullmatch(r"unsupported operand type\(s\) for \S+: .*", message):
        return Outcome("refused", text)
    named = named or _plain(name) in _plain(message)  # MaxPool2d says max_pool2d
    if "\n" in message or not message.strip() or MACHINE_ROOM.search(message) or not named:
        return Outcome("crash", text)
    return Outcome("refused", text)


def _plain(text: str) -> str:
    return re.sub(r"(\dd$)|[_\W]", "", text).lower()


def parameter_names(function: Any) -> list[str]:
    """The names of a function's parameters."""
    names = [getattr(function, "__name__", "")]
    names += [*getattr(function, "inputs", []), *getattr(function, "option_names", [])]
    try:
        return names + list(inspect.signature(function).parameters)
    except (TypeError, ValueError):
        return names


# ---------------------------------------------------------------- one call


@dataclasses.dataclass(frozen=True)
class Call:
    """What is asked of both libraries.

    Attributes:
        name: the name under which minigen's function is known.
        ours, theirs: the functions.
        args, keywords: PyTorch's arguments.
        only_shape: random results: shape and dtype are all that can agree.
        settle: undoes what is left open, such as the order of equal values, on either result.
        orders: how often to differentiate, 0 to 2.
    """

    name: str
    ours: Callable[..., Any]
    theirs: Callable[..., Any]
    args: tuple[Any, ...]
    keywords: dict[str, Any]
    only_shape: bool = False
    orders: int = 2
    settle: Callable[..., Any] | None = None


def judge(call: Call) -> Outcome:
    """Run both, compare value, dtype and gradients.

    Raises:
        Outside: the arguments or PyTorch's result are of a kind that minigen does not have,
            or PyTorch raises.
    """
    detached, convert = Detached(), ToMinigen()
    their_args, their_keywords = detached(call.args), detached(call.keywords)
    args, keywords = convert(their_args), convert.keywords(their_keywords)
    try:
        expected = call.theirs(*their_args, **their_keywords)
    except Exception as error:  # an operator that is asked for an option, for example
        raise Outside("PyTorch raises") from error
    for part in parts(expected):
        array(part)
    try:
        found = call.ours(*args, **keywords)
    except Exception as error:
        return judge_error(error, call.name, call.ours)
    try:
        if call.settle is not None:
            settled = [call.settle(r, *their_args, **their_keywords) for r in (found, expected)]
            compare_all(settled[0], settled[1], "value")
        else:
            compare_all(found, expected, "value", call.only_shape)
        if call.orders and not call.only_shape:
            compare_gradients(found, expected, convert.leaves, call.orders)
    except Wrong as error:
        return Outcome("wrong", str(error))
    except Outside:
        raise
    except Exception as error:
        return Outcome("crash", f"in the gradient: {type(error).__name__}: {error}")
    return Outcome("equal")


def judge_refusal(call: Call, reason: str) -> Outcome:
    """PyTorch raises at these arguments: so must minigen, with a line of its own."""
    convert = ToMinigen()
    args, keywords = convert(call.args), convert.keywords(call.keywords)
    try:
        found = call.ours(*args, **keywords)
    except Exception as error:
        outcome = judge_error(error, call.name, call.ours)
        return Outcome("equal") if outcome.kind == "refused" else outcome
    return Outcome("wrong", f"accepted, gives {short(found)}; PyTorch: {reason}")


# ---------------------------------------------------------------- comparison


def compare_all(found: Any, expected: Any, what: str, only_shape: bool = False) -> None:
    """Compare two results, part by part."""
    ours, theirs = parts(found), parts(expected)
    if len(ours) != len(theirs):
        raise Wrong(f"{what}: {len(ours)} results for {len(theirs)}")
    for i, (one, other) in enumerate(zip(ours, theirs)):
        label = what if len(ours) == 1 else f"{what} {i}"
        compare(one, other, label, only_shape)


def compare(
    found: Any, expected: Any, what: str, only_shape: bool = False, scaled: float = 0.0
) -> None:
    """Compare one result: kind, shape, dtype, numbers.

    With ``scaled`` the absolute tolerance is that times the largest expected number.

    Raises:
        Wrong: they differ.
    """
    if (found is None) != (expected is None):
        raise Wrong(f"{what}: {short(found)} for {short(expected)}")
    if isinstance(expected, torch.Tensor) != isinstance(found, mg.Tensor):
        raise Wrong(f"{what}: {type(found).__name__} for {type(expected).__name__}")
    ours, theirs = array(found), array(expected)
    if ours.shape != theirs.shape:
        raise Wrong(f"{what}: shape {ours.shape} for {theirs.shape}")
    if isinstance(expected, torch.Tensor) and ours.dtype != theirs.dtype:
        raise Wrong(f"{what}: dtype {ours.dtype} for {theirs.dtype}")
    if only_shape:
        return
    if theirs.dtype.kind != "f":
        if not np.array_equal(ours, theirs):
            raise Wrong(f"{what}: {short(ours)} for {short(theirs)}")
        return
    relative, absolute = TOLERANCE[str(theirs.dtype)]
    if scaled:
        finite = np.abs(theirs[np.isfinite(theirs)], dtype=np.float64)
        absolute *= scaled * max(1.0, float(finite.max(initial=0)))
    with np.errstate(all="ignore"):
        close = np.isclose(ours, theirs, rtol=relative, atol=absolute, equal_nan=True)
    if not close.all():
        at = tuple(int(i) for i in np.argwhere(~close)[0])
        raise Wrong(
            f"{what}: {ours[at]} for {theirs[at]} at {at}, {int((~close).sum())} of {close.size}"
        )


def compare_gradients(
    found: Any, expected: Any, leaves: list[tuple[torch.Tensor, mg.Tensor]], orders: int
) -> None:
    """Compare the gradients of the sum of all results, weighted by fixed numbers.

    Of second order: the gradient of the sum of all first gradients, weighted likewise.
    """
    if not leaves:
        return
    theirs = [leaf for leaf, _ in leaves]
    ours = [leaf for _, leaf in leaves]
    pairs = [
        (one, other)
        for one, other in zip(parts(found), parts(expected))
        if isinstance(other, torch.Tensor) and other.requires_grad
    ]
    if not pairs:
        if any(isinstance(p, mg.Tensor) and p.requires_grad for p in parts(found)):
            raise Wrong("requires grad, where PyTorch's result does not")
        return
    for order in range(1, orders + 1):
        weights = [_weights(other.shape) for _, other in pairs]
        wanted = _torch_gradients(
            [other for _, other in pairs], weights, theirs, create_graph=order < orders
        )
        if wanted is None:
            return
        got = _our_gradients([one for one, _ in pairs], weights, ours, create_graph=order < orders)
        for i, (one, other) in enumerate(zip(got, wanted)):
            zero = torch.zeros_like(theirs[i])
            compare_gradient(one, zero if other is None else other, f"gradient {order} of {i}")
        pairs = [
            (one, other)
            for one, other in zip(got, wanted)
            if other is not None and other.requires_grad
        ]
        if not pairs:
            return


def compare_gradient(found: Any, expected: torch.Tensor, what: str) -> None:
    """As `compare`; no gradient is a gradient of zeros.

    A gradient is a sum whose terms may cancel: its rounding is that of the largest.
    """
    if found is None:
        found = mg.Tensor(np.zeros(expected.shape, array(expected).dtype))
    compare(found, expected, what, scaled=10.0 if what.startswith("gradient 2") else 1.0)


def _weights(shape: Iterable[int]) -> np.ndarray:
    rng = np.random.default_rng(7)
    return rng.uniform(0.5, 1.5, tuple(shape))


def _torch_gradients(
    outputs: list[torch.Tensor], weights: list[np.ndarray], inputs: list[Any], create_graph: bool
) -> list[torch.Tensor | None] | None:
    """None if PyTorch itself has no such gradient."""
    try:
        return list(
            torch.autograd.grad(
                outputs,
                inputs,
                [torch.tensor(w).to(o.dtype) for o, w in zip(outputs, weights)],
                create_graph=create_graph,
                allow_unused=True,
            )
        )
    except (RuntimeError, NotImplementedError):
        return None


def _our_gradients(
    outputs: list[Any], weights: list[np.ndarray], inputs: list[mg.Tensor], create_graph: bool
) -> list[mg.Tensor | None]:
    """The gradients; an output off the tape gives none."""
    kept = [
        (o, mg.Tensor(w.astype(o.dtype)))
        for o, w in zip(outputs, weights)
        if o is not None and o.requires_grad
    ]
    if not kept:
        return [None] * len(inputs)
    outputs, seeds = [o for o, _ in kept], [w for _, w in kept]
    return list(mg.grad(outputs, inputs, seeds, create_graph=create_graph, allow_unused=True))


def short(value: Any) -> str:
    """A value in a few words."""
    text = " ".join(repr(value).split())
    return text if len(text) < 90 else text[:87] + "…"
