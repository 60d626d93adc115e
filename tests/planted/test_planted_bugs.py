"""Classic mistakes, planted one at a time: for each, a named check of the suite catches it.

A check counts only if it passes on minigen as it is and fails on minigen with the mistake.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_specs import checks
from suite import Patch, Plant, assert_caught, changed, check_of, each_of, folder, replace, test_of

import minigen as mg
import minigen.nn.batchnorm
import minigen.nn.coupling
import minigen.nn.flow
import minigen.nn.masked
import minigen.ops.attention
import minigen.ops.loss
import minigen.ops.pooling
import minigen.ops.random
import minigen.optim.adam
import minigen.optim.ema
from minigen import nn
from minigen.autograd import gradients, operation, tape
from minigen.autograd.operation import registry
from minigen.backends.numpy_backend import NumpyBackend
from minigen.models import gpt, gpt_step, realnvp, vae
from minigen.recipes import gpt as gpt_recipe

# ---------------------------------------------------------------- how to plant


def rule(op: str, name: str, wrong: Callable[..., Any]) -> Callable[[Patch], None]:
    """Another gradient rule for input ``name`` of ``op``."""

    def plant(patch: Patch) -> None:
        patch.setitem(registry[op].rule_of, name, wrong)
        patch.setattr(registry[op], "_plans", {})

    return plant


def forward(op: str, wrong: Callable[..., Any]) -> Callable[[Patch], None]:
    """Another forward function for ``op``."""

    def plant(patch: Patch) -> None:
        patch.setattr(registry[op], "forward", wrong)
        patch.setattr(operation, "_raw_functions", {})

    return plant


def detached(x: Any) -> Any:
    """The value off the tape: what a rule must never do."""
    return x.detach() if isinstance(x, mg.Tensor) else x


def tiny_vae() -> vae.VAE:
    mg.manual_seed(3)
    model = vae.VAE(in_features=3, hidden=(5,), latent=1)
    for p in model.parameters():
        with mg.no_grad():
            p.copy_(2.0 * p.detach())
    return model


# ---------------------------------------------------------------- the mistakes

ENGINE = [
    Plant(
        "a value detached in a second-order rule",
        rule("sigmoid", "x", lambda f, g, out: g * detached(out * (1 - out))),
        check_of("sigmoid", checks.check_differences),
    ),
    Plant(
        "gradients not summed back over what was broadcast",
        replace(tape, "_summed_to", lambda f, grad, shape, node: grad),
        check_of("multiply", checks.check_differences),
    ),
    Plant(
        "a gradient overwritten where it should be added up",
        changed(
            gradients,
            "_accumulate",
            lambda original, leaf, grad, owned: (
                setattr(leaf, "grad", None),
                original(leaf, grad, owned),
            ),
        ),
        test_of("autograd/test_gradients.py", "test_gradients_of_two_backwards_add_up"),
    ),
    Plant(
        "one gradient array handed to two leaves",
        changed(
            gradients, "_accumulate", lambda original, leaf, grad, owned: original(leaf, grad, True)
        ),
        test_of(
            "autograd/test_gradients.py", "test_gradients_of_different_leaves_never_share_memory"
        ),
    ),
    Plant(
        "a write in place that goes unnoticed",
        replace(mg.Tensor, "copy_", lambda x, value: np.copyto(x.data, value.data)),
        test_of("autograd/test_writes.py", "test_an_updated_parameter_is_noticed_as_well"),
    ),
    Plant(
        "an input overwritten by its op",
        forward("relu", lambda b, x: b.xp.maximum(x, 0, out=x) if x.ndim else b.xp.maximum(x, 0)),
        check_of("relu", checks.check_value),
    ),
    Plant(
        "a float64 constant in a rule",
        rule("tanh", "x", lambda f, g, out: g * (1 - f.square(out)) * np.float64(1)),
        check_of("tanh", checks.check_single_precision),
    ),
    Plant(
        "repeated indices overwrite one another in a gradient",
        replace(NumpyBackend, "scatter_add", lambda b, to, i, values: to.__setitem__(i, values)),
        check_of("index_select", checks.check_differences),
    ),
    Plant(
        "a product's gradient by dividing through the factor",
        rule(
            "prod",
            "x",
            lambda f, g, x, out, x_shape, dim: (
                f.reshape(g * out, shape=tuple(1 if d == dim else n for d, n in enumerate(x_shape)))
                / x
            ),
        ),
        check_of("prod", checks.check_differences, number=2),
    ),
]

OPS = [
    Plant(
        "softmax over the wrong axis",
        forward(
            "softmax",
            lambda b, x, *, dim: (
                b.xp.exp(x) / b.xp.exp(x).sum(axis=(dim + 1) % x.ndim, keepdims=True)
            ),
        ),
        check_of("softmax", checks.check_value),
    ),
    Plant(
        "the convolution's weight gradient with its kernel turned round",
        rule(
            "convolve",
            "w",
            lambda f, g, x, w_shape, how: f.flip(
                f.convolve_weight(x, g, kernel=w_shape[2:], how=how), dims=(2, 3)
            ),
        ),
        check_of("conv2d", checks.check_differences),
    ),
    Plant(
        "a causal mask one step too generous",
        replace(
            minigen.ops.attention,
            "_causal_mask",
            lambda xp, t, s: xp.arange(s)[None, :] <= xp.arange(t)[:, None] + 1,
        ),
        check_of("scaled_dot_product_attention", checks.check_value, count=30),
    ),
    Plant(
        "ignored targets counted in the mean of the cross-entropy",
        forward("mean_cross_entropy", lambda *args, **options: _mean_over_all(*args, **options)),
        check_of("cross_entropy", checks.check_value, count=60),
    ),
    Plant(
        "dropout without rescaling",
        changed(
            mg,
            "dropout",
            lambda original, x, p=0.5, training=True, **options: (
                original(x, p, training, **options) * (1 - p)
            ),
        ),
        test_of("ops/test_random.py", "test_dropout_keeps_the_expectation"),
    ),
    Plant(
        "the sign of a logarithm's cross-entropy lost: probabilities taken for logits",
        forward("bce_with_logits", lambda b, x, t: -(t * x + (1 - t) * (1 - x))),
        check_of("binary_cross_entropy_with_logits", checks.check_value),
    ),
]

LAYERS = [
    Plant(
        "masks A and B exchanged",
        changed(
            minigen.nn.masked,
            "autoregressive_mask",
            lambda original, kind, *rest: original({"A": "B", "B": "A"}[kind], *rest),
        ),
        test_of(
            "nn/test_masked.py",
            "test_type_a_then_b_never_sees_itself_or_the_future_and_sees_its_past",
        ),
    ),
    Plant(
        "the batch's statistics in evaluation",
        changed(
            minigen.nn.batchnorm,
            "batch_norm",
            lambda original, x, mean, var, w, b, by_batch, *rest: original(
                x, mean, var, w, b, True, *rest
            ),
        ),
        test_of(
            "nn/test_batchnorm.py",
            "test_evaluation_uses_the_running_statistics_and_leaves_them",
        ),
    ),
    Plant(
        "dropout active in evaluation",
        replace(nn.Dropout, "forward", lambda self, x: mg.dropout(x, self.p, True)),
        test_of("nn/test_dropout.py", "test_evaluation_and_p_of_zero_give_the_input_itself"),
    ),
    Plant(
        "the log-determinant dropped",
        changed(
            nn.AffineCoupling,
            "forward",
            lambda original, self, x: (original(self, x)[0], mg.zeros(x.shape[0], dtype=x.dtype)),
        ),
        test_of(
            "nn/test_flow.py",
            "test_log_det_is_that_of_the_numeric_jacobian_in_both_directions",
            "affine",
        ),
    ),
    Plant(
        "the log-determinant's sign wrong in both directions",
        lambda patch: (
            changed(nn.AffineCoupling, "forward", _negated)(patch),
            changed(nn.AffineCoupling, "inverse", _negated)(patch),
        )[0],
        test_of(
            "nn/test_flow.py",
            "test_log_det_is_that_of_the_numeric_jacobian_in_both_directions",
            "affine",
        ),
    ),
    Plant(
        "the 1×1 convolution's log-determinant not multiplied by the pixels",
        replace(minigen.nn.flow, "_places", lambda x: 1),
        test_of("nn/test_flow.py", "test_a_1x1_convolution_counts_every_pixel"),
    ),
    Plant(
        "a coupling that never swaps its halves",
        changed(
            minigen.nn.coupling._Coupling,
            "__init__",
            lambda original, self, conditioner, mask=None, swap=False: original(
                self, conditioner, mask, False
            ),
        ),
        test_of("nn/test_flow.py", "test_two_couplings_of_which_one_swaps_change_every_channel", 4),
    ),
]


_mean_over_counted = registry["mean_cross_entropy"].forward


def _mean_over_all(b: Any, x: Any, target: Any, *, ignore_index: int) -> Any:
    loss, (grad,) = _mean_over_counted(b, x, target, ignore_index=ignore_index)
    counted = (target != ignore_index).mean()
    return loss * counted, (grad * counted,)


def _negated(original: Callable[..., Any], self: Any, x: mg.Tensor) -> tuple[mg.Tensor, mg.Tensor]:
    y, log_det = original(self, x)
    return y, -log_det


TRAINING = [
    Plant(
        "Adam without bias correction",
        changed(
            minigen.optim.adam,
            "adam_step",
            lambda original, *arrays, step, **options: original(*arrays, step=10**6, **options),
        ),
        test_of("optim/test_optimizer.py", "test_adam_takes_a_first_step_of_length_lr"),
    ),
    Plant(
        "weight decay of AdamW added to the gradient",
        replace(mg.optim.AdamW, "decoupled", False),
        test_of(
            "optim/test_formulas.py", "test_adamw_shrinks_the_parameter_apart_from_the_gradient"
        ),
    ),
    Plant(
        "a moving average that forgets the buffers",
        changed(
            minigen.optim.ema,
            "_average",
            lambda original, average, value, decay: (
                original(average, value, decay) if isinstance(value, nn.Parameter) else None
            ),
        ),
        test_of(
            "optim/test_ema.py", "test_the_average_follows_the_formula_for_parameters_and_buffers"
        ),
    ),
]

VAE = [
    Plant(
        "a mean over pixels where the bound has a sum",
        changed(
            vae.VAE,
            "_log_likelihood",
            lambda original, self, x, logits: original(self, x, logits) / self.in_features,
        ),
        test_of(
            "models/test_vae.py",
            "test_a_model_that_says_nothing_costs_log_2_for_each_pixel_and_no_kl",
        ),
    ),
    Plant(
        "the log-variance used as standard deviation",
        replace(
            vae.VAE,
            "reparameterize",
            lambda self, mean, log_var, generator=None: (
                mean + log_var * generator.normal(mean.shape, dtype=mean.dtype)
            ),
        ),
        test_of("models/test_vae.py", "test_reparameterize_moves_and_scales_standard_normal_draws"),
    ),
    Plant(
        "the variance used as standard deviation",
        replace(
            vae.VAE,
            "reparameterize",
            lambda self, mean, log_var, generator=None: (
                mean + log_var.exp() * generator.normal(mean.shape, dtype=mean.dtype)
            ),
        ),
        test_of("models/test_vae.py", "test_reparameterize_moves_and_scales_standard_normal_draws"),
    ),
    Plant(
        "the KL divergence with half of its variance term missing",
        changed(
            vae,
            "gaussian_kl",
            lambda original, mean, log_var: original(mean, log_var) + 0.5 * log_var.sum(dim=-1),
        ),
        test_of(
            "models/test_vae.py",
            "test_both_forms_of_the_bound_have_the_same_mean_and_lie_under_the_likelihood",
            tiny_vae,
        ),
    ),
    Plant(
        "the mean of the logarithms where the bound has the logarithm of the mean",
        replace(vae.mg, "logsumexp", lambda x, dim: x.mean(dim) + math.log(x.shape[dim])),
        test_of(
            "models/test_vae.py",
            "test_the_importance_weighted_bound_rises_with_k_to_the_exact_likelihood",
            tiny_vae,
        ),
    ),
]


def _turned_round(original: Any, *args: Any) -> tuple[Any, Any]:
    value, log_det = original(*args)
    return value, -log_det


def never_swapped(original: Any, *args: Any) -> Any:
    return original(*args[:-1], False)


REALNVP_JACOBIAN = test_of(
    "models/test_realnvp.py",
    "test_log_det_is_that_of_the_numeric_jacobian_in_both_directions",
    2,
    "affine",
)
REALNVP_INTEGRAL = test_of(
    "models/test_realnvp.py", "test_the_density_of_any_weights_integrates_to_1", "affine"
)

REALNVP = [
    Plant(
        "the flow's log-determinant with its sign wrong in both directions, seen by the integral",
        lambda patch: (
            changed(realnvp.RealNVP, "forward", _turned_round)(patch),
            changed(realnvp.RealNVP, "inverse", _turned_round)(patch),
        )[0],
        REALNVP_INTEGRAL,
    ),
    Plant(
        "the flow's log-determinant with its sign wrong in both directions, seen by the Jacobian",
        lambda patch: (
            changed(realnvp.RealNVP, "forward", _turned_round)(patch),
            changed(realnvp.RealNVP, "inverse", _turned_round)(patch),
        )[0],
        REALNVP_JACOBIAN,
    ),
    Plant(
        "the log-determinant left out of the likelihood",
        replace(
            realnvp.RealNVP,
            "log_prob",
            lambda self, x: realnvp.standard_normal_log_density(self(x)[0]),
        ),
        REALNVP_INTEGRAL,
    ),
    Plant(
        "ActNorm's log-determinant forgotten",
        changed(
            nn.ActNorm,
            "forward",
            lambda original, self, x: (original(self, x)[0], mg.zeros(x.shape[0], dtype=x.dtype)),
        ),
        REALNVP_INTEGRAL,
    ),
    Plant(
        "halves that are never exchanged",
        changed(realnvp, "_coupling", never_swapped),
        test_of(
            "models/test_realnvp.py", "test_every_noise_depends_on_every_coordinate", 2, "affine"
        ),
    ),
    Plant(
        "a normal density without its constant",
        replace(realnvp, "standard_normal_log_density", lambda z: -0.5 * (z * z).sum(dim=1)),
        REALNVP_INTEGRAL,
    ),
]

_CACHE = "test_cached_logits_equal_the_naive_ones_at_every_step_and_past_the_window"
_put_window_nats = gpt_recipe._put_window_nats


def _one_early(cache: gpt.KeyValueCache, block: int, v: mg.Tensor) -> mg.Tensor:
    end = cache.seen - cache.start
    first = max(end - v.shape[2] - 1, 0)
    cache.values[block][:, :, first : first + v.shape[2]] = v.data
    return mg.Tensor(cache.values[block][:, :, :end])


GPT = [
    Plant(
        "a transformer that sees the token it has to predict",
        replace(
            minigen.ops.attention,
            "_causal_mask",
            lambda xp, t, s: xp.arange(s)[None, :] <= xp.arange(t)[:, None] + 1,
        ),
        test_of(
            "models/test_gpt.py", "test_no_position_sees_a_later_one_and_each_sees_all_earlier_ones"
        ),
    ),
    Plant(
        "a mask over cached keys one step too generous",
        replace(
            gpt,
            "visible",
            lambda t, s: mg.tensor(np.arange(s)[None, :] <= np.arange(s - t, s)[:, None] + 1),
        ),
        test_of(
            "models/test_gpt.py",
            "test_portions_of_any_length_give_what_single_tokens_give",
            [3, 2, 1, 4, 1, 9, 1],
        ),
    ),
    Plant(
        "a cached token at the position before its own",
        changed(
            gpt.GPT,
            "embed",
            lambda original, self, tokens, first=0: original(self, tokens, max(first - 1, 0)),
        ),
        test_of(
            "models/test_gpt.py",
            "test_portions_of_any_length_give_what_single_tokens_give",
            [3, 2, 1, 4, 1, 9, 1],
        ),
    ),
    Plant(
        "the newest values written over the ones before",
        changed(
            gpt.KeyValueCache,
            "extend",
            lambda original, self, block, k, v: (
                original(self, block, k, v)[0],
                _one_early(self, block, v),
            ),
        ),
        test_of(
            "models/test_gpt.py",
            "test_portions_of_any_length_give_what_single_tokens_give",
            [3, 2, 1, 4, 1, 9, 1],
        ),
    ),
    Plant(
        "a step of one token that writes its keys over the ones before",
        changed(
            gpt_step,
            "_attend",
            lambda original, layer, x, keys, values, place: original(
                layer, x, keys, values, max(place - 1, 0)
            ),
        ),
        test_of("models/test_gpt.py", _CACHE, 8, 1),
    ),
    Plant(
        "a step of one token without the scale of its attention",
        changed(
            gpt_step,
            "_attend",
            lambda original, layer, x, keys, values, place: original(
                layer, x * math.sqrt(x.shape[1] // layer.heads), keys, values, place
            ),
        ),
        test_of("models/test_gpt.py", _CACHE, 8, 3),
    ),
    Plant(
        "logits from a copy of the table",
        replace(gpt.GPT, "logits", lambda self, x: mg.linear(x, self.token.weight.detach())),
        test_of(
            "models/test_gpt.py", "test_the_tied_table_is_one_buffer_with_the_sum_of_both_gradients"
        ),
    ),
    Plant(
        "windows of the evaluation that take one prediction from too short a past",
        replace(
            gpt_recipe,
            "_put_window_nats",
            lambda model, windows, starts, keep, into: _put_window_nats(
                model, windows, starts, keep - 1, into
            ),
        ),
        test_of(
            "recipes/test_gpt_recipe.py",
            "test_the_headline_is_the_probability_with_which_generation_would_draw_the_text",
            folder,
            "characters",
            8,
        ),
    ),
]

PLANTS = [*ENGINE, *OPS, *LAYERS, *TRAINING, *VAE, *REALNVP, *GPT]


@each_of(PLANTS)
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_planted_mistake_is_caught_by_a_named_check(plant: Plant) -> None:
    assert_caught(plant)


def test_at_least_fifteen_mistakes_are_planted():
    assert len({plant.mistake for plant in PLANTS}) >= 15
