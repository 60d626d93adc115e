"""Descriptions of matrix products and functions of matrices, and of einsum."""

from __future__ import annotations

from typing import Any

import hypothesis
import numpy as np
from hypothesis import strategies as st

import minigen as mg
from minigen.autograd.operation import registry

from .core import LAYOUTS, REAL, Case, Spec, arrays, broadcastable, shapes, torch

# ---------------------------------------------------------------- products


@st.composite
def _products(draw: Any) -> Case:
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    kind = draw(st.sampled_from(["matrices", "vector left", "vector right", "vectors", "shared"]))
    if kind == "vectors":
        return Case((draw(arrays((k,))), draw(arrays((k,)))))
    one, two = draw(broadcastable(2))
    one, two = one[-2:], two[-2:]
    if kind == "vector left":
        return Case((draw(arrays((k,))), draw(arrays((*two, k, m)))))
    if kind == "vector right":
        return Case((draw(arrays((*one, n, k))), draw(arrays((k,)))))
    if kind == "shared":
        return Case((draw(arrays((*one, n, k))), draw(arrays((k, m)))))
    return Case((draw(arrays((*one, n, k))), draw(arrays((*two, k, m)))))


@st.composite
def _stacks(draw: Any, batches: int) -> Case:
    """Two matrices, or two batches of equally many."""
    lead = tuple([draw(st.integers(0, 3)) for _ in range(batches)])
    n, k, m = (draw(st.integers(0, 3)) for _ in range(3))
    return Case((draw(arrays((*lead, n, k))), draw(arrays((*lead, k, m)))))


@st.composite
def _added(draw: Any) -> Case:
    """A product, and something that broadcasts to it."""
    left, right = draw(_stacks(0)).arrays
    n, m = left.shape[0], right.shape[1]
    x = draw(arrays(draw(st.sampled_from([(n, m), (m,), (1, m), (n, 1), ()]))))
    factors = {name: draw(st.sampled_from([1, 2, -0.5])) for name in ("beta", "alpha")}
    return Case((x, left, right), factors if draw(st.booleans()) else {})


@st.composite
def _vectors(draw: Any, same: bool = True) -> Case:
    n = draw(st.integers(0, 5))
    return Case((draw(arrays((n,))), draw(arrays((n if same else draw(st.integers(0, 4)),)))))


@st.composite
def _linear(draw: Any, bias: bool) -> Case:
    lead = draw(shapes(max_dims=2, max_side=3))
    inside, outside = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    xs = [draw(arrays((*lead, inside))), draw(arrays((outside, inside)))]
    return Case((*xs, draw(arrays((outside,)))) if bias else tuple(xs))


@st.composite
def _dense(draw: Any) -> Case:
    lead = draw(shapes(max_dims=2, max_side=3))
    inside, outside = draw(st.integers(1, 4)), draw(st.integers(0, 4))
    xs = tuple(draw(arrays(shape)) for shape in ((*lead, inside), (outside, inside), (outside,)))
    activation = draw(st.sampled_from(sorted(ACTIVATIONS)))
    if activation in ("relu", "leaky_relu"):  # away from the kink
        y = xs[0] @ xs[1].T + xs[2]
        hypothesis.assume(not y.size or np.abs(y).min() > 0.05)
    return Case(xs, {"activation": activation, "slope": draw(st.sampled_from([0.1, 0.5, 1.0]))})


ACTIVATIONS: dict[str, Any] = {
    "relu": lambda y, slope: y * (y > 0),
    "leaky_relu": lambda y, slope: y * ((y > 0) + slope * (y <= 0)),
    "tanh": lambda y, slope: np.tanh(y),
    "sigmoid": lambda y, slope: 1 / (1 + np.exp(-y)),
}


def _torch_dense(x: Any, w: Any, b: Any, activation: str, slope: float) -> Any:
    y = torch.nn.functional.linear(x, w, b)
    if activation == "leaky_relu":
        return torch.nn.functional.leaky_relu(y, slope)
    return getattr(torch, activation)(y)


PRODUCTS = [
    Spec("dense", _dense(), torch=_torch_dense, ops=("dense",),
         numpy=lambda x, w, b, activation, slope: ACTIVATIONS[activation](x @ w.T + b, slope)),
    Spec("matmul", _products(), numpy=np.matmul, torch="matmul", ops=("matmul",),
         aliases=("linalg.matmul",)),
    Spec("mm", _stacks(0), numpy=np.matmul, torch="mm"),
    Spec("bmm", _stacks(1), numpy=np.matmul, torch="bmm"),
    Spec("addmm", _added(), torch="addmm",
         numpy=lambda x, y, z, beta=1, alpha=1: beta * x + alpha * (y @ z)),
    Spec("dot", _vectors(), numpy=np.dot, torch="dot"),
    Spec("outer", _vectors(same=False), numpy=np.outer, torch="outer"),
    Spec("linear", _linear(bias=True), numpy=lambda x, w, b: x @ w.T + b,
         torch="nn.functional.linear", ops=("linear",)),
    Spec("linear", _linear(bias=False), numpy=lambda x, w: x @ w.T,
         torch="nn.functional.linear", ops=("linear",)),
]  # fmt: skip

# ---------------------------------------------------------------- one matrix


@st.composite
def square(draw: Any, kind: str = "any") -> np.ndarray:
    """Well-conditioned square matrices: ``any``, ``positive`` definite, or of ``det`` > 0."""
    lead = draw(shapes(max_dims=2, max_side=2))
    n = draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**20)))
    q = np.linalg.qr(rng.normal(size=(*lead, n, n)))[0]
    r = np.linalg.qr(rng.normal(size=(*lead, n, n)))[0]
    sizes = rng.uniform(0.7, 1.5, (*lead, n, 1))
    x = np.swapaxes(q, -1, -2) @ (sizes * q) if kind == "positive" else q @ (sizes * r)
    if kind == "det" and x.size:
        x = x * np.where(np.linalg.det(x) < 0, -1, 1)[..., None, None] if n % 2 else x @ x
    x = x.astype(np.float32).astype(np.float64)
    return LAYOUTS[draw(st.sampled_from(list(LAYOUTS)))](x)


def _one_matrix(kind: str = "any") -> Any:
    return square(kind).map(lambda x: Case((x,)))


@st.composite
def _system(draw: Any) -> Case:
    """Matrices, and right-hand sides: one vector, a vector for each, matrices, one matrix."""
    a = draw(square())
    n, lead = a.shape[-1], a.shape[:-2]
    kind = draw(st.sampled_from(["vector", "vectors", "matrices", "one matrix"]))
    if kind == "vector":
        return Case((a, draw(arrays((n,)))))
    if kind == "vectors":
        return Case((a, draw(arrays((*lead, n)))))
    left, columns = draw(st.booleans()), draw(st.integers(0, 3))
    if kind == "one matrix" and (columns if left else n) == n:  # else it may look like vectors
        lead, columns = (), n + 1
    shape = (n, columns) if left else (columns, n)
    return Case((a, draw(arrays((*lead, *shape)))), {"left": left})


def _np_solve(a: Any, y: Any, left: bool = True) -> Any:
    if not left:
        return np.swapaxes(_np_solve(np.swapaxes(a, -1, -2), np.swapaxes(y, -1, -2)), -1, -2)
    if y.ndim == 1 or y.shape == a.shape[:-1]:
        return np.linalg.solve(a, y[..., None])[..., 0]
    return np.linalg.solve(a, y)


def _symmetric(function: Any) -> Any:
    """Cholesky reads one triangle only; a symmetric argument makes its gradient unambiguous."""
    return lambda x: function(0.5 * (x + x.mT))


def _torch_slogdet(x: Any) -> Any:
    sign, log = torch.linalg.slogdet(x)
    return sign.detach(), log


MATRICES = [
    Spec("inv", _one_matrix(), numpy=np.linalg.inv, torch="linalg.inv", ops=("inv",),
         aliases=("linalg.inv",)),
    Spec("det", _one_matrix(), numpy=np.linalg.det, torch="linalg.det", aliases=("linalg.det",)),
    Spec("slogdet", _one_matrix(), numpy=lambda x: tuple(np.linalg.slogdet(x)),
         torch=_torch_slogdet, ops=("logabsdet", "signdet"),
         aliases=("linalg.slogdet",)),
    Spec("logdet", _one_matrix("det"), numpy=lambda x: np.log(np.linalg.det(x)), torch="logdet"),
    Spec("linalg.solve", _system(), numpy=_np_solve, torch="linalg.solve", ops=("solve",)),
    Spec("cholesky", _one_matrix("positive"), call=_symmetric(mg.cholesky),
         numpy=_symmetric(np.linalg.cholesky),
         torch=_symmetric(lambda x: torch.linalg.cholesky(x)), ops=("cholesky", "halved_tril"),
         aliases=("linalg.cholesky",)),
    Spec("cholesky", _one_matrix("positive"),
         torch=_symmetric(lambda x: torch.linalg.cholesky(x, upper=True)),
         call=_symmetric(lambda x: mg.linalg.cholesky(x, upper=True)),
         numpy=_symmetric(lambda x: np.swapaxes(np.linalg.cholesky(x), -1, -2))),
    Spec("halved_tril", _one_matrix(), call=registry["halved_tril"], ops=("halved_tril",),
         numpy=lambda x: np.tril(x) - 0.5 * x * np.eye(x.shape[-1])),
]  # fmt: skip

# ---------------------------------------------------------------- einsum

_EQUATIONS = [
    "ij,jk->ik",
    "ij,jk",
    "bij,bjk->bik",
    "ij->ji",
    "ij->",
    "ij->j",
    "ii->i",
    "ii",
    "i,j->ij",
    "i,i->",
    "ij,ij->ij",
    "bhtd,bhsd->bhts",
    "ij,jk,kl->il",
    "ij,jk,k->i",
    "iji->j",
    "...ij,...jk->...ik",
    "b...i,ij->b...j",
    "ab,cd->dabc",
    "ij,kj,ik->j",
    "ij,kl->i",
]


@st.composite
def _einsum(draw: Any) -> Case:
    equation = draw(st.sampled_from(_EQUATIONS))
    lengths = {c: draw(st.integers(0 if c == "j" else 1, 3)) for c in "abcdhijklst"}
    dots = draw(shapes(max_dims=2, max_side=2))
    xs = []
    for term in equation.split("->")[0].split(","):
        shape: tuple[int, ...] = ()
        for part in term.replace("...", "."):
            shape += dots if part == "." else (lengths[part],)
        xs.append(draw(arrays(shape, REAL)))
    return Case(tuple(xs), {"equation": equation})


EINSUM = [
    Spec(
        "einsum",
        _einsum(),
        call=lambda *xs, equation: mg.einsum(equation, *xs),
        numpy=lambda *xs, equation: np.einsum(equation, *xs),
        torch=lambda *xs, equation: torch.einsum(equation, *xs),
    )
]

SPECS = [*PRODUCTS, *MATRICES, *EINSUM]
