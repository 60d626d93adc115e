"""Descriptions of the elementwise functions and activations."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from hypothesis import strategies as st

import minigen as mg
from minigen.autograd.operation import registry

from .core import (
    NONZERO,
    POSITIVE,
    REAL,
    SMOOTH_AT_0,
    UNIT,
    Case,
    Domain,
    Spec,
    arrays,
    binary,
    broadcastable,
    masks,
    resolve,
    torch,
    torch_scalar,
    unary,
    with_scalars,
)

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def _one(name: str, domain: Domain, numpy: Any, *aliases: str, **more: Any) -> Spec:
    options = {"torch": name, "ops": (name,), "integers": True, **more}
    return Spec(name, unary(domain), numpy=numpy, aliases=aliases, **options)


UNARY = [
    _one("absolute", SMOOTH_AT_0, np.abs, "abs"),
    _one("negative", REAL, np.negative, "neg", integers=False),
    _one("exp", REAL, np.exp),
    _one("expm1", REAL, np.expm1),
    _one("log", POSITIVE, np.log),
    _one("log1p", Domain(-0.5, 2.0), np.log1p),
    _one("log2", POSITIVE, np.log2),
    _one("sqrt", POSITIVE, np.sqrt),
    _one("rsqrt", POSITIVE, lambda x: x**-0.5),
    _one("square", REAL, np.square),
    _one("reciprocal", NONZERO, lambda x: 1 / x, integers=False),
    _one("sin", REAL, np.sin),
    _one("cos", REAL, np.cos),
    _one("tan", Domain(-1.2, 1.2), np.tan),
    _one("sinh", REAL, np.sinh),
    _one("cosh", REAL, np.cosh),
    _one("arctan", REAL, np.arctan, "atan"),
    _one("arctanh", Domain(-0.8, 0.8), np.arctanh, "atanh", integers=False),
    _one("tanh", REAL, np.tanh),
    _one("sigmoid", REAL, _sigmoid),
    _one("erf", Domain(-4, 4), _erf),
    _one("clone", REAL, np.copy),
    _one("relu", SMOOTH_AT_0, lambda x: np.maximum(x, 0)),
    _one(
        "relu6", Domain(-2, 8, avoid=(0.0, 6.0)), lambda x: np.clip(x, 0, 6), ops=(),
        torch="nn.functional.relu6", integers=False,
    ),
    _one("silu", REAL, lambda x: x * _sigmoid(x), "swish", torch="nn.functional.silu",
         integers=False),
    _one("logsigmoid", Domain(-5, 5), lambda x: np.log(_sigmoid(x)), ops=(),
         torch="nn.functional.logsigmoid", integers=False),
    _one("sign", SMOOTH_AT_0, np.sign, differentiable=False, integers=False),
    _one("floor", Domain(-3, 3), np.floor, differentiable=False),
    _one("ceil", Domain(-3, 3), np.ceil, differentiable=False),
    _one("round", Domain(-3, 3), np.round, differentiable=False),
    _one("isnan", REAL, np.isnan, differentiable=False),
    _one("isinf", REAL, np.isinf, differentiable=False),
    _one("isfinite", REAL, np.isfinite, differentiable=False),
    _one("logical_not", REAL, np.logical_not, differentiable=False),
]  # fmt: skip

WITH_OPTIONS = [
    Spec(
        "leaky_relu",
        unary(SMOOTH_AT_0, {"negative_slope": st.sampled_from([0.01, 0.2, 1.0, 1.5])}),
        numpy=lambda x, negative_slope: np.where(x > 0, x, negative_slope * x),
        torch="nn.functional.leaky_relu",
        ops=("leaky_relu",),
    ),
    Spec(
        "elu",
        unary(SMOOTH_AT_0, {"alpha": st.sampled_from([0.3, 1.0, 2.0])}),
        numpy=lambda x, alpha: np.where(x > 0, x, alpha * np.expm1(x)),
        torch="nn.functional.elu",
        ops=("elu",),
    ),
    Spec(
        "gelu",
        unary(REAL, {"approximate": st.sampled_from(["none", "tanh"])}),
        torch="nn.functional.gelu",
        numpy=lambda x, approximate: (
            0.5 * x * (1 + _erf(x / math.sqrt(2)))
            if approximate == "none"
            else 0.5 * x * (1 + np.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
        ),
        ops=("gelu",),
    ),
    Spec(
        "softplus",
        unary(REAL, {"beta": st.sampled_from([0.5, 1.0, 3.0])}),
        numpy=lambda x, beta: np.log1p(np.exp(beta * x)) / beta,
        torch="nn.functional.softplus",
        ops=("softplus",),
    ),
    Spec(
        "clamp",
        unary(
            Domain(avoid=(-0.5, 0.5)),
            {
                "min": st.sampled_from([None, -0.5]),
                "max": st.sampled_from([0.5]),
            },
        )
        | unary(Domain(avoid=(-0.5,)), {"min": st.just(-0.5)}),
        numpy=lambda x, min=None, max=None: np.clip(x, min, max),
        torch="clamp",
        ops=("clip",),
    ),
    Spec(
        "cast",
        unary(REAL),
        call=lambda x: registry["cast"](x, dtype=np.float64),
        numpy=np.copy,
        torch=lambda x: x.to(torch.float64),
        ops=("cast",),
    ),
    Spec("alias", unary(REAL), call=registry["alias"], numpy=np.copy, ops=("alias",)),
    Spec(
        "step_gate",
        binary(REAL, SMOOTH_AT_0, scalars=False).filter(
            lambda case: case.arrays[0].shape == case.arrays[1].shape
        ),
        call=lambda g, like: registry["step_gate"](g, like, low=0.25),
        numpy=lambda g, like: np.where(like > 0, g, 0.25 * g),
        torch=lambda g, like: torch.where(like > 0, g, 0.25 * g),
        ops=("step_gate",),
    ),
]


@st.composite
def _even_length(draw: Any) -> Case:
    shape = list(draw(st.sampled_from([(2,), (4, 3), (2, 4, 3), (0, 2)])))
    dim = draw(st.sampled_from([d for d, n in enumerate(shape) if n % 2 == 0]))
    return Case((draw(arrays(tuple(shape))),), {"dim": dim - len(shape) * draw(st.booleans())})


GATED = [
    Spec(
        "glu",
        _even_length(),
        numpy=lambda x, dim: np.split(x, 2, dim)[0] * _sigmoid(np.split(x, 2, dim)[1]),
        torch="nn.functional.glu",
    )
]

# ---------------------------------------------------------------- two operands


def _two(name: str, left: Domain, right: Domain, numpy: Any, *aliases: str, **more: Any) -> Spec:
    options = {"ops": (name,), "integers": True, **more}
    call = with_scalars(resolve(mg, name))
    return Spec(
        name,
        binary(left, right),
        call=call,
        numpy=with_scalars(numpy),
        torch=with_scalars(lambda x, y: resolve(torch, options.get("torch", name))(x, y),
                           torch_scalar),
        aliases=aliases,
        **{k: v for k, v in options.items() if k != "torch"},
    )  # fmt: skip


def _compared(name: str, numpy: Any, alias: str) -> Spec:
    few = Domain(whole=True)
    more = {"torch": "eq" if name == "equal" else name}
    return _two(name, few, few, numpy, alias, differentiable=False, **more)


_ARC = Domain(avoid=(0.0,), margin=0.4)

BINARY = [
    _two("add", REAL, REAL, np.add),
    _two("subtract", REAL, REAL, np.subtract, "sub", integers=False),
    _two("multiply", REAL, REAL, np.multiply, "mul"),
    _two("divide", REAL, NONZERO, np.true_divide, "div", integers=False),
    _two("power", POSITIVE, REAL, np.power, "pow", torch="pow", integers=False),
    _two("maximum", Domain(-2, -0.1), Domain(0, 2), np.maximum),
    _two("minimum", Domain(-2, -0.1), Domain(0, 2), np.minimum),
    _two("logaddexp", REAL, REAL, np.logaddexp, integers=False),
    _two("arctan2", _ARC, _ARC, np.arctan2, "atan2"),
    _two("floor_divide", REAL, NONZERO, np.floor_divide, differentiable=False, integers=False),
    _compared("equal", np.equal, "eq"),
    _compared("not_equal", np.not_equal, "ne"),
    _compared("less", np.less, "lt"),
    _compared("less_equal", np.less_equal, "le"),
    _compared("greater", np.greater, "gt"),
    _compared("greater_equal", np.greater_equal, "ge"),
    _two("logical_and", REAL, REAL, np.logical_and, differentiable=False),
    _two("logical_or", REAL, REAL, np.logical_or, differentiable=False),
    # Between its jumps: x/other keeps away from whole numbers.
    _two("remainder", Domain(0.1, 0.9), Domain(1, 2), np.remainder, integers=False),
    _two("remainder", Domain(2.2, 2.7), Domain(0.95, 1.05), np.remainder,
         integers=False),
]  # fmt: skip


@st.composite
def _choices(draw: Any) -> Case:
    a, b, c = draw(broadcastable(3))
    kind = draw(st.sampled_from(["tensors", "number", "numbers"]))
    condition = draw(masks(a))
    if kind == "tensors":
        return Case((condition, draw(arrays(b)), draw(arrays(c))))
    if kind == "number":
        return Case((condition, draw(arrays(b))), {"other": 0.5})
    return Case((draw(arrays(b)), condition), {"swap": 0.5})


def _where(where: Any) -> Any:
    def call(*xs: Any, other: Any = None, swap: Any = None) -> Any:
        if other is not None:
            return where(xs[0], xs[1], other)
        return where(xs[1], swap, xs[0]) if swap is not None else where(*xs)

    return call


@st.composite
def _exponents(draw: Any) -> Case:
    """Any base, 0 and negative ones included, to a whole power."""
    x = draw(arrays(draw(st.sampled_from([(), (3,), (2, 0), (2, 3)]))))
    if x.size and draw(st.booleans()):
        x = np.where(np.abs(x) < 1, 0.0, x)
    return Case((x,), {"exponent": draw(st.sampled_from([0, 1, 2, 3, 2.0, 4]))})


CHOICE = [
    Spec(
        "where",
        _choices(),
        call=_where(mg.where),
        numpy=_where(np.where),
        torch=_where(lambda c, x, y: torch.where(c, x, y)),
        ops=("where",),
    ),
    Spec(
        "x ** whole number",
        _exponents(),
        call=lambda x, exponent: x**exponent,
        numpy=lambda x, exponent: x**exponent,
        torch=lambda x, exponent: x**exponent,
        ops=("power",),
    ),
    Spec(
        "allclose",
        binary(UNIT, scalars=False),
        call=lambda x, y: mg.tensor(mg.allclose(x, y, rtol=0.5)),
        numpy=lambda x, y: np.allclose(x, y, rtol=0.5),
        differentiable=False,
    ),
    *[
        Spec(
            name,
            unary(REAL),
            call=lambda x, name=name: registry[name](x),
            numpy=getattr(np, name),
            torch=name,
            ops=(name,),
            differentiable=False,
        )
        for name in ("ones_like", "zeros_like")
    ],
]

SPECS = [*UNARY, *WITH_OPTIONS, *GATED, *BINARY, *CHOICE]
