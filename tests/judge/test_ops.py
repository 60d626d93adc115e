"""Every op, method and operator that has an entry in PyTorch's ``op_db``."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch

from .convert import Outside
from .names import RANDOM, TIES, Candidate, arguments, candidates, samples
from .outcome import Call, judge, judge_refusal
from .verdicts import Verdicts

pytestmark = pytest.mark.torch

CANDIDATES = candidates()

DTYPES = (torch.float64, torch.float32, torch.int64, torch.bool)
OTHER_DTYPES = (torch.float16, torch.uint8, torch.int8, torch.int16, torch.int32)
REFERENCES = 40
"""Reference inputs for each op and dtype; all of them are thousands (``-m "torch and slow"``)."""


def call(candidate: Candidate, sample: Any, orders: int) -> Call:
    args, keywords = arguments(candidate, sample)
    info = candidate.info.name
    only_shape = info in RANDOM or bool(keywords.get("dropout_p"))
    return Call(
        candidate.name,
        candidate.ours,
        candidate.theirs,
        args,
        keywords,
        only_shape,
        orders,
        TIES.get(info),
    )


def run(candidate: Candidate, verdicts: Verdicts, dtypes: Any, references: int | None) -> None:
    """Judge all samples of these dtypes."""
    for dtype in dtypes:
        if dtype not in candidate.info.supported_dtypes("cpu"):
            continue
        for sample, orders in samples(candidate, dtype, references):
            asked = call(candidate, sample, orders)
            try:
                outcome = judge(asked)
            except Outside:
                verdicts.leave_out()
                continue
            verdicts.add(outcome, describe(asked, candidate))


def describe(asked: Call, candidate: Candidate) -> str:
    """The arguments, tensors by dtype and shape."""

    def one(value: Any) -> str:
        if isinstance(value, torch.Tensor):
            dtype = str(value.dtype).removeprefix("torch.")
            return f"{dtype}{list(value.shape)}"
        if isinstance(value, (tuple, list)):
            inner = ", ".join(one(v) for v in value)
            return f"({inner})" if isinstance(value, tuple) else f"[{inner}]"
        return repr(value)

    parts = [one(a) for a in asked.args] + [f"{k}={one(v)}" for k, v in asked.keywords.items()]
    variant = candidate.info.variant_test_name
    return (f"[{variant}] " if variant else "") + ", ".join(parts)


def of_names(test: Any) -> Any:
    return pytest.mark.parametrize("name", sorted(CANDIDATES))(test)


@of_names
def test_an_op_is_pytorchs(name: str, record_property: Callable[[str, object], None]) -> None:
    collected = Verdicts(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for candidate in CANDIDATES[name]:
            dtypes = DTYPES if candidate.function else (torch.float64, torch.int64)
            run(candidate, collected, dtypes, REFERENCES)
            if candidate.function:
                refuse(candidate, collected)
    collected.settle(record_property)


def refuse(candidate: Candidate, verdicts: Verdicts) -> None:
    """Judge the inputs at which PyTorch raises."""
    if candidate.info.error_inputs_func is None:
        return
    torch.manual_seed(0)
    for error in candidate.info.error_inputs("cpu"):
        asked = call(candidate, error.sample_input, 0)
        try:
            asked.theirs(*asked.args, **asked.keywords)
        except Exception as raised:
            reason = " ".join(str(raised).split())[:80]
        else:
            continue  # an entry for another device, or for the entry's own wrapper
        try:
            outcome = judge_refusal(asked, reason)
        except Outside:
            verdicts.leave_out()
            continue
        verdicts.add(outcome, f"error input {describe(asked, candidate)}")


@pytest.mark.slow
@of_names
def test_an_op_is_pytorchs_at_every_reference_input(
    name: str, record_property: Callable[[str, object], None]
) -> None:
    collected = Verdicts(name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for candidate in CANDIDATES[name]:
            run(candidate, collected, (*DTYPES, *OTHER_DTYPES), None)
    collected.settle(record_property)
