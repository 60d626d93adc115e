"""Every op says in one line what does not fit: the argument, what came, and what is accepted.

One case or more for each refusal of ``minigen/ops`` that is not tried beside the op's own tests.
"""

from __future__ import annotations

import math

import numpy as np
import pytest

import minigen as mg
from minigen.ops.dense import dense
from minigen.ops.special import xlogy

O = mg.ones  # noqa: E741
YES, WHOLE = mg.ones(2, dtype="bool"), mg.ones(2, dtype="int64")
OUTSIDE = mg.tensor([0, 5])

REFUSED = {
    "arguments": [
        (lambda: O(2, 3).sum(2), IndexError, r"dim must lie in \[-2, 1\] for 2 dimensions, got 2"),
        (lambda: O(2, 3).sum(-3), IndexError, r"dim must lie in \[-2, 1\] .* got -3"),
        (lambda: mg.tensor(1.0).sum(1), IndexError, r"dim must lie in \[-1, 0\]"),
        (lambda: O(2, 3).sum((0, -2)), ValueError, r"dim names a dimension twice: \(0, -2\)"),
        (lambda: mg.max_pool2d(O(1, 4, 4), 2.0), TypeError, "kernel_size must be an integer or 2"),
        (lambda: mg.max_pool2d(O(1, 4, 4), (2, 2, 2)), ValueError, "kernel_size must be an int"),
        (lambda: mg.max_pool2d(O(1, 4, 4), 0), ValueError, "kernel_size must be an integer ≥ 1"),
        (lambda: O(6).reshape(-1, -1), ValueError, "lengths ≥ 0 and at most one -1, got"),
        (lambda: O(6).reshape(-2, 3), ValueError, "lengths ≥ 0 and at most one -1, got"),
        (lambda: O(6).reshape(-1, 4), ValueError, r"shape \(-1, 4\) does not fit 6 elements"),
        (lambda: O(0).reshape(-1, 0), ValueError, r"shape \(-1, 0\) does not fit 0 elements"),
        (lambda: O(6).reshape(2.0, 3), TypeError, "shape must be an integer, got 2.0"),
        (lambda: O(6).reshape(True, 6), TypeError, "shape must be an integer, got True"),
        (lambda: O(6).reshape(2, 4), ValueError, r"shape \(2, 4\) has 8 elements, the tensor has"),
    ],
    "activation": [
        (lambda: mg.elu(O(2), alpha=0), ValueError, "alpha must be > 0, got 0"),
        (lambda: mg.softplus(O(2), beta=0), ValueError, "beta must be a number > 0, got 0"),
        (lambda: mg.glu(O(2, 3)), ValueError, "glu needs an even length along dim -?1"),
        (lambda: mg.hardtanh(O(2), 1, -1), ValueError, "min_val must be ≤ max_val, got 1 and -1"),
        (lambda: mg.prelu(O(2, 3), O(2)), ValueError, r"weight \(2,\) does not fit the channels"),
        (lambda: mg.prelu(O(2, 3), O(3, 1)), ValueError, r"weight \(3, 1\) does not fit"),
        (lambda: mg.prelu(O(3), O(3)), ValueError, r"weight \(3,\) does not fit"),
        (lambda: mg.gelu(O(2), approximate="no"), ValueError, "must be 'none' or 'tanh', got 'no'"),
    ],
    "attention": [
        (lambda: attend((2, 3, 4), (2, 3, 5), (2, 3, 5)), ValueError, "query .* does not fit key"),
        (lambda: attend((4,), (3, 4), (3, 4)), ValueError, "query .* does not fit key"),
        (lambda: attend((2, 3, 4), (2, 5, 4), (2, 6, 4)), ValueError, "differ in length"),
        (lambda: attend((2, 3, 4), (2, 0, 4), (2, 0, 4)), ValueError, "at least one key"),
    ],
    "norms of layers": [
        (lambda: mg.batch_norm(O(3), None, None, training=True), ValueError, r"\(N, C, …\), got"),
        (lambda: mg.batch_norm(O(2, 3), None, None), ValueError, "needs running_mean and running"),
        (lambda: mg.batch_norm(O(2, 3), O(3), None), ValueError, "running_mean and running_var"),
        (lambda: mg.batch_norm(O(1, 3), None, None, training=True), ValueError, "more than one"),
        (lambda: mg.batch_norm(O(2, 3), O(2), O(3)), ValueError, r"must have shape \(3,\), got"),
        (lambda: mg.instance_norm(O(3)), ValueError, r"instance_norm: input must have shape \(N"),
        (lambda: mg.instance_norm(O(2, 3, 4), O(3)), ValueError, "needs both running_mean and"),
        (
            lambda: mg.instance_norm(O(2, 3, 4), use_input_stats=False),
            ValueError,
            "use_input_stats=False needs running statistics",
        ),
        (lambda: mg.instance_norm(O(2, 3, 1)), ValueError, "more than one place per channel"),
        (lambda: mg.layer_norm(O(2, 3), (2,)), ValueError, r"layer_norm: input .* end in \(2,\)"),
        (lambda: mg.layer_norm(O(2, 3), ()), ValueError, "layer_norm: input .* does not end in"),
        (lambda: mg.layer_norm(O(2, 3), (3,), O(2)), ValueError, "layer_norm: weight must have"),
        (lambda: mg.layer_norm(O(2, 3), (3,), O(3), O(2)), ValueError, "layer_norm: bias must"),
        (lambda: mg.rms_norm(O(2, 3), (2,)), ValueError, r"rms_norm: input .* end in \(2,\)"),
        (lambda: mg.rms_norm(O(2, 3), ()), ValueError, "rms_norm: input .* does not end in"),
        (lambda: mg.rms_norm(O(2, 3), (3,), O(2)), ValueError, "rms_norm: weight must have shape"),
        (lambda: mg.group_norm(O(3), 1), ValueError, r"group_norm: input must have shape \(N, C"),
        (lambda: mg.group_norm(O(2, 3), 2), ValueError, "num_groups must divide 3 channels, got 2"),
        (lambda: mg.group_norm(O(2, 3), 0), ValueError, "num_groups must"),
        (lambda: mg.group_norm(O(2, 4), 2, O(3)), ValueError, r"weight must have shape \(4,\)"),
    ],
    "convolution": [
        (lambda: mg.conv2d(O(4, 4), O(1, 1, 2, 2)), ValueError, "conv2d: input .* 4 dimensions"),
        (lambda: mg.conv2d(O(1, 1, 4, 4), O(1, 2, 2)), ValueError, "conv2d: .* 4 dimensions"),
        (lambda: conv((1, 1, 4, 4), (1, 1, 5, 1)), ValueError, "kernel of 5 .* padded input of 4"),
        (lambda: conv((1, 1, 4, 4), (1, 1, 1, 3), dilation=2), ValueError, "a kernel of 3 with"),
        (lambda: conv((1, 4, 4, 4), (4, 2, 1, 1), groups=3), ValueError, "groups must be ≥ 1 and"),
        (lambda: conv((1, 4, 4, 4), (4, 4, 1, 1), groups=0), ValueError, "groups must be ≥ 1 and"),
        (lambda: conv((1, 4, 4, 4), (3, 2, 1, 1), groups=2), ValueError, "groups must be ≥ 1 and"),
        (lambda: conv((1, 3, 4, 4), (1, 2, 1, 1)), ValueError, "expects 2 input channels, the inp"),
        (lambda: conv((1, 1, 4, 4), (2, 1, 1, 1), O(3)), ValueError, r"bias must have shape \(2,"),
        (
            lambda: conv((1, 1, 4, 4), (2, 1, 1, 1), padding="same", stride=2),
            ValueError,
            r"padding='same' needs stride 1, got \(2, 2\)",
        ),
        (lambda: conv((1, 1, 4, 4), (2, 1, 1, 1), padding="all"), ValueError, "'valid', got 'all'"),
        (
            lambda: mg.masked_conv2d(O(1, 1, 4, 4), O(1, 1, 2, 2), mask=np.ones((2, 3), bool)),
            ValueError,
            r"mask \(2, 3\) does not fit weight",
        ),
        (lambda: turned((4, 4), (1, 1, 2, 2)), ValueError, "conv_transpose2d: input .* 4 dim"),
        (
            lambda: turned((1, 1, 4, 4), (1, 1, 2, 2), output_padding=1),
            ValueError,
            "output_padding must be smaller than stride or dilation, got 1",
        ),
        (
            lambda: turned((1, 1, 1, 1), (1, 1, 2, 2), padding=1),
            ValueError,
            r"the result would have size \(0, 0\); use less padding",
        ),
    ],
    "windows": [
        (lambda: mg.max_pool2d(O(4, 4), 2), ValueError, r"\(N, C, H, W\) or \(C, H, W\), got"),
        (lambda: mg.max_pool1d(O(4), 2), ValueError, r"\(N, C, L\) or \(C, L\), got"),
        (lambda: mg.max_pool2d(O(1, 4, 4), 3, 1, 2), ValueError, "half of the kernel 3, got 2"),
        (lambda: mg.max_pool2d(O(1, 4, 4), 5), ValueError, "a kernel of 5 is larger than .* 4"),
        (lambda: mg.max_pool2d(O(1, 4, 4), 3, 1, 0, 2), ValueError, "a kernel of 3 is larger"),
        (lambda: mg.pixel_shuffle(O(4, 4), 2), ValueError, r"pixel_shuffle: .* \(…, C, H, W\)"),
        (lambda: mg.pixel_shuffle(O(6, 2, 2), 2), ValueError, "6 channels are not divisible by 2²"),
        (lambda: mg.pixel_unshuffle(O(4, 4), 2), ValueError, r"pixel_unshuffle: .* \(…, C, H, W\)"),
        (lambda: mg.pixel_unshuffle(O(1, 3, 4), 2), ValueError, "3×4 is not divisible by 2"),
        (lambda: mg.pixel_unshuffle(O(1, 4, 3), 2), ValueError, "4×3 is not divisible by 2"),
        (lambda: mg.unfold(O(4), 2), ValueError, r"unfold: input must have shape \(N, C, …\)"),
        (lambda: mg.unfold(O(1, 1, 2, 2), 3), ValueError, "unfold: a kernel of .* does not fit"),
        (lambda: mg.fold(O(1, 5, 4), (3, 3), 2), ValueError, r"must be \(N, C·4, 4\), got"),
        (lambda: mg.fold(O(1, 4, 3), (3, 3), 2), ValueError, r"must be \(N, C·4, 4\), got"),
        (lambda: mg.interpolate(O(4, 4), 2), ValueError, "interpolate: input must have shape"),
        (lambda: mg.interpolate(O(1, 1, 4)), ValueError, "exactly one of size and scale_factor"),
        (lambda: mg.interpolate(O(1, 1, 4), 2, 2.0), ValueError, "exactly one of size and scale"),
        (lambda: mg.interpolate(O(1, 1, 4), 2, mode="x"), ValueError, "mode must be one of .*'x'"),
        (
            lambda: mg.interpolate(O(1, 1, 4), 2, align_corners=True),
            ValueError,
            "align_corners must be None for mode 'nearest'",
        ),
        (lambda: mg.interpolate(O(1, 1, 4), None, -1), ValueError, "scale_factor must be a number"),
        (lambda: mg.interpolate(O(1, 1, 4), None, (1, 2)), ValueError, "one or 1 numbers > 0"),
        (lambda: mg.interpolate(O(1, 1, 4), None, 0.1), ValueError, "0.1.* leaves nothing of"),
    ],
    "creation": [
        (lambda: mg.full((2,), "a"), TypeError, "fill_value must be a number, got 'a'"),
        (lambda: mg.arange("a"), TypeError, "must be a number, got 'a'"),
        (lambda: mg.arange(math.inf), ValueError, "must be finite, got inf"),
        (lambda: mg.tensor(O(1).requires_grad_()), RuntimeError, "mg.tensor makes a leaf"),
        (lambda: mg.tensor([O(1).requires_grad_()]), RuntimeError, "mg.tensor makes a leaf"),
        (lambda: mg.randint(0, 2, 3), TypeError, "randint: size must be a tuple of lengths, got 3"),
    ],
    "dense and linear": [
        (lambda: dense(O(1, 2), O(3, 2), O(3), "no"), ValueError, "activation must be one of .*no"),
        (lambda: dense(O(1, 2), O(3, 2), O(3), "leaky_relu", 0), ValueError, "slope must be a num"),
        (lambda: dense(O(1, 3), O(3, 2), O(3), "relu"), ValueError, "dense: input .* does not fit"),
        (lambda: dense(O(1, 2), O(3, 2), O(2), "relu"), ValueError, r"bias must have shape \(3,\)"),
        (lambda: mg.linear(O(1, 3), O(3, 2)), ValueError, "linear: input .* does not fit weight"),
        (lambda: mg.linear(mg.tensor(1.0), O(3, 1)), ValueError, "linear: input .* does not fit"),
        (lambda: mg.linear(O(2), O(2)), ValueError, "linear: input .* does not fit weight"),
        (lambda: mg.linear(O(1, 2), O(3, 2), O(2)), ValueError, r"bias must have shape \(3,\), go"),
        (lambda: mg.linear(YES, YES.reshape(1, 2)), TypeError, "booleans for both"),
        (lambda: mg.matmul(mg.tensor(2.0), O(2)), ValueError, "matmul: operands need a dimension"),
        (lambda: O(2) @ 2.0, ValueError, "matmul: operands need a dimension, got the number 2.0"),
        (lambda: mg.matmul(O(2, 3), O(2, 3)), ValueError, "inner lengths differ"),
        (lambda: mg.mm(O(2), O(2, 2)), ValueError, "mm: input must be a matrix, got shape"),
        (lambda: mg.bmm(O(2, 3, 4), O(3, 4, 5)), ValueError, "bmm: the batches differ"),
        (lambda: mg.dot(O(2), O(3)), ValueError, "dot: input .* must be equally long"),
    ],
    "matrices": [
        (lambda: mg.linalg.inv(O(2, 3)), ValueError, r"needs square matrices \(…, n, n\), got"),
        (lambda: mg.linalg.inv(O(3)), ValueError, "needs square matrices"),
        (lambda: mg.linalg.inv(WHOLE.reshape(1, 2)[:, :1]), TypeError, "a floating-point tensor"),
        (lambda: mg.linalg.solve(O(2, 2), O(3)), ValueError, "solve: A .* does not fit the right"),
        (lambda: mg.linalg.solve(O(2, 2), O(2), left=False), ValueError, "B must hold matrices"),
        (lambda: mg.diagonal(O(2, 2), 0, 1, -1), ValueError, "dim1 and dim2 must differ, got"),
        (lambda: mg.diag(O(1, 1, 1)), ValueError, "diag needs a vector or a matrix, got shape"),
        (lambda: mg.trace(O(2)), ValueError, "trace needs a matrix, got shape"),
        (lambda: mg.tril(O(2)), ValueError, "tril needs at least two dimensions, got shape"),
        (lambda: O(2).mT, ValueError, ".mT needs at least two dimensions, got shape"),
        (lambda: mg.cdist(O(2, 3), O(2, 4)), ValueError, "x1 .* does not fit x2"),
        (lambda: mg.cdist(O(2, 3), O(2, 3), p=-1), ValueError, "p must be ≥ 0, got -1"),
        (lambda: mg.norm(O(2), p="a"), ValueError, "p must be a number or 'fro', got 'a'"),
        (lambda: mg.linalg.matrix_norm(O(2, 2), dim=0), ValueError, "dim must be two dimensions"),
        (lambda: mg.linalg.matrix_norm(O(2, 2), dim=(0, -2)), ValueError, "two dimensions"),
        (lambda: mg.linalg.matrix_norm(O(2, 2), 3), ValueError, "ord must be 'fro', 1, -1, inf"),
        (lambda: mg.linalg.norm(O(2), "fro"), ValueError, "ord 'fro' does not go with dim"),
    ],
    "elementwise": [
        (
            lambda: mg.add(O(2), O(2), alpha=mg.tensor(1.0).requires_grad_()),
            TypeError,
            "alpha must be a number without grad, got Tensor",
        ),
        (lambda: mg.add(WHOLE, WHOLE, alpha=0.5), TypeError, "alpha must be an integer for integ"),
        (lambda: mg.div(O(2), 2, rounding_mode="up"), ValueError, "'floor' or 'trunc', got 'up'"),
        (lambda: mg.where(YES, O(2)), TypeError, "both input and other, or neither"),
        (lambda: mg.where(O(2), O(2), O(2)), TypeError, "condition must be a boolean tensor, got"),
        (lambda: mg.clamp(O(2)), ValueError, "clamp needs min or max, got neither"),
        (lambda: mg.clamp(O(2), "a"), TypeError, "min must be a number or a tensor, got 'a'"),
        (lambda: xlogy(2.0, 3.0), TypeError, "xlogy needs a tensor, got 2.0 and 3.0"),
        (lambda: mg.masked_fill(O(2), O(2), 0), TypeError, "mask must be a boolean tensor, got"),
        (lambda: mg.masked_fill(O(2), YES, O(2)), ValueError, "value must be 0-d, got shape"),
        (lambda: mg.masked_fill(WHOLE, YES, 0.5), TypeError, "0.5 does not fit a tensor of int64"),
    ],
    "indexing": [
        (lambda: mg.scatter_add(O(2), 0, WHOLE, 1.0), TypeError, "src must be a tensor, got float"),
        (lambda: mg.scatter_add(O(2), 0, WHOLE, O(1)), ValueError, "does not fit src"),
        (lambda: mg.gather(O(5), 0, OUTSIDE), IndexError, r"index must lie in \[0, 5\), got 5"),
        (lambda: mg.gather(O(5), 0, -WHOLE), IndexError, r"index must lie in \[0, 5\), got -1"),
        (lambda: mg.index_select(O(2), 0, O(1)), TypeError, "index must be an integer tensor, got"),
        (lambda: mg.index_select(O(2), 0, WHOLE.reshape(1, 2)), ValueError, "index .* does not fi"),
        (lambda: mg.index_select(O(5), 0, OUTSIDE), IndexError, r"lie in \[0, 5\), got 5"),
        (lambda: mg.index_add(O(2), 0, O(1), O(1)), TypeError, "index must be a 1-D integer tenso"),
        (lambda: mg.index_add(O(2), 0, WHOLE, O(3)), ValueError, r"source must have shape \(2,\)"),
        (lambda: mg.index_add(O(5), 0, OUTSIDE, O(2)), IndexError, r"lie in \[0, 5\), got 5"),
        (
            lambda: mg.take_along_dim(O(2, 2), WHOLE, 0),
            ValueError,
            "must have equally many dimensions",
        ),
        (lambda: mg.embedding(O(2), O(3, 2)), TypeError, "embedding needs an integer tensor as"),
        (lambda: mg.embedding(WHOLE, O(3)), ValueError, r"weight must have shape \(rows, width\)"),
        (lambda: mg.embedding(OUTSIDE, O(5, 2)), IndexError, r"lie in \[0, 5\), got 5"),
    ],
    "loss": [
        (lambda: mg.mse_loss(O(2), O(2), reduction="no"), ValueError, "'sum' or 'none', got 'no'"),
        (lambda: mg.mse_loss(O(2), O(3)), ValueError, "mse_loss: input .* and target .* must agr"),
        (lambda: mg.huber_loss(O(2), O(2), delta=0), ValueError, "delta must be > 0, got 0"),
        (lambda: mg.gaussian_nll_loss(O(2), O(2), O(3)), ValueError, r"var \(3,\) does not fit"),
        (lambda: mg.nll_loss(O(2, 3), O(2)), TypeError, "target must hold class indices, got"),
        (lambda: mg.nll_loss(O(3, 3), WHOLE), ValueError, "nll_loss: input .* does not fit target"),
        (lambda: mg.cross_entropy(O(2, 5), OUTSIDE), IndexError, r"must lie in \[0, 5\), got 5"),
        (lambda: mg.cross_entropy(O(2, 5), -WHOLE), IndexError, r"must lie in \[0, 5\), got -1"),
        (lambda: mg.cross_entropy(O(2, 5), O(2)), (TypeError, ValueError), "target"),
    ],
    "reduction": [
        (lambda: O(0).mean(), ValueError, "mean needs at least one element along dim, got shape"),
        (lambda: O(2, 0).amax(1), ValueError, "amax needs at least one element along dim"),
        (lambda: O(1).var(), ValueError, r"var needs more than 1 elements along dim"),
        (lambda: O(3).var(correction=3), ValueError, "var needs more than 3 elements along dim"),
        (lambda: mg.max([1.0]), TypeError, "max: input must be a tensor, got list"),
        (lambda: mg.min([1.0]), TypeError, "min: input must be a tensor, got list"),
    ],
    "shape": [
        (lambda: mg.flatten(O(2, 2), 1, 0), ValueError, "start_dim must not come after end_dim"),
        (lambda: mg.permute(O(2, 2), (0, 0)), ValueError, "dims names a dimension twice"),
        (lambda: mg.permute(O(2, 2), (0,)), ValueError, "dims must name all 2 dimensions once"),
        (lambda: O(2).expand(3), ValueError, r"cannot expand shape \(2,\) to \(3,\)"),
        (lambda: mg.meshgrid(O(2), indexing="no"), ValueError, "must be 'ij' or 'xy', got 'no'"),
        (lambda: mg.meshgrid(O(2, 2)), ValueError, "meshgrid needs vectors, got"),
        (lambda: mg.cat([]), ValueError, "at least one tensor, got none"),
        (lambda: mg.split(O(4), [1, 2]), ValueError, r"lengths .* must be ≥ 0 and add up to 4"),
        (lambda: mg.split(O(4), [5, -1]), ValueError, "must be ≥ 0 and add up to 4"),
        (lambda: O(2, 2).repeat(2), ValueError, "repeats must be 2 or more numbers ≥ 0, got"),
        (lambda: mg.repeat_interleave(O(2), O(2)), TypeError, "an integer or a 1-D integer tensor"),
        (lambda: mg.repeat_interleave(O(2), -1), ValueError, "repeats must be ≥ 0, got"),
        (lambda: mg.roll(O(2, 2), (1, 1), (0,)), ValueError, "must be equally many, got"),
        (lambda: mg.pad(O(2), (1,)), ValueError, "pad must be pairs for at most 1 dimensions, got"),
        (lambda: mg.pad(O(2), (1, 1, 1, 1)), ValueError, "pad must be pairs for at most 1 dimens"),
        (lambda: mg.pad(O(2), (1, 1), "no"), ValueError, "mode must be constant, reflect, .* 'no'"),
        (lambda: mg.pad(O(2), (2, 0), "reflect"), ValueError, "reflect by 2 does not fit .* of 2"),
        (lambda: mg.pad(O(2), (3, 0), "circular"), ValueError, "circular by 3 does not fit"),
    ],
}  # fmt: skip


def attend(*shapes):
    return mg.scaled_dot_product_attention(*[O(*shape) for shape in shapes])


def conv(x, weight, *rest, **options):
    return mg.conv2d(O(*x), O(*weight), *rest, **options)


def turned(x, weight, **options):
    return mg.conv_transpose2d(O(*x), O(*weight), **options)


@pytest.mark.parametrize(
    ("call", "kind", "words"),
    [
        pytest.param(*case, id=f"{topic}: {case[2]}")
        for topic, cases in REFUSED.items()
        for case in cases
    ],
)
def test_what_does_not_fit_is_named_in_one_line(call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
