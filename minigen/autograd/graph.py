"""Draw the tape: which op made which tensor from what, as DOT or SVG.

``mg.graph(loss)`` shows itself in a notebook; ``mg.graph(loss).save("tape.svg")`` writes a
file. Boxes with round corners are leaves, the others ops; an edge carries the gradient
against its arrow. DOT is for Graphviz; the SVG needs no other program: nodes stand in
layers, inputs above outputs, each near the middle of its inputs.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from minigen.autograd.tape import PICK, Node, reachable
from minigen.autograd.tensor import Tensor

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 150, 40, 24, 44, 16


class _Box(NamedTuple):
    title: str
    detail: str
    is_leaf: bool


class Graph:
    """The tape below a tensor, as boxes and arrows.

    Attributes:
        boxes: one for each op and leaf.
        arrows: pairs of indices into ``boxes``, from input to result.
    """

    def __init__(self, output: Tensor, names: Mapping[str, Tensor] | None = None) -> None:
        if not isinstance(output, Tensor) or output.edge is None:
            raise ValueError("graph needs a tensor that was computed from one that requires grad")
        called = {id(tensor): name for name, tensor in (names or {}).items()}
        oldest_first = reachable([output.edge])[::-1]
        self.boxes: list[_Box] = []
        self.arrows: list[tuple[int, int]] = []
        index: dict[Any, int] = {}
        for node in oldest_first:
            sources = []
            for edge in node.inputs:
                if isinstance(edge, Tensor) and edge not in index:
                    index[edge] = self._add(
                        called.get(id(edge), "leaf"), f"{edge.shape} {edge.dtype}", True
                    )
                if edge is not None:
                    sources.append(index[edge])
            index[node] = self._add(_title(node), _detail(node), False)
            self.arrows += [(source, index[node]) for source in sources]
        if not self.boxes:  # the tensor is itself a leaf
            self._add(called.get(id(output), "leaf"), f"{output.shape} {output.dtype}", True)

    def _add(self, title: str, detail: str, is_leaf: bool) -> int:
        self.boxes.append(_Box(title, detail, is_leaf))
        return len(self.boxes) - 1

    @property
    def dot(self) -> str:
        """The graph in Graphviz' language."""
        lines = ["digraph tape {", "  node [fontname=Helvetica, fontsize=10];"]
        for i, box in enumerate(self.boxes):
            style = 'shape=box, style="rounded,filled", fillcolor="#dbeafe"'
            if not box.is_leaf:
                style = 'shape=box, style=filled, fillcolor="#fef3c7"'
            label = f"{box.title}\\n{box.detail}".replace('"', '\\"')
            lines.append(f'  n{i} [label="{label}", {style}];')
        lines += [f"  n{source} -> n{target};" for source, target in self.arrows]
        return "\n".join([*lines, "}"]) + "\n"

    @property
    def svg(self) -> str:
        """The graph as a picture."""
        from html import escape  # loaded when a graph is drawn

        place = self._layout()
        width = max(x for x, _ in place) + _WIDTH + _MARGIN
        height = max(y for _, y in place) + _HEIGHT + _MARGIN
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{width:.0f}" height="{height:.0f}" '
            f'font-family="Helvetica, Arial, sans-serif" font-size="11" text-anchor="middle">',
            '<defs><marker id="tip" markerWidth="8" markerHeight="8" refX="7" refY="3" '
            'orient="auto"><path d="M0,0 L7,3 L0,6 z" fill="#6b7280"/></marker></defs>',
            f'<rect width="{width:.0f}" height="{height:.0f}" fill="white"/>',
        ]
        for source, target in self.arrows:
            (x1, y1), (x2, y2) = place[source], place[target]
            start, end, bend = y1 + _HEIGHT, y2, (y2 - y1 - _HEIGHT) / 2
            x1, x2 = x1 + _WIDTH / 2, x2 + _WIDTH / 2
            lines.append(
                f'<path d="M{x1:.1f},{start:.1f} C{x1:.1f},{start + bend:.1f} {x2:.1f},'
                f'{end - bend:.1f} {x2:.1f},{end:.1f}" fill="none" stroke="#6b7280" '
                f'marker-end="url(#tip)"/>'
            )
        for box, (x, y) in zip(self.boxes, place):
            fill, radius = ("#dbeafe", 12) if box.is_leaf else ("#fef3c7", 2)
            centre = x + _WIDTH / 2
            lines += [
                f'<rect x="{x:.1f}" y="{y:.1f}" width="{_WIDTH}" height="{_HEIGHT}" rx="{radius}" '
                f'fill="{fill}" stroke="#6b7280"/>',
                f'<text x="{centre:.1f}" y="{y + 17:.1f}" font-weight="bold">'
                f"{escape(box.title)}</text>",
                f'<text x="{centre:.1f}" y="{y + 31:.1f}" fill="#4b5563" font-size="9">'
                f"{escape(box.detail)}</text>",
            ]
        return "\n".join([*lines, "</svg>"]) + "\n"

    def _layout(self) -> list[tuple[float, float]]:
        """The upper left corner of each box: layers by depth, ordered by their inputs' places."""
        count = len(self.boxes)
        inputs: list[list[int]] = [[] for _ in range(count)]
        users: list[list[int]] = [[] for _ in range(count)]
        for source, target in self.arrows:
            inputs[target].append(source)
            users[source].append(target)
        layer = [0] * count
        for i in range(count):  # boxes are listed after their inputs
            layer[i] = max((layer[j] + 1 for j in inputs[i]), default=0)
        for i in range(count):  # a leaf stands just above its first user
            if self.boxes[i].is_leaf and users[i]:
                layer[i] = min(layer[j] for j in users[i]) - 1
        middle = [0.0] * count
        place = [(0.0, 0.0)] * count
        for depth in range(max(layer) + 1):
            row = [i for i in range(count) if layer[i] == depth]
            for i in row:
                above = [middle[j] for j in inputs[i] if layer[j] < depth]
                middle[i] = sum(above) / len(above) if above else float(len(row))
            row.sort(key=lambda i: middle[i])
            for position, i in enumerate(row):
                middle[i] = float(position) - (len(row) - 1) / 2
                place[i] = (middle[i] * (_WIDTH + _GAP_X), depth * (_HEIGHT + _GAP_Y) + _MARGIN)
        left = min(x for x, _ in place)
        return [(x - left + _MARGIN, y) for x, y in place]

    def save(self, path: str | Path) -> None:
        """Write the graph to a ``.svg`` or ``.dot`` file.

        Raises:
            ValueError: the name ends otherwise.
        """
        path = Path(path)
        if path.suffix not in (".svg", ".dot"):
            raise ValueError(f"path must end in .svg or .dot, got {path.name!r}")
        path.write_text(self.svg if path.suffix == ".svg" else self.dot, encoding="utf-8")

    def _repr_svg_(self) -> str:
        return self.svg

    def __repr__(self) -> str:
        return f"<graph of {len(self.boxes)} boxes and {len(self.arrows)} arrows>"


def _title(node: Node) -> str:
    return f"output {node.options['index']}" if node.op is PICK else node.op.name


def _detail(node: Node) -> str:
    """The options that say what the op did, kept short."""
    if node.op is PICK:
        return ""
    shown = ", ".join(f"{k}={v}" for k, v in node.options.items() if _is_short(v))
    return shown if len(shown) <= 24 else shown[:23] + "…"


def _is_short(value: Any) -> bool:
    return isinstance(value, (int, float, str, tuple)) and len(str(value)) <= 16


def graph(output: Tensor, names: Mapping[str, Tensor] | None = None) -> Graph:
    """The tape below ``output``, to look at.

    Args:
        output: a tensor that was computed from one that requires a gradient.
        names: names for leaves, such as ``dict(model.named_parameters())``.
    """
    return Graph(output, names)
