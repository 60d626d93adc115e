"""The plain PixelCNN: its masks, and its blind spot."""

import numpy as np
from raster_models import dependence, tiny

import minigen as mg
from minigen import nn
from minigen.models.pixelcnn import PixelCNN


def test_what_lies_further_right_than_up_is_never_seen_however_deep_the_stack():
    """A 3×3 mask reaches one row up and one column right at a time: the blind spot."""
    side = 4
    seen = dependence(tiny("plain", (1, side, side), depth=6)).reshape(side, side, side, side)
    for i, j, row, column in np.ndindex(seen.shape):
        earlier = (row, column) < (i, j)
        blind = column - j > i - row
        assert seen[i, j, row, column] == (earlier and not blind), (i, j, row, column)


def test_the_first_layer_hides_the_pixel_and_the_others_show_it():
    model = PixelCNN()
    masked = [m for m in model.modules() if isinstance(m, nn.MaskedConv2d)]
    centre = [bool(m.mask[..., m.kernel_size[0] // 2, m.kernel_size[1] // 2].all()) for m in masked]
    assert centre[0] is False
    assert all(centre[1:])
    assert model.first.mask.sum() == 24


def test_large_weights_behind_the_mask_change_nothing():
    model = tiny("plain", (1, 4, 4))
    x = mg.tensor(np.random.default_rng(0).integers(0, 2, (1, 1, 4, 4)).astype(float))
    before = model(x).numpy()
    model.first.weight.data[:, :, 1, 1:] += 100.0
    np.testing.assert_array_equal(model(x).numpy(), before)
