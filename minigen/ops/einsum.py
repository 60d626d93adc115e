"""Einstein's sum, taken apart into matrix products.

Every two-operand einsum is one batched matrix product between two rearrangements. Sort the
letters into four kinds::

    batch      in both operands and in the result
    left       in the left operand and in the result
    right      in the right operand and in the result
    summed     in both operands, not in the result

then ``(batch, left, summed) @ (batch, summed, right) -> (batch, left, right)``. More
operands are contracted two at a time. Since all of it is plain ops, no gradient rule is
needed here.
"""

from __future__ import annotations

import math
import string

from minigen.autograd.operation import functions
from minigen.autograd.tensor import Tensor
from minigen.ops.diagonal import diagonal
from minigen.ops.linalg import matmul
from minigen.ops.reduction import sum as sum_over

__all__ = [
    "einsum",
]


def einsum(equation: str, *operands: Tensor) -> Tensor:
    """The sum of products over the letters that the result does not name.

    ``einsum("ij,jk->ik", x, y)`` is ``x @ y``; ``ii->i`` a diagonal; ``...`` stands for the
    dimensions without a letter; without ``->`` the result has the letters that occur once,
    in alphabetical order.

    Raises:
        ValueError: the equation does not fit the operands.
    """
    terms, target = _parse(equation, operands)
    parts = [_without_repeats(x, term) for x, term in zip(operands, terms)]
    lengths = _lengths(equation, parts, target)

    x, letters = parts[0]
    for i, (y, term) in enumerate(parts[1:], start=1):
        later = target + "".join(t for _, t in parts[i + 1 :])
        x, letters = _contract(x, letters, y, term, later, lengths)
    lonely = tuple(d for d, c in enumerate(letters) if c not in target)
    if lonely:
        x = sum_over(x, lonely)
        letters = "".join(c for c in letters if c in target)
    x = functions.permute(x, dims=tuple(letters.index(c) for c in target))
    return functions.broadcast_to(x, shape=tuple(lengths[c] for c in target))


def _parse(equation: str, operands: tuple[Tensor, ...]) -> tuple[list[str], str]:
    """The letters of each operand and of the result, with ``...`` spelled out."""
    sources, arrow, target = equation.replace(" ", "").partition("->")
    terms = sources.split(",")
    if len(terms) != len(operands):
        raise ValueError(f"equation {equation!r} names {len(terms)} operands, got {len(operands)}")
    widths = [x.ndim - len(t.replace("...", "")) for t, x in zip(terms, operands) if "..." in t]
    unused = [c for c in string.ascii_letters if c not in equation]
    extra = "".join(unused[: max(widths, default=0)])

    spelled = []
    for term, x in zip(terms, operands):
        width = x.ndim - len(term.replace("...", ""))
        if "..." in term and width >= 0:
            term = term.replace("...", extra[len(extra) - width :])
        if len(term) != x.ndim or any(c not in string.ascii_letters for c in term):
            raise ValueError(f"equation {equation!r}: {term!r} does not fit shape {x.shape}")
        spelled.append(term)

    letters = "".join(spelled)
    if not arrow:
        once = (c for c in set(letters) if letters.count(c) == 1 and c not in extra)
        target = extra + "".join(sorted(once))
    target = target.replace("...", extra)
    if len(set(target)) != len(target) or any(c not in letters for c in target):
        raise ValueError(f"equation {equation!r}: the result must name known letters, each once")
    return spelled, target


def _without_repeats(x: Tensor, term: str) -> tuple[Tensor, str]:
    """A letter that stands twice in one term means the diagonal."""
    for c in term:
        while term.count(c) > 1:
            first = term.index(c)
            second = term.index(c, first + 1)
            if x.shape[first] != x.shape[second]:
                raise ValueError(f"einsum: {c!r} is {x.shape[first]} and also {x.shape[second]}")
            x = diagonal(x, 0, first, second)
            term = term[:first] + term[first + 1 : second] + term[second + 1 :] + c
    return x, term


def _lengths(equation: str, parts: list[tuple[Tensor, str]], target: str) -> dict[str, int]:
    """How long each letter's dimension is; a length of 1 broadcasts."""
    lengths: dict[str, int] = {}
    for x, term in parts:
        for c, n in zip(term, x.shape):
            known = lengths.get(c, 1)
            if known != n and 1 not in (known, n):
                raise ValueError(f"equation {equation!r}: {c!r} is {known} and also {n}")
            lengths[c] = n if known == 1 else known
    return lengths


def _contract(
    x: Tensor, left: str, y: Tensor, right: str, later: str, lengths: dict[str, int]
) -> tuple[Tensor, str]:
    """One batched matrix product; letters that nobody needs later are summed away."""
    x, left = _drop(x, left, right + later)
    y, right = _drop(y, right, left + later)
    batch = [c for c in left if c in right and c in later]
    summed = [c for c in left if c in right and c not in later]
    only_left = [c for c in left if c not in right]
    only_right = [c for c in right if c not in left]

    x = _arrange(x, left, [batch, only_left, summed], lengths)  # (batch, left, summed)
    y = _arrange(y, right, [batch, summed, only_right], lengths)  # (batch, summed, right)
    out = matmul(x, y)  # (batch, left, right)
    result = [*batch, *only_left, *only_right]
    return functions.reshape(out, shape=tuple(lengths[c] for c in result)), "".join(result)


def _drop(x: Tensor, term: str, needed: str) -> tuple[Tensor, str]:
    """Sum over the letters of ``term`` that occur nowhere in ``needed``."""
    dims = tuple(d for d, c in enumerate(term) if c not in needed)
    if not dims:
        return x, term
    return sum_over(x, dims), "".join(c for c in term if c in needed)


def _arrange(x: Tensor, term: str, groups: list[list[str]], lengths: dict[str, int]) -> Tensor:
    """Dimensions in the order of ``groups``, each group flattened to one dimension."""
    order = [c for group in groups for c in group]
    x = functions.permute(x, dims=tuple(term.index(c) for c in order))
    full = tuple(lengths[c] for c in order)
    if x.shape != full:  # a dimension of length 1 stands for all of the letter's length
        x = functions.broadcast_to(x, shape=full)
    return functions.reshape(
        x, shape=tuple(math.prod(lengths[c] for c in group) for group in groups)
    )
