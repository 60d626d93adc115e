"""The floor: which products a layer makes, and how many operations they are."""

import numpy as np
import pytest

from benchmarks.gemm import Gemm, gemm_step, layer_gemms, total_flops
from benchmarks.workloads.pixelcnn import PixelCnn, taps
from benchmarks.workloads.upsampling import Upsampling
from benchmarks.workloads.vae import Vae


def test_a_layer_costs_three_products_of_equal_size():
    products = layer_gemms(rows=5, inputs=3, outputs=2)
    assert [product.flops for product in products] == [2 * 5 * 3 * 2] * 3


def test_the_first_layer_has_no_input_gradient():
    assert len(layer_gemms(5, 3, 2, input_gradient=False)) == 2


def test_the_weight_gradient_has_the_wider_matrix_on_the_left():
    assert layer_gemms(5, 3, 2)[1] == Gemm(3, 5, 2, left_transposed=True)
    assert layer_gemms(5, 2, 3)[1] == Gemm(3, 5, 2, left_transposed=True)


def test_an_outer_product_is_left_out():
    assert all(product.k > 1 for product in layer_gemms(5, 3, 1))


def test_masks_leave_the_taps_that_the_paper_says():
    assert taps(7, "A") == 24
    assert taps(3, "B") == 5


def test_the_vae_has_the_operations_counted_by_hand():
    forward = 784 * 512 + 512 * 256 + 256 * 4 + 2 * 256 + 256 * 512 + 512 * 784
    without_input_gradient = 784 * 512
    assert total_flops(Vae().gemms()) == 2 * 128 * (3 * forward - without_input_gradient)


def test_the_pixelcnn_counts_unmasked_taps_only():
    block = 64 * 32 + 5 * 32 * 32 + 32 * 64
    forward = 24 * 64 + 5 * block + 64 * 64 + 64
    without = 24 * 64 + 64  # no gradient for the pixels, no outer product for one output channel
    assert total_flops(PixelCnn().gemms()) == 2 * 32 * 784 * (3 * forward - without)


def test_transposed_convolutions_are_counted_at_their_inputs():
    layers = [100 * 128 * 49, 49 * 128 * 64 * 16, 196 * 64 * 16]
    assert total_flops(Upsampling().gemms()) == 2 * 64 * (3 * sum(layers) - layers[0])


def test_the_step_runs_every_product_with_its_transposes(monkeypatch):
    seen = []
    real = np.matmul

    def watched(left, right, out):
        assert np.shares_memory(out, real(left, right, out=out))
        seen.append((left.shape, right.shape, out.shape, out.dtype))
        assert left.flags.c_contiguous or left.flags.f_contiguous

    products = layer_gemms(5, 3, 2)
    step = gemm_step(products)
    monkeypatch.setattr(np, "matmul", watched)
    step()
    assert seen == [((p.m, p.k), (p.k, p.n), (p.m, p.n), np.dtype("float32")) for p in products]


@pytest.mark.parametrize("workload", [Vae, PixelCnn, Upsampling])
def test_sizes_change_the_floor(workload):
    assert workload(batch=2).floor_gflop == pytest.approx(2 * workload(batch=1).floor_gflop)
