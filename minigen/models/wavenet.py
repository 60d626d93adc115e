"""WaveNet: sound, one sample after the other (van den Oord et al. 2016).

**The model.** The probability of a sound is a product, one factor for each sample:

    p(x_1 … x_T | h) = ∏_t p(x_t | x_1 … x_{t−1}, h)                               (equation 1)

A sample is one of 256 levels (µ-law, `minigen/data/mulaw.py`), so each factor is a softmax over 256
classes: no shape is assumed, it may have two peaks or a long tail. h is a label, such as the digit
that is spoken.

**The network.** Speech has a structure of milliseconds (pitch) and of tenths of a second (vowels):
at 8,000 samples a second, far more inputs than a plain convolution could span. A *dilated* one
looks at two samples that are d apart, and with d = 1, 2, 4, … 512 the field doubles with each
layer: ten layers see R = 1025 samples. Each layer is a gated unit between two adders:

    z = tanh(W_f ∗ x + V_f h) · sigmoid(W_g ∗ x + V_g h)                            (equation 3)
    x ← x + A z                 the residual path, to the next layer
    s ← s + B z                 the skip path, straight to the output
    logits = D relu(C relu(s))

∗ is the dilated convolution with two taps, V h adds a number to each gate, A to D are 1×1
convolutions, that is, matrices applied to every sample alone. The last layer has no next layer and
so no A. All B z of all layers together are one product with the z side by side.

**No padding.** The convolutions are valid ones: from T levels come T − R + 1 predictions, each made
from exactly R samples. Before a sound there is silence, which the caller puts there (`precede`).
So a cut from the middle of a sound, given with the R samples before it, is computed exactly as in
the whole sound.

**Speaking, without doing everything again** (Le Paine et al. 2016, "Fast WaveNet generation
algorithm"). Predicting one sample anew takes about R·layers/2 convolution steps; yet all but one
per layer were done for the samples before. What layer l computed d samples ago is all that its
convolution needs from the past, so it waits in a queue of length d: `Queues`. A sample then costs
two small matrix products for each layer, whatever R is. `next_logits` is the definition that the
queues must equal to rounding.

The recipe that trains it, with the numbers reached, is `minigen/recipes/wavenet.py`.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

import minigen as mg
from minigen import nn
from minigen.autograd.tensor import Tensor
from minigen.backends import active
from minigen.nn import init

__all__ = ["Queues", "WaveNet"]

WAVES = 16  # how many cosines a row of the first table begins with


class Layer(nn.Module):
    """A dilated gated convolution and the way back to C channels."""

    def __init__(self, channels: int, dilation: int, last: bool) -> None:
        super().__init__()
        self.dilation = dilation
        self.dilated = nn.Conv1d(channels, 2 * channels, 2, dilation=dilation)  # W_f and W_g
        self.residual = None if last else nn.Linear(channels, channels)  # A

    def bias(self, condition: Tensor | None) -> Tensor:
        """What is added to the gates: (N, 2C), or (2C,) without a condition."""
        bias = self.dilated.bias
        assert bias is not None
        return bias if condition is None else bias + condition

    def forward(self, x: Tensor, condition: Tensor | None) -> tuple[Tensor | None, Tensor]:
        """(T, N, C), (N, 2C) → next x and z, both (T − d, N, C)."""
        gates = mg.conv_time_first(x, self.dilated.weight, self.bias(condition), self.dilation)
        z = mg.gated_tanh(gates)  # (T − d, N, 2C) -> (T − d, N, C)
        if self.residual is None:
            return None, z
        return x[self.dilation :] + self.residual(z), z


class WaveNet(nn.Module):
    """The network; see the top of this file.

    Args:
        levels: V, how many values a sample can take.
        labels: how many different labels there are to be told; 0 for a model without.
        channels: C, width of the residual path and of each gate.
        skip: width of the skip path.
        dilations: d of each layer, from the input on.

    Attributes:
        receptive_field: R, how many samples a prediction is made from.
    """

    def __init__(
        self,
        levels: int = 256,
        labels: int = 0,
        channels: int = 32,
        skip: int = 64,
        dilations: Sequence[int] = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512),
    ) -> None:
        super().__init__()
        sizes = {"levels": (levels, 2), "labels": (labels, 0), "channels": (channels, 1)}
        for name, (value, least) in {**sizes, "skip": (skip, 1)}.items():
            if type(value) is not int or value < least:
                raise ValueError(f"{name} must be a whole number >= {least}, got {value!r}")
        if not dilations or any(type(d) is not int or d < 1 for d in dilations):
            raise ValueError(f"dilations must be whole numbers >= 1, got {tuple(dilations)}")
        self.levels, self.labels, self.channels = levels, labels, channels
        self.dilations = tuple(dilations)
        self.receptive_field = 2 + sum(self.dilations)  # the first convolution has two taps too
        self.front = nn.Embedding(levels, 2 * channels)  # W ∗ one-hot(x): a row for each tap
        last = len(self.dilations) - 1
        self.layers = nn.ModuleList(
            [Layer(channels, d, i == last) for i, d in enumerate(self.dilations)]
        )
        self.skip = nn.Linear(channels * len(self.dilations), skip)  # every B
        self.hidden = nn.Linear(skip, skip)  # C
        self.out = nn.Linear(skip, levels)  # D
        self.label = nn.Embedding(labels, 2 * channels * len(self.dilations)) if labels else None
        if self.label is not None:
            init.normal_(self.label.weight, std=0.1)
        self._smooth_front()

    def _smooth_front(self) -> None:
        """Begin with rows that are alike for neighbouring levels: random sums of slow cosines.

        Levels are amplitudes in order, and a table of independent rows would first have to learn
        that, level by level: after 25 s of computing on spoken digits (210 and 270 steps) it stands
        at 4.27 nats per sample, this one at 3.83.
        """
        waves = np.cos(
            np.pi * np.outer(np.arange(self.levels) + 0.5, np.arange(WAVES)) / self.levels
        )
        mixing = mg.randn(WAVES, 2 * self.channels) * math.sqrt(2 / WAVES)
        with mg.no_grad():
            start = mg.matmul(mg.tensor(waves.astype(np.float32)), mixing)  # (V, 2C)
            self.front.weight.copy_(start)

    # From levels to logits, in four parts --------------------------------------------------------

    def embed(self, levels: Tensor) -> Tensor:
        """What each sample gives to the two taps of the first convolution: (N, T) → (T, N, 2C)."""
        if levels.ndim != 2 or levels.dtype.kind not in "iu":
            raise TypeError(f"levels must be integers (N, T), got {levels.dtype} {levels.shape}")
        if levels.shape[1] < self.receptive_field:
            raise ValueError(
                f"levels must have at least {self.receptive_field} samples, the receptive field, "
                f"got {levels.shape[1]}"
            )
        return self.front(levels.transpose(0, 1))

    def conditions(self, labels: Tensor | None, batch: int) -> list[Tensor | None]:
        """What each layer adds to its gates: (N,) → for each layer (N, 2C)."""
        if self.label is None:
            if labels is not None:
                raise ValueError("labels must be None: the model was built without")
            return [None] * len(self.dilations)
        if labels is None or labels.shape != (batch,) or labels.dtype.kind not in "iu":
            given = "None" if labels is None else f"{labels.dtype} {labels.shape}"
            raise ValueError(f"labels must be integers ({batch},), one for each sound, got {given}")
        return list(self.label(labels).chunk(len(self.dilations), 1))  # (N, 2CL) -> (N, 2C) L times

    def transform(self, rows: Tensor, conditions: Sequence[Tensor | None]) -> Tensor:
        """The layers, and the z of all of them side by side: (T, N, 2C) → (T − R + 1, N, C·L)."""
        c = self.channels
        x: Tensor | None = rows[:-1, :, :c] + rows[1:, :, c:]  # (T, N, 2C) -> (T − 1, N, C)
        predictions = rows.shape[0] - self.receptive_field + 1
        found = []
        for layer, condition in zip(self.layers, conditions):
            x, z = layer(x, condition)
            found.append(z[z.shape[0] - predictions :])  # earlier ones are not asked for
        return mg.concatenate(found, dim=2)

    def logits(self, z: Tensor) -> Tensor:
        """The skip path and the output: (…, C·L) → (…, V)."""
        return self.out(mg.relu(self.hidden(mg.relu(self.skip(z)))))

    def forward(self, levels: Tensor, labels: Tensor | None = None) -> Tensor:
        """(N, T) int, (N,) int → (N, T − R + 1, V).

        Entry j predicts the sample after `levels[:, j + R − 1]` from the R samples up to that one.
        """
        conditions = self.conditions(labels, levels.shape[0])
        z = self.transform(self.embed(levels), conditions)
        return self.logits(z).transpose(0, 1)  # (T', N, V) -> (N, T', V)

    def loss(
        self,
        levels: Tensor,
        targets: Tensor,
        labels: Tensor | None = None,
        reduction: str = "mean",
    ) -> Tensor:
        """Cross-entropy in nats per sample: (N, T), (N, T − R + 1) → (); `"none"`: of that shape.

        A target of −100 counts nothing.
        """
        conditions = self.conditions(labels, levels.shape[0])
        logits = self.logits(self.transform(self.embed(levels), conditions))  # (T', N, V)
        length, n, v = logits.shape
        flat = targets.transpose(0, 1).reshape(length * n)  # (N, T') -> (T'·N,)
        loss = mg.cross_entropy(logits.reshape(length * n, v), flat, reduction=reduction)
        return loss.reshape(length, n).transpose(0, 1) if reduction == "none" else loss

    # Speaking ------------------------------------------------------------------------------------

    def next_logits(self, levels: Tensor, labels: Tensor | None = None) -> Tensor:
        """What follows: (N, T) int, T ≥ R → (N, V). The definition, from R samples anew."""
        return self(levels[:, levels.shape[1] - self.receptive_field :], labels)[:, -1]

    def sample(
        self,
        past: Tensor,
        length: int,
        labels: Tensor | None = None,
        temperature: float = 1.0,
        generator: mg.Generator | None = None,
    ) -> Tensor:
        """`length` new samples after `past`: (N, T) int, T ≥ R → (N, length) int64.

        temperature: divides the logits, so that under 1 the likely becomes likelier; 0 is argmax.
        """
        xp = active.backend.xp
        queues, n = Queues(self, past, labels), past.shape[0]
        drawn = xp.empty((n, length), dtype=np.int64)
        generator = generator or mg.default_generator()
        u = generator.uniform((length, n, 1), dtype="float64").data
        for t in range(length):
            logits = queues.logits
            if temperature == 0:
                drawn[:, t] = logits.argmax(axis=1)
            else:
                p = xp.exp((logits - logits.max(axis=1, keepdims=True)) / temperature)
                edges = xp.cumsum(p, axis=1)  # (N, V)
                # the first edge above u; an edge of probability 0 is never the first
                drawn[:, t] = (edges <= u[t] * edges[:, -1:]).sum(axis=1)
            if t < length - 1:
                queues.push(drawn[:, t])
        return Tensor(drawn)


class Queues:
    """The state of N sounds that grow in step: what every layer still needs of the past.

    The convolution of layer l adds W_past x[t − d] and W_now x[t]. The first term is computed when
    x[t] is there, for d samples later, and waits in a ring of d places: one product with both
    matrices side by side, (C, 4C). The condition and the bias wait with it. The sigmoid's ½ and the
    gate's ½ are in the matrices: tanh(a)·sigmoid(b) = ½ tanh(a) (1 + tanh(b/2)).

    Works on raw arrays, with the weights that the model has now.

    Attributes:
        logits: (N, V), what follows the samples so far; a raw array.
    """

    def __init__(self, model: WaveNet, past: Tensor, labels: Tensor | None = None) -> None:
        xp, c = active.backend.xp, model.channels
        self.channels, self.turn = c, 0
        self.before, self.now = model.front.weight.data[:, :c], model.front.weight.data[:, c:]
        self.newest = past.data[:, -1]
        with mg.no_grad():
            rows = model.embed(past[:, past.shape[1] - model.receptive_field :])  # (R, N, 2C)
            x: Any = rows[:-1, :, :c] + rows[1:, :, c:]  # (R − 1, N, C)
            scale = xp.ones(2 * c, dtype=rows.dtype)
            scale[c:] = 0.5  # of the sigmoid
            self.products, self.biases, self.residuals, self.rings = [], [], [], []
            found = []
            for layer, condition in zip(model.layers, model.conditions(labels, past.shape[0])):
                assert isinstance(layer, Layer)
                weight = layer.dilated.weight.data  # (2C, C, 2)
                taps = [weight[:, :, k].T * scale for k in (0, 1)]  # (C, 2C): past and now
                self.products.append(xp.concatenate(taps, axis=1))  # (C, 4C)
                self.biases.append(layer.bias(condition).data * scale)
                waiting = x.data[x.shape[0] - layer.dilation :]  # (d, N, C), the oldest first
                self.rings.append(xp.matmul(waiting, taps[0]) + self.biases[-1])  # (d, N, 2C)
                if layer.residual is not None:
                    self.residuals.append(_columns(layer.residual, 0.5))
                x, z = layer(x, condition)
                found.append(z.data[-1] * 2)
        self.z = xp.concatenate(found, axis=1)  # (N, C·L), without the gate's ½
        self.head = [_columns(model.skip, 0.5), _columns(model.hidden), _columns(model.out)]
        self._predict()

    def push(self, levels: Any) -> None:
        """Append one sample to each sound, a raw (N,) int array; `logits` then say what follows."""
        xp, c = active.backend.xp, self.channels
        x = self.before[self.newest] + self.now[levels]  # (N, C)
        self.newest = levels
        for i, ring in enumerate(self.rings):
            both = xp.matmul(x, self.products[i])  # (N, C) -> (N, 4C)
            place = self.turn % len(ring)
            gates = ring[place] + both[:, 2 * c :]  # (N, 2C)
            xp.add(both[:, : 2 * c], self.biases[i], out=ring[place])  # for d samples later
            xp.tanh(gates, out=gates)
            z = self.z[:, i * c : (i + 1) * c]
            xp.add(gates[:, c:], 1, out=z)
            z *= gates[:, :c]
            if i < len(self.residuals):
                weight, bias = self.residuals[i]
                x = x + xp.matmul(z, weight)
                x += bias
        self.turn += 1
        self._predict()

    def _predict(self) -> None:
        xp, y = active.backend.xp, self.z
        for weight, bias in self.head[:-1]:
            y = xp.matmul(y, weight)
            y += bias
            xp.maximum(y, 0, out=y)
        weight, bias = self.head[-1]
        self.logits = xp.matmul(y, weight) + bias


def _columns(layer: nn.Linear, factor: float = 1.0) -> tuple[Any, Any]:
    """A linear layer as it is multiplied from the right: factor · Wᵀ, contiguous, and b."""
    assert layer.bias is not None
    weight = active.backend.xp.ascontiguousarray(layer.weight.data.T)
    return weight * factor, layer.bias.data + 0  # a copy, as all that a queue holds
