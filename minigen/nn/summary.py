"""What a model consists of, as a table: layers, output shapes, parameters, arithmetic.

The model runs once on the given input, in eval mode and off the tape, with a hook on every
module that writes down the shape that came out.

The arithmetic is counted in **multiply-adds**: one multiplication together with the addition
that collects it, so a dense layer from 784 to 512 costs 784·512 for each row; twice that many
floating-point operations. Counted are the matrix products and convolutions of the layers (a
masked convolution counts the taps that its mask leaves). What a model computes with bare
functions between its layers, and everything elementwise, is not in the count.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from minigen.autograd.mode import no_grad
from minigen.autograd.tensor import Tensor
from minigen.ops.creation import zeros

if TYPE_CHECKING:
    from minigen.nn.module import Module

__all__ = ["Row", "Summary", "summarize"]


@dataclass(frozen=True)
class Row:
    """One call of one module.

    Attributes:
        name: the path of the module in the model; "" for the model itself.
        kind: its class.
        shape: the shape of its output (of the first tensor, if there are several).
        parameters: the number of learned numbers that it holds itself, not its children.
        multiply_adds: its own arithmetic, not its children's.
    """

    name: str
    kind: str
    shape: tuple[int, ...]
    parameters: int
    multiply_adds: int


@dataclass(frozen=True)
class Summary:
    """The table. ``str()`` of it is aligned text.

    Attributes:
        rows: in the order in which the modules were entered.
        parameters: learned numbers in all, a shared one counted once.
        buffers: numbers kept in buffers.
        multiply_adds: of one forward pass.
    """

    rows: tuple[Row, ...]
    parameters: int
    buffers: int
    multiply_adds: int

    def __str__(self) -> str:
        head = ("layer", "output shape", "parameters", "multiply-adds")
        cells = [head]
        for row in self.rows:
            depth = "  " * (row.name.count(".") + 1 if row.name else 0)
            last = row.name.rpartition(".")[2]
            label = f"{depth}{last}: {row.kind}" if row.name else row.kind
            cells.append((label, str(row.shape), f"{row.parameters:,}", f"{row.multiply_adds:,}"))
        cells.append(("total", "", f"{self.parameters:,}", f"{self.multiply_adds:,}"))
        widths = [max(len(line[column]) for line in cells) for column in range(4)]
        text = [
            f"{a:<{widths[0]}}  {b:<{widths[1]}}  {c:>{widths[2]}}  {d:>{widths[3]}}".rstrip()
            for a, b, c, d in cells
        ]
        rule = "─" * max(map(len, text))
        return "\n".join([text[0], rule, *text[1:-1], rule, text[-1]])


def summarize(model: Module, inputs: Sequence[Any], dtype: Any) -> Summary:
    """Run ``model`` on ``inputs`` (tensors, or shapes to fill with zeros) and look."""
    if not inputs:
        raise ValueError("summary needs the shape of an input, such as (1, 784), got none")
    tensors = [x if isinstance(x, Tensor) else zeros(tuple(x), dtype=dtype) for x in inputs]
    entered: list[tuple[str, Module]] = []
    rows: dict[int, Row] = {}
    open_calls: list[int] = []
    counted: set[int] = set()  # a parameter belongs to the first module that shows it
    names = {id(module): name for name, module in model.named_modules()}
    removers = []

    def enter(module: Module, args: tuple[Any, ...]) -> None:
        open_calls.append(len(entered))
        entered.append((names[id(module)], module))

    def leave(module: Module, args: tuple[Any, ...], output: Any) -> None:
        place = open_calls.pop()
        own = [p for p in module.parameters(recurse=False) if id(p) not in counted]
        counted.update(id(p) for p in own)
        rows[place] = Row(
            name=entered[place][0],
            kind=type(module).__name__,
            shape=_shape(output),
            parameters=sum(p.numel() for p in own),
            multiply_adds=module.multiply_adds(args, output),
        )

    modes = [(module, module.training) for module in model.modules()]
    try:
        for module, _ in modes:
            removers.append(module.register_forward_pre_hook(enter))
            removers.append(module.register_forward_hook(leave))
        model.eval()
        with no_grad():
            model(*tensors)
    finally:
        for remove in removers:
            remove()
        for module, mode in modes:
            module.training = mode
    ordered = tuple(rows[place] for place in sorted(rows))
    return Summary(
        rows=ordered,
        parameters=sum(p.numel() for p in model.parameters()),
        buffers=sum(buffer.numel() for buffer in model.buffers()),
        multiply_adds=sum(row.multiply_adds for row in ordered),
    )


def _shape(output: Any) -> tuple[int, ...]:
    """The shape of the first tensor in a (nested) output; () if there is none."""
    if isinstance(output, Tensor):
        return output.shape
    if isinstance(output, (tuple, list)):
        for part in output:
            if (shape := _shape(part)) != ():
                return shape
    return ()
