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
    Case,
    Domain,
    Spec,
    arrays,
    binary,
    broadcastable,
    masks,
    resolve,
    shapes,
    torch,
    torch_scalar,
    unary,
    with_scalars,
)

_erf = np.vectorize(math.erf, otypes=[np.float64])


def _sigmoid(x: np.ndarray) -> np.ndarray:
    return 1 / (1 + np.exp(-x))


def one(name: str, domain: Domain, numpy: Any, *aliases: str, **more: Any) -> Spec:
    options = {"torch": name, "ops": (name,), "integers": True, **more}
    return Spec(name, unary(domain), numpy=numpy, aliases=aliases, **options)


UNARY = [
    one("absolute", SMOOTH_AT_0, np.abs, "abs"),
    one("negative", REAL, np.negative, "neg", integers=False),
    one("exp", REAL, np.exp),
    one("expm1", REAL, np.expm1),
    one("log", POSITIVE, np.log),
    one("log1p", Domain(-0.5, 2.0), np.log1p),
    one("log2", POSITIVE, np.log2),
    one("sqrt", POSITIVE, np.sqrt),
    one("rsqrt", POSITIVE, lambda x: x**-0.5),
    one("square", REAL, np.square),
    one("reciprocal", NONZERO, lambda x: 1 / x, integers=False),
    one("sin", REAL, np.sin),
    one("cos", REAL, np.cos),
    one("tan", Domain(-1.2, 1.2), np.tan),
    one("sinh", REAL, np.sinh),
    one("cosh", REAL, np.cosh),
    one("arctan", REAL, np.arctan, "atan"),
    one("arctanh", Domain(-0.8, 0.8), np.arctanh, "atanh", integers=False),
    one("tanh", REAL, np.tanh),
    one("sigmoid", REAL, _sigmoid),
    one("erf", Domain(-4, 4), _erf),
    one("clone", REAL, np.copy),
    one("relu", SMOOTH_AT_0, lambda x: np.maximum(x, 0), integers=False),
    one(
        "relu6", Domain(-2, 8, avoid=(0.0, 6.0)), lambda x: np.clip(x, 0, 6), ops=("hardtanh",),
        torch="nn.functional.relu6", integers=False,
    ),
    one("selu", SMOOTH_AT_0, lambda x: 1.0507009873554805 * np.where(
            x > 0, x, 1.6732632423543772 * np.expm1(x)),
        torch="nn.functional.selu", ops=(), integers=False),
    one("mish", REAL, lambda x: x * np.tanh(np.log1p(np.exp(x))),
        torch="nn.functional.mish", ops=(), integers=False),
    one("silu", REAL, lambda x: x * _sigmoid(x), "swish", torch="nn.functional.silu",
         integers=False),
    one("logsigmoid", Domain(-5, 5), lambda x: np.log(_sigmoid(x)), ops=(),
         torch="nn.functional.logsigmoid", integers=False),
    one("sign", SMOOTH_AT_0, np.sign, differentiable=False, integers=False),
    one("floor", Domain(-3, 3), np.floor, differentiable=False),
    one("ceil", Domain(-3, 3), np.ceil, differentiable=False),
    one("round", Domain(-3, 3), np.round, differentiable=False),
]  # fmt: skip


@st.composite
def _slopes(draw: Any) -> Case:
    x = draw(arrays(draw(shapes(max_dims=4, min_side=1)), SMOOTH_AT_0))
    slopes = draw(st.sampled_from([(), (1,), (1,) if x.ndim < 2 else (x.shape[1],)]))
    return Case((x, draw(arrays(slopes))))


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
        unary(
            Domain(avoid=(1 / 3,)),
            {"beta": st.sampled_from([1.0, 3.0]), "threshold": st.sampled_from([20.0, 1.0])},
        ).filter(lambda case: case.options["beta"] == 3 or case.options["threshold"] == 20),
        numpy=lambda x, beta=1.0, threshold=20.0: np.where(
            beta * x > threshold, x, np.log1p(np.exp(beta * x)) / beta
        ),
        torch="nn.functional.softplus",
        ops=("softplus",),
    ),
    Spec(
        "hardtanh",
        unary(Domain(-2, 2, avoid=(-1.0, -0.5, 1.5, 1.0)))
        | unary(
            Domain(-2, 2, avoid=(-0.5, 1.5)), {"min_val": st.just(-0.5), "max_val": st.just(1.5)}
        ),
        numpy=lambda x, min_val=-1.0, max_val=1.0: np.clip(x, min_val, max_val),
        torch="nn.functional.hardtanh",
        ops=("hardtanh",),
    ),
    Spec(
        "prelu",
        _slopes(),
        numpy=lambda x, w: np.where(
            x > 0, x, x * (w.reshape(-1, *[1] * (x.ndim - 2)) if w.size > 1 else w.reshape(()))
        ),
        torch=lambda x, w: torch.nn.functional.prelu(x, w),
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


def two(name: str, left: Domain, right: Domain, numpy: Any, *aliases: str, **more: Any) -> Spec:
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


_ARC = Domain(avoid=(0.0,), margin=0.4)

BINARY = [
    two("add", REAL, REAL, np.add),
    two("subtract", REAL, REAL, np.subtract, "sub", integers=False),
    two("multiply", REAL, REAL, np.multiply, "mul"),
    two("divide", REAL, NONZERO, np.true_divide, "div", integers=False),
    two("power", POSITIVE, REAL, np.power, "pow", torch="pow", integers=False),
    two("maximum", Domain(-2, -0.1), Domain(0, 2), np.maximum),
    two("minimum", Domain(-2, -0.1), Domain(0, 2), np.minimum),
    two("logaddexp", REAL, REAL, np.logaddexp, integers=False),
    two("arctan2", _ARC, _ARC, np.arctan2, "atan2"),
    two("floor_divide", REAL, NONZERO, np.floor_divide, differentiable=False, integers=False),
    # Between its jumps: x/other keeps away from whole numbers.
    two("remainder", Domain(0.1, 0.9), Domain(1, 2), np.remainder, integers=False),
    two("remainder", Domain(2.2, 2.7), Domain(0.95, 1.05), np.remainder,
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


def _np_divide(x: Any, y: Any, rounding_mode: str | None) -> Any:
    rounded = {None: lambda q: q, "floor": np.floor, "trunc": np.trunc}[rounding_mode]
    return rounded(x / y)


@st.composite
def _pairs(draw: Any, right: Domain = REAL, **options: Any) -> Case:
    """Two arrays that broadcast."""
    a, b = draw(broadcastable(2))
    chosen = {name: draw(st.sampled_from(values)) for name, values in options.items()}
    return Case((draw(arrays(a)), draw(arrays(b, right))), chosen)


@st.composite
def _between(draw: Any) -> Case:
    """A tensor and bounds, of which one may be missing; nothing lies on a bound."""
    shapes = draw(broadcastable(3))
    whole = [Domain(-3, 3, whole=True)] * 2
    x, low, high = (
        np.asarray(draw(arrays(shape, domain)) + shift)
        for shape, domain, shift in zip(shapes, [REAL, *whole], (0.0, 0.25, 0.75))
    )
    x = np.asarray(np.where(np.abs(x * 4 - np.round(x * 4)) < 0.1, x + 0.1, x))
    if draw(st.booleans()):
        return Case((x, low, high))
    return Case((x, low), {"bound": draw(st.sampled_from(["min", "max"]))})


def _clamped(clamp: Any) -> Any:
    def call(x: Any, *bounds: Any, bound: str | None = None) -> Any:
        return clamp(x, *bounds) if bound is None else clamp(x, **{bound: bounds[0]})

    return call


def _np_clamp(x: Any, min: Any = None, max: Any = None) -> Any:
    x = x if min is None else np.maximum(x, min)
    return x if max is None else np.minimum(x, max)


@st.composite
def _lerp(draw: Any) -> Case:
    shapes = draw(broadcastable(3))
    if draw(st.booleans()):
        return Case(tuple([draw(arrays(shape)) for shape in shapes]))
    return Case(tuple([draw(arrays(shape)) for shape in shapes[:2]]), {"weight": 0.3})


MORE = [
    *[
        Spec(
            name,
            _pairs(alpha=[1, 2, -0.5]),
            numpy=lambda x, y, alpha, sign=sign: x + sign * alpha * y,
            torch=name,
        )
        for name, sign in (("add", 1), ("subtract", -1))
    ],
    Spec("divide", _pairs(NONZERO, rounding_mode=[None]), numpy=_np_divide, torch="divide"),
    Spec(
        "divide",
        _pairs(NONZERO, rounding_mode=["floor", "trunc"]),
        numpy=_np_divide,
        torch="divide",
        ops=("truncate_divide",),
        differentiable=False,
    ),
    Spec(
        "round",
        unary(Domain(-300, 300), {"decimals": st.sampled_from([2, 1, -1, -2])}),
        numpy=lambda x, decimals: np.round(x, decimals),
        torch="round",
        differentiable=False,
    ),
    Spec(
        "clamp",
        _between(),
        call=_clamped(mg.clamp),
        numpy=_clamped(_np_clamp),
        torch=lambda *xs, **options: _clamped(torch.clamp)(  # (its second order broadcasts badly)
            *torch.broadcast_tensors(*xs), **options
        ),
        ops=("clip_between",),
    ),
    Spec(
        "lerp",
        _lerp(),
        numpy=lambda x, end, weight: x + weight * (end - x),
        torch="lerp",
    ),
]

SPECS = [*UNARY, *WITH_OPTIONS, *GATED, *BINARY, *CHOICE, *MORE]
