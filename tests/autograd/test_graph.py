"""mg.graph: the tape as DOT and as SVG."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree

import pytest

import minigen as mg


def drawing():
    w = mg.tensor([[1.0, 2.0]], requires_grad=True)
    x = mg.ones(3, 2)
    loss = mg.tanh(mg.linear(x, w)).sum() + (w * w).sum()
    return mg.graph(loss, names={"w": w})


def test_every_op_and_leaf_is_a_box_once():
    titles = [box.title for box in drawing().boxes]
    assert sorted(titles) == sorted(["w", "linear", "tanh", "sum", "multiply", "sum", "add"])


def test_arrows_go_from_inputs_to_results():
    graph = drawing()
    names = [(graph.boxes[a].title, graph.boxes[b].title) for a, b in graph.arrows]
    assert ("w", "linear") in names
    assert ("linear", "tanh") in names
    assert names.count(("w", "multiply")) == 2
    assert all(a < b for a, b in graph.arrows)


def test_the_svg_is_well_formed_and_the_dot_names_all_ops(tmp_path):
    graph = drawing()
    graph.save(tmp_path / "tape.svg")
    graph.save(tmp_path / "tape.dot")
    root = ElementTree.parse(tmp_path / "tape.svg").getroot()
    assert root.tag.endswith("svg")
    text = "".join(root.itertext())
    dot = (tmp_path / "tape.dot").read_text()
    for op in ("linear", "tanh", "multiply", "add"):
        assert op in text
        assert op in dot
    assert dot.startswith("digraph")


def test_a_constant_has_no_graph():
    with pytest.raises(ValueError, match="graph needs a tensor that was computed from one"):
        mg.graph(mg.ones(2))
