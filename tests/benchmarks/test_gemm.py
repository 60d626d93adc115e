"""The floor: which products a layer makes, and how many operations they are."""

import numpy as np
import pytest

from benchmarks.gemm import Gemm, attention_gemms, gemm_step, layer_gemms, total_flops
from benchmarks.workloads.dcgan import Dcgan
from benchmarks.workloads.gan import Gan
from benchmarks.workloads.gpt import Gpt
from benchmarks.workloads.pixelcnn import PixelCnn, taps
from benchmarks.workloads.realnvp import RealNvp
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


def test_the_gan_has_the_operations_counted_by_hand():
    up = 100 * 256 + 256 * 512 + 512 * 1024 + 1024 * 784
    down = 784 * 1024 + 1024 * 512 + 512 * 256 + 256
    generating = 4 * up - 100 * 256  # twice forward, once backward; no gradient for the noise
    judging = 2 * (3 * down - 784 * 1024 - 256)  # real and fake; no gradient for the pixels
    passing_on = 2 * down - 256
    assert total_flops(Gan().gemms()) == 2 * 64 * (generating + judging + passing_on)


def test_the_dcgan_has_the_operations_counted_by_hand():
    up = [100 * 128 * 49, 49 * 128 * 64 * 16, 196 * 64 * 16]
    down = [196 * 16 * 64, 49 * 64 * 16 * 128, 128 * 49]
    generating = 4 * sum(up) - up[0]
    judging = 2 * (3 * sum(down) - down[0] - down[2])
    passing_on = 2 * sum(down) - down[2]
    assert total_flops(Dcgan().gemms()) == 2 * 64 * (generating + judging + passing_on)


def test_realnvp_has_the_operations_counted_by_hand():
    coupling = 3 * (64 + 64 * 64 + 64 * 2)
    assert total_flops(RealNvp().gemms()) == 2 * 64 * (4 * coupling - 64)


def test_the_gpt_has_the_operations_counted_by_hand():
    block = 128 * 384 + 128 * 128 + 2 * 128 * 512
    attention = 12 * 4 * 2 * 64 * 64 * 32  # scores and means of every head, all pairs
    forward = 12 * 64 * (4 * block + 128 * 65) + 4 * attention
    assert total_flops(Gpt().gemms()) == 2 * 3 * forward


def test_attention_has_two_products_forward_and_four_backward():
    products = attention_gemms(count=6, length=5, width=3)
    assert [product.flops for product in products] == [2 * 6 * 5 * 5 * 3] * 6
    gemm_step(products)()  # the shapes fit together


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
