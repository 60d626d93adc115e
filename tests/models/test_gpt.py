"""The GPT: nothing leaks, one table, and a cache that equals the naive computation everywhere."""

import math

import numpy as np
import pytest

import minigen as mg
from minigen.autograd.tensor import Tensor
from minigen.models.gpt import GPT, window_start

V, C = 11, 8


def tiny(context: int = C, dtype: str = "float64") -> GPT:
    """Two blocks, two heads, with weights large enough that every path matters."""
    mg.manual_seed(7)
    model = GPT(V, context, layers=2, heads=2, width=12).to_dtype(dtype)
    draws = mg.Generator(1)
    for parameter in model.parameters():
        with mg.no_grad():
            parameter.copy_(parameter.detach() + 0.3 * draws.normal(parameter.shape, dtype=dtype))
    return model


def some_tokens(n: int, length: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, V, (n, length))


# ---------------------------------------------------------------- what depends on what


def test_no_position_sees_a_later_one_and_each_sees_all_earlier_ones():
    model = tiny()
    x = model.embed(mg.tensor(some_tokens(1, C))).detach()
    x.requires_grad = True
    logits = model.logits(model.transform(x))  # (1, T, V)
    weights = mg.tensor(np.random.default_rng(2).normal(size=V))
    reach = np.zeros((C, C))  # row: output position, column: input position
    for t in range(C):
        (g,) = mg.grad((logits[0, t] * weights).sum(), x, retain_graph=True)
        reach[t] = np.abs(g.numpy()[0]).sum(axis=-1)
    assert (reach[np.triu_indices(C, 1)] == 0).all()
    assert (reach[np.tril_indices(C)] > 1e-6).all()


def test_attention_maps_are_causal_and_sum_to_one():
    maps = tiny().attention_maps(mg.tensor(some_tokens(3, 6)))
    assert [one.shape for one in maps] == [(3, 2, 6, 6)] * 2
    for one in maps:
        np.testing.assert_allclose(one.numpy().sum(axis=-1), 1, rtol=1e-12)
        assert (np.triu(one.numpy(), 1) == 0).all()


def test_the_maps_are_those_of_the_forward_pass():
    model = tiny()
    tokens = mg.tensor(some_tokens(2, 5))
    x, attention = model.embed(tokens), model.blocks[0].attention
    normed = model.blocks[0].norm1(x)
    values = attention.project(normed)[2]  # (N, h, T, D)
    mixed = mg.matmul(model.attention_maps(tokens)[0], values).transpose(1, 2).reshape(2, 5, 12)
    np.testing.assert_allclose(
        attention.out(mixed).numpy(), attention(normed).numpy(), rtol=0, atol=1e-13
    )


# ---------------------------------------------------------------- one table


def test_the_tied_table_is_one_buffer_with_the_sum_of_both_gradients():
    model = tiny()
    names = [name for name, p in model.named_parameters() if V in p.shape]
    assert names == ["token.weight"]
    mg.optim.AdamW(model.parameters())  # moves all values into its own memory
    tokens = mg.tensor(some_tokens(2, 6))
    model.loss(tokens, tokens).backward()
    both = model.token.weight.grad.numpy().copy()

    hidden = model.transform(model.embed(tokens))
    table = model.token.weight.detach()
    table.requires_grad = True
    logits = mg.linear(hidden.detach(), table).reshape(12, V)
    mg.cross_entropy(logits, tokens.reshape(12)).backward()
    model.zero_grad()
    frozen = mg.linear(hidden, model.token.weight.detach()).reshape(12, V)
    mg.cross_entropy(frozen, tokens.reshape(12)).backward()
    as_input, as_output = model.token.weight.grad.numpy(), table.grad.numpy()
    assert np.abs(as_input).max() > 1e-3
    assert np.abs(as_output).max() > 1e-3
    np.testing.assert_allclose(both, as_input + as_output, rtol=1e-10, atol=1e-12)

    model.token.weight.data[3] += 1.0  # what is read and what is written change together
    assert np.abs(model.token(mg.tensor(np.array([[3]]))).numpy()).mean() > 0.8
    np.testing.assert_allclose(
        model.logits(hidden).numpy()[..., 3], hidden.numpy() @ table.numpy()[3], rtol=1e-12
    )


def test_gpt2s_initial_weights_give_a_loss_of_log_v():
    mg.manual_seed(0)
    model = GPT(65, 32, layers=4, heads=4, width=64)
    tokens = mg.tensor(np.random.default_rng(0).integers(0, 65, (16, 32)))
    targets = mg.tensor(np.random.default_rng(1).integers(0, 65, (16, 32)))
    assert model.loss(tokens, targets).item() == pytest.approx(math.log(65), abs=0.05)
    deviation = {name: float(p.numpy().std()) for name, p in model.named_parameters()}
    assert deviation["token.weight"] == pytest.approx(0.02, rel=0.1)
    assert deviation["blocks.0.contract.weight"] == pytest.approx(0.02 / math.sqrt(8), rel=0.1)
    assert deviation["blocks.3.attention.out.weight"] == pytest.approx(0.02 / math.sqrt(8), rel=0.1)
    assert deviation["blocks.1.attention.qkv.bias"] == 0


def test_the_default_shakespeare_model_has_less_than_a_million_parameters():
    assert sum(p.numel() for p in GPT(65).parameters()) <= 1_000_000


# ---------------------------------------------------------------- the cache


@pytest.mark.parametrize(
    ("context", "expected"),
    [
        (4, [0, 0, 0, 0, 2, 2, 4, 4, 6, 6]),
        (5, [0, 0, 0, 0, 0, 3, 3, 3, 6, 6]),
        (1, [0, 1, 2, 3, 4]),
        (2, [0, 0, 1, 2, 3]),
    ],
)
def test_a_full_window_drops_its_older_half(context, expected):
    lengths = range(1, len(expected) + 1)
    assert [window_start(length, context) for length in lengths] == expected


@pytest.mark.usefixtures("backend")
@pytest.mark.parametrize("context", [C, 5, 1])
@pytest.mark.parametrize("batch", [1, 3])
def test_cached_logits_equal_the_naive_ones_at_every_step_and_past_the_window(context, batch):
    model, length = tiny(context).eval(), 4 * context + 3
    tokens = some_tokens(batch, length)
    cache = model.new_cache(batch)
    with mg.no_grad():
        for t in range(length):
            got = model.cached_logits(mg.tensor(tokens[:, t : t + 1]), cache).numpy()
            want = model.next_logits(mg.tensor(tokens[:, : t + 1])).numpy()
            assert got.shape == (batch, V)
            assert np.abs(got - want).max() < 1e-10, f"after {t + 1} tokens"


@pytest.mark.parametrize("portions", [[3, 2, 1, 4, 1, 9, 1], [20, 1, 1, 1], [8, 1], [8, 8, 8], [9]])
def test_portions_of_any_length_give_what_single_tokens_give(portions):
    model = tiny().eval()
    tokens, cache, end = some_tokens(2, sum(portions), seed=5), model.new_cache(2), 0
    with mg.no_grad():
        for portion in portions:
            got = model.cached_logits(mg.tensor(tokens[:, end : end + portion]), cache).numpy()
            end += portion
            want = model.next_logits(mg.tensor(tokens[:, :end])).numpy()
            assert np.abs(got - want).max() < 1e-10, f"after {end} tokens"


def test_rows_of_a_batch_do_not_touch_one_another():
    model, tokens = tiny().eval(), some_tokens(3, 12)
    together, alone = model.new_cache(3), model.new_cache(1)
    with mg.no_grad():
        for t in range(12):
            all_rows = model.cached_logits(mg.tensor(tokens[:, t : t + 1]), together).numpy()
            one_row = model.cached_logits(mg.tensor(tokens[1:2, t : t + 1]), alone).numpy()
            np.testing.assert_allclose(all_rows[1:2], one_row, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("backend")
def test_a_step_on_raw_arrays_equals_the_recorded_ops_it_stands_for():
    model, tokens = tiny().eval(), some_tokens(3, C)
    raw, recorded = model.new_cache(3), model.new_cache(3)
    with mg.no_grad():
        for t in range(C):
            new = mg.tensor(tokens[:, t : t + 1])
            got = model.cached_logits(new, raw).numpy()
            want = model.train().cached_logits(new, recorded).numpy()  # dropout is 0
            model.eval()
            np.testing.assert_allclose(got, want, rtol=0, atol=1e-12)
    for one, two in zip([*raw.keys, *raw.values], [*recorded.keys, *recorded.values]):
        np.testing.assert_allclose(Tensor(one).numpy(), Tensor(two).numpy(), rtol=0, atol=1e-12)


def test_a_training_step_stays_in_float32_and_on_the_device():
    from minigen.backends.strict import count_transfers

    with mg.use("strict"):
        model = tiny(dtype="float32")
        tokens = mg.tensor(some_tokens(2, 6))
        with count_transfers() as count:
            loss = model.loss(tokens, tokens)
            loss.backward()
        assert count.total == 0, count
        assert all(p.grad.dtype == np.float32 for p in model.parameters() if p.grad is not None)


# ---------------------------------------------------------------- arguments


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"vocabulary": 0}, "vocabulary must be a whole number >= 1, got 0"),
        ({"context": 0}, "context must be"),
        ({"layers": 1.5}, "layers must be"),
        ({"heads": 5}, "heads must divide width 128, got 5"),
        ({"dropout": 2.0}, "dropout|p must"),
    ],
)
def test_sizes_that_cannot_be_are_named(arguments, message):
    with pytest.raises(ValueError, match=message):
        GPT(**{"vocabulary": 5, **arguments})


def test_tokens_that_do_not_fit_are_named():
    model = tiny()
    with pytest.raises(ValueError, match="tokens must be 1 to 8 in the window, got 9"):
        model(mg.tensor(some_tokens(1, 9)))
    with pytest.raises(ValueError, match="tokens must be 1 to 8"):
        model(mg.tensor(some_tokens(1, 0)))
    with pytest.raises(TypeError, match="tokens must be integers"):
        model(mg.zeros(1, 3))
