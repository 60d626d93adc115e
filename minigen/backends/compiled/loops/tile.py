"""The innermost loop of convolution: a tile of sums that never leaves the registers.

A matrix product reads two numbers for each multiplication, and memory cannot deliver them. It
can if the loop keeps a small tile of results in registers: with ``rows`` numbers of a and
``vectors`` vectors of b it does ``rows · vectors`` multiplications of a whole vector each::

    tile[r, v] = start[r, v] + Σ_runs Σ_j  a[run + j·a_step + r·a_row] · b[run + j·b_step + v]
    out[r, v]  = tile[r, v]

The *runs* are what makes it a convolution: the taps of a kernel's row are one run through memory,
the next row is another (and for the weight's gradient, each row of the picture). So the windows are
read where they lie: there is no im2col, and the bias is where a tile starts.

Numba has no way to say "keep these sums in registers", so :data:`tile` writes the instructions of
LLVM itself, as an ``@intrinsic`` does: for each pair of ``rows`` and ``vectors`` another loop.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import binding, ir
from numba import types
from numba.extending import intrinsic

from minigen.backends.base import Array
from minigen.backends.compiled.loops.compiling import compiled

_features = binding.get_host_cpu_features()
FUSED = bool(_features.get("fma") or "aarch64" in binding.get_default_triple())
"""Whether the processor multiplies and adds in one instruction; without, this is no gain."""

LANES = 16 if _features.get("avx512f") else 8  # float32 numbers in a vector
FOUR, TWO = (7, 14) if _features.get("avx512f") else (3, 6)  # rows that fill the registers

_LONG, _FLOAT = ir.IntType(64), ir.FloatType()
_VECTOR = ir.VectorType(_FLOAT, LANES)


def _typed_tile(
    context: Any, rows: Any, vectors: Any, a: Any, start: Any, out: Any, rest: Any
) -> Any:
    """One tile, as above; ``rows`` and ``vectors`` are constants, addresses are integers.

    ``rest`` = (a_step, a_row, b, b_step, runs, count, start_row, out_row), distances in elements.
    ``runs`` is the address of ``count`` triples: where in a and in b a run begins, its length ≥ 1.
    """
    signature = types.void(rows, vectors, a, start, out, rest)
    shape = rows.literal_value, vectors.literal_value

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        rest = [builder.extract_value(values[5], k) for k in range(8)]
        _write_tile(builder, *shape, *values[2:5], *rest)
        return context.get_dummy_value()

    return signature, generate


tile: Any = intrinsic(prefer_literal=True)(_typed_tile)


def _write_tile(
    block: Any, rows: int, vectors: int, a: Any, start: Any, out: Any, a_step: Any, a_row: Any,
    b: Any, b_step: Any, runs: Any, count: Any, start_row: Any, out_row: Any,
) -> None:  # fmt: skip
    """The instructions: a loop over runs, in it a loop over j, each carrying the tile along."""

    def number(n: int) -> Any:
        return ir.Constant(_LONG, n)

    def vector_at(pointer: Any, v: int) -> Any:
        return block.bitcast(block.gep(pointer, [number(v * LANES)]), _VECTOR.as_pointer())

    def load(pointer: Any, v: int) -> Any:
        loaded = block.load(vector_at(pointer, v))
        loaded.align = 4
        return loaded

    def spread(value: Any) -> Any:
        none, zeros = ir.Constant(_VECTOR, ir.Undefined), ir.VectorType(ir.IntType(32), LANES)
        one = block.insert_element(none, value, ir.Constant(ir.IntType(32), 0))
        return block.shuffle_vector(one, none, ir.Constant(zeros, [0] * LANES))

    def loop(before: Any, values: list[Any]) -> tuple[Any, list[Any]]:
        inside = block.append_basic_block("loop")
        block.branch(inside)
        block.position_at_end(inside)
        carried = [block.phi(value.type) for value in values]
        for phi, value in zip(carried, values):
            phi.add_incoming(value, before)
        return inside, carried

    def repeat(inside: Any, carried: list[Any], values: list[Any], limit: Any) -> None:
        after = block.append_basic_block("after")
        for phi, value in zip(carried, values):
            phi.add_incoming(value, block.block)
        block.cbranch(block.icmp_signed("<", values[0], limit), inside, after)
        block.position_at_end(after)

    name, module = f"llvm.fma.v{LANES}f32", block.module
    fma = module.globals.get(name) or ir.Function(
        module, ir.FunctionType(_VECTOR, [_VECTOR] * 3), name
    )
    a, b, start, out = [block.inttoptr(x, _FLOAT.as_pointer()) for x in (a, b, start, out)]
    runs = block.inttoptr(runs, _LONG.as_pointer())
    twice, thrice = [block.mul(a_row, number(n)) for n in (2, 3)]

    sums = [ir.Constant(_VECTOR, None)] * (rows * vectors)
    outer, (run, *kept) = loop(block.block, [number(0), *sums])
    triple = block.gep(runs, [block.mul(run, number(3))])
    in_a, in_b, length = [block.load(block.gep(triple, [number(k)])) for k in range(3)]
    begins = [number(0), block.gep(a, [in_a]), block.gep(b, [in_b])]
    inner, carried = loop(block.block, [*begins, *kept])
    j, from_a, from_b, *held = carried
    right = [load(from_b, v) for v in range(vectors)]
    sums, third = [], from_a  # every third row has a pointer; the others are reached from it
    for r in range(rows):
        if r and r % 3 == 0:
            third = block.gep(third, [thrice])
        place = block.gep(third, [(a_row, twice)[r % 3 - 1]]) if r % 3 else third
        left = spread(block.load(place))
        for v in range(vectors):
            sums.append(block.call(fma, [left, right[v], held[r * vectors + v]]))
    next_a, next_b = block.gep(from_a, [a_step]), block.gep(from_b, [b_step])
    repeat(inner, carried, [block.add(j, number(1)), next_a, next_b, *sums], length)
    repeat(outer, [run, *kept], [block.add(run, number(1)), *sums], count)

    for r in range(rows):
        begin = block.gep(start, [block.mul(start_row, number(r))])
        end = block.gep(out, [block.mul(out_row, number(r))])
        for v in range(vectors):
            value = block.fadd(sums[r * vectors + v], load(begin, v))
            block.store(value, vector_at(end, v)).align = 4


def _held_of(outer: Any) -> list[Any]:
    """The tile as the outer loop carries it: its phis but the first, which counts."""
    return [x for x in outer.instructions if isinstance(x, ir.PhiInstr)][1:]


@compiled
def address(x: Array) -> Any:
    """Where the first element of ``x`` lies."""
    return np.intp(x.ctypes.data)


@compiled
def strip(vectors: int, rows: int, a: int, start: int, out: int, rest: Any) -> None:
    """``rows`` rows of results, ``vectors`` (4, 2 or 1) wide: tiles one below the other."""
    a_row, start_row, out_row = 4 * rest[1], 4 * rest[6], 4 * rest[7]  # in bytes
    while rows > 0:
        if vectors == 4 and rows >= FOUR:
            tile(FOUR, 4, a, start, out, rest)
            done = FOUR
        elif vectors == 4 and rows >= 4:
            tile(4, 4, a, start, out, rest)
            done = 4
        elif vectors == 4 and rows >= 2:
            tile(2, 4, a, start, out, rest)
            done = 2
        elif vectors == 4:
            tile(1, 4, a, start, out, rest)
            done = 1
        elif vectors == 2 and rows >= TWO:
            tile(TWO, 2, a, start, out, rest)
            done = TWO
        elif vectors == 2 and rows >= 4:
            tile(4, 2, a, start, out, rest)
            done = 4
        elif vectors == 2:
            tile(1, 2, a, start, out, rest)
            done = 1
        elif rows >= TWO:
            tile(TWO, 1, a, start, out, rest)
            done = TWO
        elif rows >= 4:
            tile(4, 1, a, start, out, rest)
            done = 4
        else:
            tile(1, 1, a, start, out, rest)
            done = 1
        a, start, out = a + done * a_row, start + done * start_row, out + done * out_row
        rows -= done
