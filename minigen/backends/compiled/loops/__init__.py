"""The loops behind the compiled kernels: plain Python, compiled by Numba when first called.

Every loop is one pass over memory, in one thread. Where MKL multiplies the matrices, large arrays
go through ``together.py``, whose threads are the ones that MKL uses: Adam on 1.1 million parameters
takes 0.45 ms instead of 0.9 on two cores. Beside OpenBLAS threads are no gain: after a product its
own stay awake for a while, waiting for the next one, and have to share the cores with a second
pool. On two cores, between products, a gate on 1.6 million elements took 1.5 ms in one thread,
1.6 ms in two Python threads and 2 to 6 ms in Numba's own. Where OpenBLAS is told to let its threads
sleep (OPENBLAS_THREAD_TIMEOUT) two threads take 1.0 ms, but whole training steps were no faster
with two Python threads either way.

Arrays are one-dimensional in memory order unless a shape is given; they do not overlap, except
that an array may be written where it was read. Numbers come in the arrays' dtype, so that
float32 is never promoted. The compiler may not drop NaN, and reorders sums in the loops marked
``summing`` alone, once and for all: results are the same in every run.
"""

from __future__ import annotations

from minigen.backends.compiled.loops.activation import (
    bce_with_logits,
    gate,
    gate_backward,
    rectify,
    relu,
    relu_gate,
    sigmoid,
    tanh_and_sigmoid,
)
from minigen.backends.compiled.loops.attention import (
    softmax_over_keys,
    softmax_over_keys_backward,
)
from minigen.backends.compiled.loops.batch_norm import (
    add_groups_to,
    channel_products,
    channel_slopes,
    channel_slopes_backward,
    channel_squares,
    channel_sums,
    normalize_channels_backward,
    scale_channels,
)
from minigen.backends.compiled.loops.convolution import (
    Windows,
    add_parts,
    correlate,
    correlate_weight,
    fill_up,
    gather_windows,
    scatter_windows,
)
from minigen.backends.compiled.loops.cross_entropy import mean_cross_entropy
from minigen.backends.compiled.loops.dense import (
    add_bias,
    bias_and_rectify,
    bias_and_sigmoid,
    bias_and_tanh,
    gate_and_sum,
    sigmoid_and_sum,
    tanh_and_sum,
)
from minigen.backends.compiled.loops.flow import couple, couple_backward
from minigen.backends.compiled.loops.gelu import gelu_by_tanh, gelu_by_tanh_backward
from minigen.backends.compiled.loops.indexing import rows_summed_at
from minigen.backends.compiled.loops.loss import cross_entropy_rows
from minigen.backends.compiled.loops.normalization import (
    add_groups,
    normalize_rows,
    normalize_rows_backward,
)
from minigen.backends.compiled.loops.optimizer import adam_step, average_step
from minigen.backends.compiled.loops.recurrent import lstm_cell, lstm_cell_backward
from minigen.backends.compiled.loops.summation import sum_middle, sum_rows
from minigen.backends.compiled.loops.tile import FUSED, LANES

__all__ = [
    "FUSED",
    "LANES",
    "Windows",
    "adam_step",
    "add_bias",
    "add_groups",
    "add_groups_to",
    "add_parts",
    "average_step",
    "bce_with_logits",
    "bias_and_rectify",
    "bias_and_sigmoid",
    "bias_and_tanh",
    "channel_products",
    "channel_slopes",
    "channel_slopes_backward",
    "channel_squares",
    "channel_sums",
    "correlate",
    "correlate_weight",
    "couple",
    "couple_backward",
    "cross_entropy_rows",
    "fill_up",
    "gate",
    "gate_and_sum",
    "gate_backward",
    "gather_windows",
    "gelu_by_tanh",
    "gelu_by_tanh_backward",
    "lstm_cell",
    "lstm_cell_backward",
    "mean_cross_entropy",
    "normalize_channels_backward",
    "normalize_rows",
    "normalize_rows_backward",
    "rectify",
    "relu",
    "relu_gate",
    "rows_summed_at",
    "scale_channels",
    "scatter_windows",
    "sigmoid",
    "sigmoid_and_sum",
    "softmax_over_keys",
    "softmax_over_keys_backward",
    "sum_middle",
    "sum_rows",
    "tanh_and_sigmoid",
    "tanh_and_sum",
]
