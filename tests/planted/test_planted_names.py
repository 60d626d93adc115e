"""Mistakes about what a name of PyTorch's means, planted one at a time and each caught."""

from __future__ import annotations

from typing import Any

import numpy as np
from op_specs import checks
from suite import Patch, Plant, assert_caught, changed, check_of, each_of, replace, test_of

import minigen as mg
from minigen.autograd import operation
from minigen.autograd.operation import registry
from minigen.autograd.tensor import Tensor
from minigen.ops import creation, diagonal, interpolation, linalg, random, reduction


def forward(op: str, wrong: Any) -> Any:
    """Another forward function for ``op``."""

    def plant(patch: Patch) -> None:
        patch.setattr(registry[op], "forward", wrong)
        patch.setattr(operation, "_raw_functions", {})

    return plant


def divided_cumprod(f: Any, g: Any, x: Any, out: Any, dim: int, reverse: bool) -> Any:
    """The gradient of a running product with the factor divided out, which a 0 does not stand."""
    return f.cumsum(g * out, dim=dim, reverse=not reverse) / x


def rule_of_cumprod(patch: Patch) -> None:
    patch.setitem(registry["cumprod"].rule_of, "x", divided_cumprod)
    patch.setattr(registry["cumprod"], "_plans", {})


def catmull_rom(length: int, count: int, scale: float, align_corners: bool) -> np.ndarray:
    """Bicubic weights with a = -1/2, which other libraries use."""
    place = interpolation._places(length, count, scale, align_corners)
    below = np.floor(place).astype(np.int64)
    weight = lambda d: np.where(
        d < 1, 1.5 * d**3 - 2.5 * d**2 + 1, -0.5 * d**3 + 2.5 * d**2 - 4 * d + 2
    )
    taps = range(-1, 3)
    return interpolation._matrix(
        length, [(below + k, weight(np.abs(place - below - k))) for k in taps]
    )


NAMES = [
    Plant(
        "equal answers for each element",
        replace(mg, "equal", lambda x, y: (x == y).numpy() if x.shape == y.shape else False),
        check_of("equal", checks.check_value),
    ),
    Plant(
        "~ of an integer is a logical not",
        forward("bitwise_not", lambda b, x: b.xp.logical_not(x)),
        check_of("bitwise_not", checks.check_value),
    ),
    Plant(
        "rounding_mode='trunc' rounds down",
        forward("truncate_divide", lambda b, x, other: b.xp.floor_divide(x, other)),
        check_of("divide", checks.check_value, number=2),
    ),
    Plant(
        "the correction of a variance is always 1",
        changed(reduction, "_spread", lambda original, *args: original(*args[:-1], 1)),
        check_of("var", checks.check_value),
    ),
    Plant(
        "the offset of a diagonal counts downwards",
        replace(
            mg,
            "diagonal",
            lambda x, offset=0, dim1=0, dim2=1: diagonal.diagonal(x, -offset, dim1, dim2),
        ),
        check_of("diagonal", checks.check_value, count=30),
    ),
    Plant(
        "linalg.norm(A, 1) is the sum of all sizes",
        replace(mg.linalg, "norm", lambda x, ord=None, dim=None: mg.linalg.vector_norm(
            x, 2 if ord is None else ord, dim)),
        check_of("linalg.norm", checks.check_value, count=30),
    ),
    Plant(
        "solve reads a vector for each matrix as one matrix",
        replace(mg.linalg, "solve", lambda A, B, *, left=True: linalg.solve(
            A, B[None] if A.ndim == 3 and B.shape == A.shape[:-1] and left else B, left=left)),
        test_of("ops/test_names.py", "test_solve_takes_a_vector_for_each_matrix"),
    ),
    Plant(
        "the gradient of a running product divides by the factor",
        rule_of_cumprod,
        check_of("cumprod", checks.check_differences, number=2),
    ),
    Plant(
        "bicubic interpolation with another a",
        replace(interpolation, "_four", catmull_rom),
        check_of("interpolate", checks.check_value, number=1, count=30),
    ),
    Plant(
        "the threshold of softplus is compared with x and not with βx",
        replace(mg, "softplus", lambda x, beta=1.0, threshold=20.0: mg.where(
            x > threshold, x, mg.log1p(mg.exp(beta * x)) / beta)),
        check_of("softplus", checks.check_value, count=30),
    ),
    Plant(
        "Huber's loss scaled as the smooth L1 loss is",
        replace(mg, "huber_loss", lambda x, t, reduction="mean", delta=1.0: mg.smooth_l1_loss(
            x, t, reduction=reduction, beta=delta)),
        check_of("huber_loss", checks.check_value),
    ),
    Plant(
        "clamp_ writes a copy",
        replace(Tensor, "clamp_", lambda self, min=None, max=None: mg.clamp(self, min, max)),
        test_of(
            "ops/test_in_place.py", "test_the_result_is_written_into_the_same_memory",
            lambda: "clamp_",
        ),
    ),
    Plant(
        "arange to integers rounds each number instead of the step",
        replace(mg, "arange", lambda *args, dtype=None, **more: creation.arange(
            *args, **more).to(dtype or "float32")),
        test_of(
            "ops/test_creation.py",
            "test_to_an_integer_dtype_ranges_round_towards_zero_as_in_pytorch",
        ),
    ),
    Plant(
        "multinomial draws with replacement whether asked to or not",
        replace(mg, "multinomial", lambda p, n, replacement=False, **more: random.multinomial(
            p, n, True, **more)),
        test_of(
            "ops/test_random.py", "test_multinomial_without_replacement_draws_no_class_twice"
        ),
    ),
]  # fmt: skip


@each_of(NAMES)
def test_a_planted_mistake_is_caught_by_a_named_check(plant):
    assert_caught(plant)
