"""Descriptions of all models: how to draw one, what its losses are, and what they should be worth.

``SPECS`` is walked by ``test_every_model.py``, which fails when ``minigen list`` has an entry that
is not described here. Hypothesis draws sizes, options and seeds. Each loss comes with an *oracle*:
the value of every term in plain NumPy, from the outputs of the networks. Finite differences cannot
see a factor that is missing in a loss, as it is missing in the gradient too; the oracle does.

Where a recipe puts the loss together itself (the adversarial ones), the loss is what the recipe's
step would go down: its ``descend`` is replaced by one that keeps the loss.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

import minigen as mg
from minigen import nn
from minigen.metrics.lenet import LeNet
from minigen.models.adversarial import LOSSES
from minigen.models.gated_pixelcnn import GatedPixelCNN
from minigen.models.glow import Glow
from minigen.models.gpt import GPT
from minigen.models.pixelcnn import PixelCNN
from minigen.models.pixelrnn import PixelRNN
from minigen.models.raster import RasterModel
from minigen.models.realnvp import RealNVP
from minigen.models.realnvp_image import ImageRealNVP
from minigen.models.vae import VAE
from minigen.models.wavenet import WaveNet
from minigen.recipes import adversarial as adversarial_recipe
from minigen.recipes import cyclegan as cyclegan_recipe
from minigen.recipes import find
from minigen.recipes import stylegan as stylegan_recipe

Values = dict[str, Any]


@dataclasses.dataclass
class Loss:
    """A loss of one draw.

    Attributes:
        loss: called with ``inputs`` as tensors.
        oracle: called in the same way; the value of every term, by the name of the term.
        model: whose parameters are checked.
        fixed: what the loss runs through besides.
        generator: what it draws from.
        captured: whether it can be captured.
        each: whether parameters move one at a time, or all at once where they are very many.
    """

    loss: Callable[..., Any]
    oracle: Callable[..., Values]
    inputs: tuple[np.ndarray, ...]
    model: Sequence[nn.Module]
    fixed: Sequence[nn.Module] = ()
    generator: mg.Generator | None = None
    captured: bool = True
    each: bool = True


@dataclasses.dataclass
class Sight:
    """Who sees whom in an autoregressive model: booleans of shape (outputs, inputs).

    Attributes:
        by_tape: whether ∂ output/∂ input is anything but exactly 0.
        by_change: whether the output moves when the input does.
        allowed: whether it may.
        needed: whether it must.
    """

    by_tape: np.ndarray
    by_change: np.ndarray
    allowed: np.ndarray
    needed: np.ndarray


@dataclasses.dataclass
class ModelCase:
    """One draw of a model.

    Attributes:
        about: what was drawn.
        losses: by name.
        flow: for a flow, itself and a batch of data.
        sight: for an autoregressive model, who sees whom.
    """

    about: str
    losses: dict[str, Loss] = dataclasses.field(repr=False)
    flow: tuple[Any, np.ndarray] | None = dataclasses.field(default=None, repr=False)
    sight: Callable[[], Sight] | None = dataclasses.field(default=None, repr=False)


@dataclasses.dataclass
class ModelSpec:
    """A description of one entry of ``minigen list``.

    Attributes:
        name: of the entry.
        variants: each gets ``examples`` draws of its own: the named losses, heads and the like.
        cases: draws a ``ModelCase`` of a variant.
        examples: draws of each variant in the ordinary suite.
    """

    name: str
    variants: tuple[str, ...]
    cases: Callable[[str], st.SearchStrategy[ModelCase]]
    examples: int = 6

    def __repr__(self) -> str:
        return f"<model {self.name}>"


# ---------------------------------------------------------------- how to draw


_flag = st.booleans()


def upto(most: int, least: int = 1) -> st.SearchStrategy[int]:
    return st.integers(least, most)


def dice(draw: Any) -> np.random.Generator:
    """NumPy's numbers and minigen's, from one drawn seed."""
    seed = draw(st.integers(0, 2**20))
    mg.manual_seed(seed)
    return np.random.default_rng(seed)


def stirred(rng: np.random.Generator, *modules: nn.Module, by: float = 0.3) -> None:
    """In float64, with noise on every parameter: none is 0, nothing hides behind another one."""
    for module in modules:
        module.double()
        for parameter in module.parameters():
            parameter.data[...] += by * rng.standard_normal(parameter.shape)


def told(**options: Any) -> str:
    return ", ".join(f"{name}={value}" for name, value in options.items())


def host(x: Any) -> np.ndarray:
    return np.array(x.numpy()) if isinstance(x, mg.Tensor) else np.asarray(x)


# ---------------------------------------------------------------- formulas in NumPy


def softplus(x: np.ndarray) -> np.ndarray:
    return np.logaddexp(0.0, x)


def cross_entropy(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """−log softmax at the target: (…, K), (…) → (…)."""
    most = logits.max(axis=-1, keepdims=True)
    log_total = np.log(np.exp(logits - most).sum(axis=-1)) + most[..., 0]
    return log_total - np.take_along_axis(logits, targets[..., None], axis=-1)[..., 0]


def bernoulli(logits: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log p(x), elementwise."""
    return -(x * softplus(-logits) + (1 - x) * softplus(logits))


def normal(z: np.ndarray, mean: Any = 0.0, log_var: Any = 0.0) -> np.ndarray:
    """log N(z; mean, exp(log_var)), summed over the last axis."""
    return (-0.5 * (np.log(2 * np.pi) + log_var + (z - mean) ** 2 / np.exp(log_var)) + 0 * z).sum(
        axis=-1
    )


GAMES: dict[str, tuple[Callable[..., Any], Callable[..., Any]]] = {
    "non-saturating": (
        lambda d, f: softplus(-d).mean() + softplus(f).mean(),
        lambda f: softplus(-f).mean(),
    ),
    "minimax": (
        lambda d, f: softplus(-d).mean() + softplus(f).mean(),
        lambda f: -softplus(f).mean(),
    ),
    "lsgan": (
        lambda d, f: ((d - 1) ** 2).mean() / 2 + (f**2).mean() / 2,
        lambda f: ((f - 1) ** 2).mean() / 2,
    ),
    "hinge": (
        lambda d, f: np.maximum(0, 1 - d).mean() + np.maximum(0, 1 + f).mean(),
        lambda f: -f.mean(),
    ),
    "wasserstein": (lambda d, f: f.mean() - d.mean(), lambda f: -f.mean()),
}
"""What the discriminator and the generator are charged; the names are those of `LOSSES`."""
assert GAMES.keys() == LOSSES.keys()


# ---------------------------------------------------------------- VAE


def vae(variant: str) -> st.SearchStrategy[ModelCase]:
    @st.composite
    def cases(draw: Any) -> ModelCase:
        hidden = tuple(draw(st.lists(upto(4), min_size=1, max_size=3)))
        sizes = {"latent": draw(upto(3)), "n": draw(upto(3))}
        sizes["k"] = draw(st.sampled_from([3, 1, 2]))
        pixels = draw(st.sampled_from([(5,), (1, 2, 3), (2, 2, 1)]))
        weight = draw(st.sampled_from([0.0, 0.5, 4.0])) if variant == "weighted" else 1.0
        rng, generator = dice(draw), mg.Generator(draw(upto(99)))
        model = VAE(math.prod(pixels), hidden, sizes["latent"])
        stirred(rng, model)
        x = rng.random((sizes["n"], *pixels)).round(draw(upto(1, 0)))

        def parts(x: mg.Tensor, k: int) -> tuple[np.ndarray, ...]:
            """log p(x | z), log p(z), log q(z | x) of k draws (k, N); and the closed KL (N,)."""
            mean, log_var = (host(y) for y in model.encode(x))
            shape = mean.shape if variant != "importance-weighted" else (k, *mean.shape)
            z = mean + np.exp(log_var / 2) * host(generator.normal(shape, dtype="float64"))
            said = bernoulli(host(model.decode(mg.tensor(z))), host(x).reshape(len(x), -1))
            divergence = 0.5 * (np.exp(log_var) + mean**2 - 1 - log_var).sum(axis=1)
            return said.sum(axis=-1), normal(z), normal(z, mean, log_var), divergence

        def of_the_bound(x: mg.Tensor) -> Values:
            said, prior, posterior, divergence = parts(x, 1)
            kl = (posterior - prior).mean() if variant == "sampled" else divergence.mean()
            nelbo = kl - said.mean()
            total = weight * kl - said.mean()
            return {"loss": total, "nelbo": nelbo, "reconstruction": -said.mean(), "kl": kl}

        def of_many(x: mg.Tensor) -> Values:
            said, prior, posterior, _ = parts(x, sizes["k"])
            return {"loss": np.log(np.exp(said + prior - posterior).mean(axis=0))}

        loss: Callable[..., Any]
        if variant == "importance-weighted":
            loss = lambda x: model.importance_weighted_bound(x, sizes["k"], generator)
        else:
            kind = "sampled" if variant == "sampled" else "closed"
            loss = lambda x: model.loss(x, generator, kind, weight)
        oracle = of_many if variant == "importance-weighted" else of_the_bound
        one = Loss(loss, oracle, (x,), [model], generator=generator)
        return ModelCase(told(hidden=hidden, pixels=pixels, weight=weight, **sizes), {variant: one})

    return cases()


# ---------------------------------------------------------------- classifier


def lenet(variant: str) -> st.SearchStrategy[ModelCase]:
    @st.composite
    def cases(draw: Any) -> ModelCase:
        shape = (draw(upto(3)), draw(upto(15, 12)), draw(upto(15, 12)))
        classes, n = draw(upto(5, 2)), draw(upto(3))
        rng = dice(draw)
        model = LeNet(shape, classes)
        stirred(rng, model, by=0.05)
        x, labels = rng.random((n, *shape)), rng.integers(0, classes, n)
        one = Loss(
            lambda x: mg.cross_entropy(model(x), mg.tensor(labels)),
            lambda x: {"loss": cross_entropy(host(model(x)), labels).mean()},
            (x,),
            [model],
        )
        return ModelCase(told(shape=shape, classes=classes, n=n), {variant: one})

    return cases()


# ---------------------------------------------------------------- text and sound


def changes(
    model: Callable[[np.ndarray], np.ndarray], given: np.ndarray, values: int
) -> np.ndarray:
    """Whether output t of ``model`` (1, T) → (T', V) moves when input s takes another value."""
    before, found = model(given), []
    for place in range(given.shape[1]):
        moved = np.zeros(len(before), bool)
        for step in range(1, values):
            other = given.copy()
            other[0, place] = (other[0, place] + step) % values
            moved |= (model(other) != before).any(axis=1)
        found.append(moved)
    return np.stack(found, axis=1)


def rows_seen(outputs: mg.Tensor, inputs: mg.Tensor, rng: np.random.Generator) -> np.ndarray:
    """Whether row t of ``outputs`` (T', V) has any derivative by row s of ``inputs`` (T, E)."""
    weights = mg.tensor(rng.normal(size=outputs.shape))
    found = []
    for said in (outputs * weights).sum(dim=1):
        (g,) = mg.grad(said, [inputs], retain_graph=True)
        found.append((g.numpy().reshape(inputs.shape[0], -1) != 0).any(axis=1))
    return np.array(found)


def gpt(variant: str) -> st.SearchStrategy[ModelCase]:
    @st.composite
    def cases(draw: Any) -> ModelCase:
        heads = draw(upto(3))
        options = {
            **{"vocabulary": draw(upto(6, 2)), "context": draw(upto(6)), "layers": draw(upto(2))},
            **{"heads": heads, "width": heads * draw(upto(3))},
        }
        options["width"] += heads * (options["width"] == 1)  # LayerNorm of one number is a constant
        dropout = draw(st.sampled_from([0.0, 0.0, 0.3]))
        n, length = draw(upto(3)), draw(upto(options["context"]))
        rng = dice(draw)
        model = GPT(**options, dropout=dropout)
        stirred(rng, model)
        tokens, targets = rng.integers(0, options["vocabulary"], (2, n, length))

        def oracle() -> Values:
            nats = cross_entropy(host(model(mg.tensor(tokens))), targets)
            return {"loss": nats.mean() if variant == "mean" else nats}

        def sight() -> Sight:
            model.eval()
            one = tokens[:1]
            x = model.embed(mg.tensor(one)).detach().requires_grad_()  # (1, T, E)
            rows = x[0]
            logits = model.logits(model.transform(rows.unsqueeze(0)))[0]
            predict = lambda ids: host(model(mg.tensor(ids)))[0]
            past = np.tri(length, dtype=bool)
            return Sight(
                rows_seen(logits, rows, rng), changes(predict, one, model.vocabulary), past, past
            )

        one = Loss(
            lambda: model.loss(mg.tensor(tokens), mg.tensor(targets), variant), oracle, (), [model]
        )
        about = told(n=n, length=length, dropout=dropout, **options)
        return ModelCase(about, {variant: one}, sight=sight)

    return cases()


def wavenet(variant: str) -> st.SearchStrategy[ModelCase]:
    @st.composite
    def cases(draw: Any) -> ModelCase:
        dilations = tuple(draw(st.lists(upto(4), min_size=1, max_size=4)))
        options = {
            "levels": draw(upto(6, 2)),
            "labels": draw(upto(3, 0)),
            "channels": draw(upto(3)),
        }
        options["skip"] = draw(upto(4))
        n, more = draw(upto(3)), draw(upto(4))
        rng = dice(draw)
        model = WaveNet(dilations=dilations, **options)
        stirred(rng, model)
        levels = rng.integers(0, options["levels"], (n, model.receptive_field + more - 1))
        targets = rng.integers(0, options["levels"], (n, more))
        ignored = rng.random((n, more)) < 0.2
        ignored[0, 0] = False
        given = np.where(ignored, -100, targets)
        labels = rng.integers(0, options["labels"], n) if options["labels"] else None

        def labelled() -> mg.Tensor | None:
            return None if labels is None else mg.tensor(labels)

        def oracle() -> Values:
            nats = cross_entropy(host(model(mg.tensor(levels), labelled())), targets)
            nats[ignored] = 0
            return {"loss": nats.sum() / (~ignored).sum() if variant == "mean" else nats}

        def sight() -> Sight:
            with mg.no_grad():  # no ReLU of the last two layers may hide a path
                for layer in (model.skip, model.hidden):
                    layer.bias.copy_(layer.bias.detach() + 20.0)
            one, told_one = levels[:1], None if labels is None else mg.tensor(labels[:1])
            rows = model.embed(mg.tensor(one)).detach().requires_grad_()  # (T, 1, 2C)
            z = model.transform(rows, model.conditions(told_one, 1))
            logits = model.logits(z)[:, 0]
            predict = lambda ids: host(model(mg.tensor(ids), told_one))[0]
            reach = {0, 1}  # how far back the taps of all layers together look
            for dilation in dilations:
                reach |= {back + dilation for back in reach}
            last = np.arange(more)[:, None] + model.receptive_field - 1
            needed = np.isin(last - np.arange(one.shape[1]), list(reach))
            return Sight(
                rows_seen(logits, rows, rng), changes(predict, one, model.levels), needed, needed
            )

        one = Loss(
            lambda: model.loss(mg.tensor(levels), mg.tensor(given), labelled(), variant),
            oracle,
            (),
            [model],
        )
        about = told(n=n, predictions=more, dilations=dilations, **options)
        return ModelCase(about, {variant: one}, sight=sight)

    return cases()


# ---------------------------------------------------------------- images pixel by pixel


def head_log_prob(model: RasterModel, said: np.ndarray, x: np.ndarray) -> np.ndarray:
    """log P of images by the formula of the head: (N, C·P, H, W), (N, C, H, W) → (N,)."""
    n, colors, height, width = x.shape
    numbers = said.reshape(n, colors, -1, height, width).transpose(0, 1, 3, 4, 2)
    values = model.head.values
    index = np.rint(x * (values - 1)).astype(int)
    name = type(model.head).__name__
    if name == "BernoulliHead":
        nats = bernoulli(numbers[..., 0], x)
    elif name == "CategoricalHead":
        nats = -cross_entropy(numbers, index)
    else:  # Salimans et al. 2017, equation 2, with its difference of two sigmoids
        logits, mean, log_scale = np.split(numbers, 3, axis=-1)
        weight = np.exp(logits) / np.exp(logits).sum(axis=-1, keepdims=True)
        scale, v = np.exp(np.maximum(log_scale, -7.0)), (2 * x - 1)[..., None]
        sigma = lambda t: 0.5 * np.tanh(0.5 * t) + 0.5
        upper = sigma((v + 1 / (values - 1) - mean) / scale)
        lower = sigma((v - 1 / (values - 1) - mean) / scale)
        upper = np.where(index[..., None] == values - 1, 1.0, upper)
        lower = np.where(index[..., None] == 0, 0.0, lower)
        nats = np.log((weight * (upper - lower)).sum(axis=-1))
    return nats.reshape(n, -1).sum(axis=1)


KERNELS = {"pixelcnn": "blocks", "gated-pixelcnn": "layers", "row-lstm": "layers"}


def raster(name: str) -> Callable[[str], st.SearchStrategy[ModelCase]]:
    """PixelCNN, Gated PixelCNN and both PixelRNNs; the variant is the head."""

    def of(variant: str) -> st.SearchStrategy[ModelCase]:
        @st.composite
        def cases(draw: Any) -> ModelCase:
            recurrent = name in ("row-lstm", "diagonal-bilstm")
            colors = 1 if recurrent else draw(upto(2 if variant == "bernoulli" else 3))
            shape = (colors, draw(upto(4)), draw(upto(4)))
            options: dict[str, Any] = {"hidden": colors * draw(upto(2))}
            options[KERNELS.get(name, "layers")] = draw(upto(2))
            options["first_kernel"] = draw(st.sampled_from([3, 5]))
            if name != "diagonal-bilstm":
                options["kernel"] = draw(st.sampled_from([1, 3]))
            if name == "gated-pixelcnn":
                options["classes"] = draw(upto(3, 0))
            if variant != "bernoulli":
                options["values"] = draw(upto(5, 2))
            if variant == "logistic-mixture":
                options["components"] = draw(upto(3))
            n = draw(upto(3))
            rng = dice(draw)

            def built(**changed: Any) -> RasterModel:
                now: dict[str, Any] = {**options, **changed}
                if recurrent:
                    model: RasterModel = PixelRNN(
                        shape, name.partition("-")[0], head=variant, **now
                    )
                else:
                    network = PixelCNN if name == "pixelcnn" else GatedPixelCNN
                    model = network(shape, head=variant, **now)
                stirred(rng, model)
                return model

            model = built()
            top = model.head.values - 1
            x = rng.integers(0, top + 1, (n, *shape)) / top
            classes = options.get("classes", 0)
            labels = rng.integers(0, classes, n) if classes else None
            given = lambda: None if labels is None else mg.tensor(labels)

            by_image = draw(_flag)  # `log_prob`, which is what scores images

            def loss(x: mg.Tensor) -> mg.Tensor:
                return model.log_prob(x, given()) if by_image else model.loss(x, given())

            def oracle(x: mg.Tensor) -> Values:
                nats = head_log_prob(model, host(model(x, given())), host(x))
                return {"loss": nats if by_image else -nats.mean()}

            def sight() -> Sight:
                wide = built(hidden=4 * colors)
                opened(wide)
                return pixels_seen(wide, rng, window=options["first_kernel"] // 2, name=name)

            one = Loss(loss, oracle, (x,), [model])
            about = told(n=n, shape=shape, head=variant, by_image=by_image, **options)
            return ModelCase(about, {variant: one}, sight=sight)

        return cases()

    return of


def opened(model: Any) -> None:
    """No ReLU at the end of the network may close the only way from a pixel to another one."""
    top = (model.blocks if isinstance(model, PixelCNN) else model.layers)[-1]
    for layer in (top.mix if isinstance(model, GatedPixelCNN) else top.widen, model.last):
        layer.bias.data[...] += 20.0


def pixels_seen(model: RasterModel, rng: np.random.Generator, window: int, name: str) -> Sight:
    """What is said of a value in raster order (row) against the image's values (column).

    What must be seen: all of the past for the Diagonal BiLSTM; for the others what the first kernel
    sees of it, so many rows up and columns to either side, and the colours before at the place.
    """
    colors, height, width = model.shape
    top, images = model.head.values - 1, 6
    labels = mg.tensor(rng.integers(0, model.classes, images)) if model.classes else None
    x = mg.tensor(rng.integers(0, top + 1, (images, *model.shape)) / top, requires_grad=True)
    weights = mg.tensor(rng.normal(size=(1, 1, model.head.parameters, 1, 1)))

    def said(x: mg.Tensor) -> mg.Tensor:
        """One number of each image and value: (N, H·W·C)."""
        out = model(x, labels).reshape(images, colors, -1, height, width)
        return (out * weights).sum(dim=2).permute(0, 2, 3, 1).reshape(images, -1)

    before = said(x)
    by_tape = []
    for place in range(before.shape[1]):
        (g,) = mg.grad(before[:, place].sum(), [x], retain_graph=True)
        by_tape.append((g.numpy() != 0).any(axis=0).transpose(1, 2, 0).reshape(-1))
    by_change = []
    with mg.no_grad():
        for i, j, c in np.ndindex(height, width, colors):
            other = x.numpy().copy()
            other[:, c, i, j] = np.where(other[:, c, i, j] > 0.5, 0.0, 1.0)
            by_change.append((host(said(mg.tensor(other))) != host(before)).any(axis=0))
    order = np.arange(height * width * colors)
    allowed = order[None, :] < order[:, None]
    row, column, _ = np.unravel_index(order, (height, width, colors))
    up, aside = row[:, None] - row[None, :], np.abs(column[:, None] - column[None, :])
    needed = allowed & (up <= window) & (aside <= window)
    if name == "diagonal-bilstm":
        needed = allowed
    return Sight(np.array(by_tape), np.stack(by_change, axis=1), allowed, needed)


# ---------------------------------------------------------------- flows


def numeric_log_det(
    function: Callable[[np.ndarray], np.ndarray], x: np.ndarray, room: Any = 1.0
) -> np.ndarray:
    """log |det ∂z/∂x| of each sample by differences, all in one batch: (N, …) → (N,).

    Four points, error O(h⁴), and short steps. ``room``: how far each number is from the nearest
    place where the function bends.
    """
    n, d = len(x), x[0].size
    h = np.broadcast_to(np.minimum(3e-6, 0.03 * room), x.shape)  # (N, …)
    steps = np.eye(d).reshape(d, 1, *x.shape[1:]) * h  # (D, N, …)
    moved = np.stack([x + k * steps for k in (1, -1, 2, -2)])  # (4, D, N, …)
    z = function(moved.reshape(4 * d * n, *x.shape[1:])).reshape(4, d, n, d)
    jacobian = (8 * (z[0] - z[1]) - (z[2] - z[3])) / 12  # times h
    rows = jacobian.transpose(1, 0, 2) / h.reshape(n, d, 1)  # (N, D, D)
    return np.linalg.slogdet(rows)[1]


def realnvp(variant: str) -> st.SearchStrategy[ModelCase]:
    @st.composite
    def cases(draw: Any) -> ModelCase:
        hidden = tuple(draw(st.lists(upto(4), min_size=1, max_size=2)))
        options = {"features": draw(upto(5, 2)), "couplings": draw(upto(4, 2)), "hidden": hidden}
        options |= {"actnorm": draw(_flag), "activation": draw(st.sampled_from(["relu", "tanh"]))}
        n = draw(upto(4, 2))
        rng = dice(draw)
        model = RealNVP(**options, coupling=variant)
        x = rng.normal(size=(n, options["features"]))
        model.double()(mg.tensor(x))  # ActNorm looks at its first batch
        stirred(rng, model)

        def oracle(x: mg.Tensor) -> Values:
            forward = lambda rows: host(model(mg.tensor(rows))[0])
            prior = -normal(forward(host(x))).mean()
            volume = numeric_log_det(forward, host(x)).mean()
            return {"loss": prior - volume, "prior": prior, "log_det": volume}

        one = Loss(model.loss, oracle, (x,), [model])
        return ModelCase(told(n=n, coupling=variant, **options), {variant: one}, flow=(model, x))

    return cases()


def image_flow(name: str) -> Callable[[str], st.SearchStrategy[ModelCase]]:
    """RealNVP for images and Glow; the variant is the map of pixels."""

    def of(variant: str) -> st.SearchStrategy[ModelCase]:
        @st.composite
        def cases(draw: Any) -> ModelCase:
            scales = draw(upto(2))
            side = st.sampled_from([2, 4] if scales == 1 else [4])
            shape = (draw(upto(2)), draw(side), draw(side))
            levels, alpha = draw(st.sampled_from([2, 5, 256])), draw(st.sampled_from([0.05, 0.2]))
            hidden = [draw(upto(3)) for _ in range(scales)]
            limit = draw(st.sampled_from([1.0, 2.0]))
            n, generator = draw(upto(3, 2)), mg.Generator(draw(upto(99)))
            rng = dice(draw)
            model: Any
            if name == "glow":
                steps = tuple(draw(upto(2)) for _ in range(scales))
                model = Glow(shape, levels, steps, tuple(hidden), variant, alpha, limit)
            else:
                hidden.append(draw(upto(3)))
                couplings = draw(upto(3, 2))
                model = ImageRealNVP(shape, levels, tuple(hidden), variant, alpha, limit, couplings)
            model.double()
            if variant == "histogram":
                model.pixels.fit(rng.integers(0, levels, (20, *shape)))
            x = rng.integers(0, levels, (n, *shape)) / (levels - 1)
            model.loss(mg.tensor(x))  # ActNorm looks at its first batch
            stirred(rng, model, by=0.15)

            def oracle() -> Values:
                noise = host(generator.uniform(x.shape, dtype="float64")).clip(2**-16, 1 - 2**-16)
                y = (x * (levels - 1) + noise) / levels
                forward = lambda rows: host(model(mg.tensor(rows))[0])
                unit = math.prod(shape) * math.log(2)
                prior = -normal(forward(y)).mean() / unit
                within = y * levels - np.floor(y * levels)  # a histogram bends between its bins
                room = np.minimum(within, 1 - within) / levels
                volume = numeric_log_det(forward, y, room).mean() / unit
                return {
                    **{"loss": prior - volume + math.log2(levels), "prior": prior},
                    **{"log_det": volume},
                }

            one = Loss(lambda: model.loss(mg.tensor(x), generator), oracle, (), [model])
            one.generator, one.each = generator, len(list(model.parameters())) < 40
            # in the middle of the bins of [0, 1): no difference may cross an edge
            inside = (np.rint(x * (levels - 1)) + rng.uniform(0.2, 0.8, x.shape)) / levels
            about = told(n=n, shape=shape, levels=levels, hidden=hidden, pixels=variant)
            return ModelCase(about, {variant: one}, flow=(model, inside))

        return cases()

    return of


# ---------------------------------------------------------------- adversarial


@contextmanager
def kept_losses() -> Iterator[list[mg.Tensor]]:
    """Inside, a recipe's step goes down nothing: what it would have gone down is in the list."""
    kept: list[mg.Tensor] = []

    def descend(optimizer: Any, loss: mg.Tensor) -> mg.Tensor:
        kept.append(loss)
        return loss.detach()

    with pytest.MonkeyPatch.context() as patch:
        for module in (adversarial_recipe, stylegan_recipe, cyclegan_recipe):
            patch.setattr(module, "descend", descend)
        yield kept


def of_step(step: Callable[[], Any], terms: Sequence[str]) -> Values:
    """What a step of a recipe goes down, and those of its numbers that are parts of it."""
    with kept_losses() as kept:
        numbers = step()
    numbers = numbers[0] if isinstance(numbers, tuple) else numbers
    (loss,) = kept
    return {"loss": loss, **{name: numbers[name] for name in terms}}


def slopes(judge: Callable[[mg.Tensor], mg.Tensor], x: mg.Tensor) -> np.ndarray:
    """∇ₓ of the sum of the verdicts: (N, …) → (N, D).

    By the tape, not by differences: that this gradient is right is checked where x is an input.
    """
    x = x.detach().requires_grad_()
    (found,) = mg.grad(judge(x).sum(), [x])
    return host(found).reshape(len(x), -1)


def settled(network: nn.Module) -> None:
    """Spectral norm's vectors exactly singular: only there its gradient is that of W/σ(W)."""
    for layer in network.modules():
        if hasattr(layer, "weight_u"):
            weight = host(layer.weight_orig)
            left, _, right = np.linalg.svd(weight.reshape(len(weight), -1))
            layer.weight_u.data[...], layer.weight_v.data[...] = left[:, 0], right[0]


def adversarial_losses(recipe: Any, real: np.ndarray, labels: np.ndarray | None) -> dict[str, Loss]:
    """The discriminator's and the generator's loss of a recipe that was just built."""
    config, count, draws = recipe.config, len(real), recipe.random
    for_discriminator, for_generator = GAMES[config.loss]
    gamma = config.r1 * getattr(config, "r1_every", 1)  # a lazy penalty weighs as much more
    given = lambda: None if labels is None else mg.tensor(labels)
    judge = lambda x: recipe.discriminator(x, given())
    is_style = hasattr(recipe, "path_length")  # whose generator draws on its way

    def discriminator(x: mg.Tensor) -> Values:
        fake = recipe.generator(recipe.noise(count), given()).detach()
        d, f = host(recipe.judge(x, given())), host(recipe.judge(fake, given()))
        found: Values = {"discriminator_loss": for_discriminator(d, f)}
        total = found["discriminator_loss"]
        if config.gradient_penalty:
            epsilon = draws.uniform((count, *[1] * (real.ndim - 1)), dtype="float64")
            norms = np.sqrt((slopes(judge, epsilon * x + (1 - epsilon) * fake) ** 2).sum(axis=1))
            total = total + config.gradient_penalty * ((norms - 1) ** 2).mean()
        if gamma:
            found["r1_penalty"] = (slopes(judge, x) ** 2).sum(axis=1).mean()
            total = total + gamma / 2 * found["r1_penalty"]
        return {"loss": total, **found}

    def generator() -> Values:
        fake = recipe.generator(recipe.noise(count), given(), *[draws] * is_style)
        loss = for_generator(host(recipe.judge(fake, given())))
        return {"loss": loss, "generator_loss": loss}

    terms = ["discriminator_loss", *["r1_penalty"] * bool(gamma)]
    d_loss = lambda x: of_step(lambda: recipe.discriminator_step(x, given()), terms)
    g_loss = lambda: of_step(lambda: recipe.generator_step(count, given()), ["generator_loss"])
    g, d = [recipe.generator], [recipe.discriminator]
    found = {
        "discriminator": Loss(d_loss, discriminator, (real,), d, g, draws),
        "generator": Loss(g_loss, generator, (), g, d, draws),
    }
    if config.gradient_penalty or gamma:  # a penalty holds its samples fixed: they are no inputs
        fixed = lambda function: lambda: function(mg.tensor(real))
        found["discriminator"] = Loss(fixed(d_loss), fixed(discriminator), (), d, g, draws)
    return found


def built(
    name: str, options: dict[str, Any], facts: dict[str, Any], rng: np.random.Generator
) -> Any:
    """A recipe with its networks in float64, stirred and settled."""
    kind = find(name)
    about = {"headline": "spread", "mixture": None, "centre": [0.5], "scale": 0.5, "classes": 0}
    recipe: Any = kind(kind.Config(**options), {**about, **facts}, int(rng.integers(1000)))
    stirred(rng, recipe.generator, recipe.discriminator)
    settled(recipe.discriminator)
    return recipe


def gan(variant: str) -> st.SearchStrategy[ModelCase]:
    """The dense pair: the games, and both penalties."""

    @st.composite
    def cases(draw: Any) -> ModelCase:
        is_image = draw(_flag)
        shape = (draw(upto(2)), 4, draw(upto(5, 3))) if is_image else (draw(upto(3, 2)),)
        penalties = {"r1": {"r1": 2.5}, "gradient-penalty": {"gradient_penalty": 3.0}}
        options: dict[str, Any] = {
            **{"latent": draw(upto(3)), "r1": 0.0, "ema": 0.0},
            "hidden": tuple(draw(st.lists(upto(4, 2), min_size=1, max_size=3))),
            "dropout": draw(st.sampled_from([0.0, 0.0, 0.4])),
            "spectral_norm": draw(_flag),
            "loss": variant if variant in GAMES else draw(st.sampled_from(list(GAMES))),
            "instance_noise": draw(st.sampled_from([0.0, 0.3])),
            **penalties.get(variant, {}),
        }
        if is_image:
            words = ["colour", "translation", "cutout"]
            options["augment"] = tuple(draw(st.lists(st.sampled_from(words), max_size=2)))
        classes, n = draw(upto(3, 0)), draw(upto(4))
        if options["dropout"] and variant in penalties:
            options["dropout"] = 0.0  # the slope's own dropout mask is another one
        rng = dice(draw)
        facts = {"kind": "image" if is_image else "rows", "shape": shape, "classes": classes}
        options["conditional"] = bool(classes)
        recipe = built("gan", options, facts, rng)
        labels = rng.integers(0, classes, n) if classes else None
        losses = adversarial_losses(recipe, rng.normal(size=(n, *shape)), labels)
        if variant in penalties:
            del losses["generator"]
        return ModelCase(told(n=n, shape=shape, classes=classes, **options), losses)

    return cases()


def convolutional(name: str) -> Callable[[str], st.SearchStrategy[ModelCase]]:
    """DCGAN, and the critic of WGAN-GP on images."""

    def of(variant: str) -> st.SearchStrategy[ModelCase]:
        @st.composite
        def cases(draw: Any) -> ModelCase:
            side = upto(9, 4)
            shape = (draw(upto(2)), draw(side), draw(side))
            options: dict[str, Any] = {"latent": draw(upto(3)), "width": draw(upto(2)), "ema": 0.0}
            norms = ["layer", "spectral", "none"]
            if variant == "points":
                shape = (draw(upto(3, 2)),)
                options["hidden"] = tuple(draw(st.lists(upto(4, 2), min_size=1, max_size=3)))
            if name == "dcgan":
                options["loss"] = draw(st.sampled_from(list(GAMES)))
                if variant == "r1":
                    options["r1"] = 2.5
                else:
                    norms.append("batch")
            else:
                options["gradient_penalty"] = draw(st.sampled_from([0.2, 10.0]))
            options["norm"] = draw(st.sampled_from(norms))
            n = draw(upto(4, 2))
            rng = dice(draw)
            facts = {"kind": "rows" if variant == "points" else "image", "shape": shape}
            recipe = built(name, options, facts, rng)
            losses = adversarial_losses(recipe, rng.normal(size=(n, *shape)), None)
            if variant == "r1":
                del losses["generator"]
            return ModelCase(told(n=n, shape=shape, **options), losses)

        return cases()

    return of


def stylegan(variant: str) -> st.SearchStrategy[ModelCase]:
    """Discriminator with and without R1, generator with and without path length."""

    @st.composite
    def cases(draw: Any) -> ModelCase:
        shape = (draw(st.sampled_from([1, 3])), 16, 16)
        options: dict[str, Any] = {
            **{"latent": draw(upto(3, 2)), "style": draw(upto(3, 2)), "ema": 0.0},
            **{"width": 1, "most": draw(upto(2)), "mapping_layers": draw(upto(2))},
            **{"mixing": draw(st.sampled_from([0.0, 0.9])), "bounded": draw(_flag)},
            **{"group": draw(upto(3)), "mapping_rate": draw(st.sampled_from([0.01, 1.0]))},
            **{"loss": draw(st.sampled_from(list(GAMES))), "r1": 0.0, "path": 0.0},
        }
        if variant == "r1":
            options |= {"r1": 0.3, "r1_every": draw(upto(3))}
        if variant == "path-length":
            options |= {"path": 1.5, "path_every": draw(upto(3))}
        n, each = draw(upto(4, 2)), draw(st.sampled_from([False, False, True]))
        rng = dice(draw)
        recipe = built("stylegan", options, {"kind": "image", "shape": shape}, rng)
        losses = adversarial_losses(recipe, rng.normal(size=(n, *shape)), None)
        losses = {
            name: one
            for name, one in losses.items()
            if name == ("discriminator" if variant in ("discriminator", "r1") else "generator")
        }
        if variant == "path-length":
            losses["generator"] = _with_path_length(recipe, losses["generator"], n)
        for one in losses.values():
            one.each = each
        return ModelCase(told(n=n, shape=shape, **options), losses)

    return cases()


def _with_path_length(recipe: Any, plain: Loss, count: int) -> Loss:
    """The generator's loss with the penalty. Its goal, a constant in the gradient, hardly moves."""
    goal, penalty = 0.4, recipe.path_length.double()
    penalty.decay = 1e-12
    penalty.mean.data[...], penalty.count.data[...] = goal, 1e12

    def oracle() -> Values:
        found = plain.oracle()
        network, half = recipe.generator, max(1, count // 2)
        styles = network.spread(network.mapping(recipe.noise(half)))
        styles = styles.detach().requires_grad_()  # (N, L, W)
        images = network.synthesis(styles, recipe.random)
        y = host(recipe.random.normal(images.shape)) / math.sqrt(math.prod(images.shape[2:]))
        (slope,) = mg.grad((images * mg.tensor(y)).sum(), [styles])
        lengths = np.sqrt((host(slope) ** 2).sum(axis=2).mean(axis=1))
        found["path_penalty"] = ((lengths - goal) ** 2).mean()
        weight = recipe.config.path * recipe.config.path_every  # lazy: at so many times its weight
        found["loss"] = found["generator_loss"] + weight * found["path_penalty"]
        return found

    terms = ["generator_loss", "path_penalty"]
    loss = lambda: of_step(lambda: recipe.generator_step(count, None), terms)
    return dataclasses.replace(
        plain, loss=loss, oracle=oracle, fixed=[recipe.discriminator, penalty]
    )


def cyclegan(variant: str) -> st.SearchStrategy[ModelCase]:
    @st.composite
    def cases(draw: Any) -> ModelCase:
        size = [draw(upto(10, 8)), draw(upto(10, 8))]
        channels = draw(st.sampled_from([[1, 1], [1, 3], [3, 3]]))
        options: dict[str, Any] = {
            **{"width": 1, "blocks": draw(upto(1, 0)), "patch_width": draw(upto(2))},
            **{"patch_depth": 1, "pool": draw(st.sampled_from([0, 0, 3]))},
            **{"cycle": draw(st.sampled_from([0.0, 10.0])), "identity": draw(_flag) * 0.5},
        }
        count, each = {"a": draw(upto(2)), "b": draw(upto(2))}, draw(_flag)
        rng = dice(draw)
        kind: Any = find("cyclegan")
        facts = {"names": ["left", "right"], "channels": channels, "size": size}
        recipe = kind(kind.Config(**options), facts, int(rng.integers(1000)))
        generators = [recipe.a_to_b, recipe.b_to_a]
        judges = [recipe.discriminator_a, recipe.discriminator_b]
        stirred(rng, *generators, *judges)
        a, b = (rng.uniform(-1, 1, (count[which], c, *size)) for which, c in zip("ab", channels))
        fakes = [rng.uniform(-1, 1, x.shape) for x in (a, b)]
        pool = cyclegan_recipe.ImagePool

        def of_generators(a: mg.Tensor, b: mg.Tensor) -> Values:
            there, back = recipe.a_to_b(a), recipe.b_to_a(b)
            fooled = ((host(judges[1](there)) - 1) ** 2).mean()
            fooled += ((host(judges[0](back)) - 1) ** 2).mean()
            distance = lambda x, y: np.abs(host(x) - host(y)).mean()
            cycle = distance(recipe.b_to_a(there), a) + distance(recipe.a_to_b(back), b)
            found = {"generator_loss": fooled, "cycle_loss": cycle}
            total = fooled + options["cycle"] * cycle
            if options["identity"] and channels[0] == channels[1]:
                same = distance(recipe.b_to_a(a), a) + distance(recipe.a_to_b(b), b)
                found["identity_loss"] = same
                total += options["cycle"] * options["identity"] * same
            return {"loss": total, **found}

        def of_judges(a: mg.Tensor, b: mg.Tensor) -> Values:
            total = 0.0
            for judge, real, fake in zip(judges, (a, b), fakes):
                d, f = host(judge(real)), host(judge(mg.tensor(fake)))
                total += ((d - 1) ** 2).mean() / 2 + (f**2).mean() / 2
            return {"loss": total, "discriminator_loss": total}

        def step(a: mg.Tensor, b: mg.Tensor) -> Any:
            recipe.pool_a, recipe.pool_b = pool(options["pool"]), pool(options["pool"])  # empty
            return recipe.discriminator_step(a, b, *(mg.tensor(x) for x in fakes))

        terms = ["generator_loss", "cycle_loss", *["identity_loss"] * recipe.with_identity]
        if variant == "generators":
            loss = lambda a, b: of_step(lambda: recipe.generator_step(a, b), terms)
            one = Loss(loss, of_generators, (a, b), generators, judges)
        else:
            loss = lambda a, b: of_step(lambda: step(a, b), ["discriminator_loss"])
            one = Loss(loss, of_judges, (a, b), judges, captured=not options["pool"])
        one.generator, one.each = recipe.random, each
        return ModelCase(told(size=size, channels=channels, n=count, **options), {variant: one})

    return cases()


# ---------------------------------------------------------------- the table

HEADS = ("bernoulli", "categorical", "logistic-mixture")
PIXELS = ("histogram", "logit", "none")

SPECS = [
    ModelSpec("vae", ("closed", "sampled", "weighted", "importance-weighted"), vae),
    ModelSpec("lenet", ("cross-entropy",), lenet, 12),
    ModelSpec("gpt", ("mean", "none"), gpt, 10),
    ModelSpec("wavenet", ("mean", "none"), wavenet, 10),
    ModelSpec("pixelcnn", HEADS, raster("pixelcnn")),
    ModelSpec("gated-pixelcnn", HEADS, raster("gated-pixelcnn")),
    ModelSpec("row-lstm", HEADS, raster("row-lstm")),
    ModelSpec("diagonal-bilstm", HEADS, raster("diagonal-bilstm")),
    ModelSpec("realnvp", ("affine", "additive"), realnvp, 10),
    ModelSpec("realnvp-images", PIXELS, image_flow("realnvp-images")),
    ModelSpec("glow", PIXELS, image_flow("glow")),
    ModelSpec("gan", (*GAMES, "r1", "gradient-penalty"), gan),
    ModelSpec("dcgan", ("game", "r1"), convolutional("dcgan"), 9),
    ModelSpec("wgan-gp", ("points", "images"), convolutional("wgan-gp"), 9),
    ModelSpec("stylegan", ("discriminator", "r1", "generator", "path-length"), stylegan, 4),
    ModelSpec("cyclegan", ("generators", "discriminators"), cyclegan, 5),
]
