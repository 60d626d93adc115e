"""The attention picture."""

import numpy as np

from minigen.plots import save_attention


def test_a_map_for_each_block_and_head_is_drawn_with_line_breaks_made_visible(tmp_path):
    maps = np.tril(np.ones((2, 3, 4, 4))) / np.arange(1, 5)[:, None]
    save_attention(tmp_path / "a.png", maps, ["a", "\n", " ", "$"], "title")
    assert (tmp_path / "a.png").read_bytes().startswith(b"\x89PNG")
