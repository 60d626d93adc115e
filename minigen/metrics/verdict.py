"""Is the game going well? Signs of collapse and divergence, read off the log of a training.

A likelihood that falls says that a model learns. The two losses of an adversarial pair say nothing:
they may sit still while the pictures become perfect, and also while they become one single picture.
What can be watched instead is symptoms. `verdict` looks at the lines of `metrics.jsonl`, at no
network, and returns what it sees: the sign, the numbers that show it, and what usually helps.

    collapse      the samples hardly differ from one another any more
    lost modes    samples reach fewer modes, or classes, than they once did
    few modes     they never reached half of them (said from the second half of a run on)
    unbeaten      the discriminator has told real from fake without fail for long
    no signal     the generator's gradient has all but vanished
    explosion     a loss or a gradient is a hundred times what it was
    slope         the critic's gradient norm, which a penalty should hold at 1, is elsewhere

Names of numbers that it knows (all may be missing): `discriminator_loss`, `generator_loss`,
`real_accuracy`, `fake_accuracy`, `discriminator_grad_norm`, `generator_grad_norm`, `slope_norm` on
train lines; `spread` (deviation of the samples over that of the data), `modes` and `modes_total` on
val lines. The lines drawn here are rules of thumb, wide enough that a healthy run passes them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

__all__ = ["verdict"]

Records = Sequence[Mapping[str, Any]]

LEAST_SPREAD = 0.2  # of the data's deviation
KEPT = 0.75  # of the most modes that there were
PERFECT = 0.995  # accuracy on both halves …
PATIENCE = 10  # … on so many train lines in a row
EXPLOSION = 100.0  # times the median of the run so far
VANISHED = 1e-3  # of the median of the run so far
SLOPES = (0.5, 2.0)


def verdict(records: Records, steps: int) -> dict[str, str]:
    """What is wrong with a training, as sign → one sentence with numbers and advice; {} if nothing.

    Args:
        records: lines of a log in their order, with `step`, `split` and numbers; see above.
        steps: at which step the training will end.
    """
    train = [record for record in records if record["split"] == "train"]
    val = [record for record in records if record["split"] == "val"]
    found = {
        "collapse": _collapse(val, steps),
        "lost modes": _lost_modes(val),
        "few modes": _few_modes(val, steps),
        "unbeaten": _unbeaten(train),
        "no signal": _no_signal(train),
        "explosion": _explosion(train),
        "slope": _slope(train),
    }
    return {sign: sentence for sign, sentence in found.items() if sentence}


def _collapse(val: Records, steps: int) -> str | None:
    measured = _series(val, "spread")
    if not measured or measured[-1][1] >= LEAST_SPREAD:
        return None
    step, spread = measured[-1]
    # A new generator's samples are one heap; that is a collapse only if it does not end.
    if step * 4 < steps and max(value for _, value in measured) < 2 * LEAST_SPREAD:
        return None
    return (
        f"collapse at step {step}: the samples' deviation is {spread:.3g} of the data's; try a "
        "gradient penalty (r1) or spectral norm, a lower learning rate of the generator, or "
        "another seed"
    )


def _lost_modes(val: Records) -> str | None:
    modes = _series(val, "modes")
    if len(modes) < 2:
        return None
    best_step, best = max(modes, key=lambda pair: (pair[1], pair[0]))
    step, now = modes[-1]
    if best < 2 or now > KEPT * best:
        return None
    return (
        f"lost modes at step {step}: {now:g} of {best:g} that were there at step {best_step}; try "
        "a gradient penalty (r1), a larger batch, or lower learning rates"
    )


def _few_modes(val: Records, steps: int) -> str | None:
    modes, total = _series(val, "modes"), _series(val, "modes_total")
    if not modes or not total or modes[-1][0] * 2 < steps:
        return None
    if max(value for _, value in modes) * 2 >= total[-1][1]:
        return None
    step, now = modes[-1]
    return (
        f"few modes at step {step}: {now:g} of {total[-1][1]:g}, and never more than half; try "
        "wider networks, a gradient penalty (r1), or more steps"
    )


def _unbeaten(train: Records) -> str | None:
    real, fake = _series(train, "real_accuracy"), _series(train, "fake_accuracy")
    perfect = [min(r, f) >= PERFECT for (_, r), (_, f) in zip(real, fake)]
    length = 0
    while length < len(perfect) and perfect[-1 - length]:
        length += 1
    if length < PATIENCE:
        return None
    return (
        f"unbeaten at step {real[-1][0]}: the discriminator has been right on "
        f"{100 * real[-1][1]:.1f} % of real and {100 * fake[-1][1]:.1f} % of fake samples since "
        f"step {real[-length][0]}; try a lower learning rate for it, a gradient penalty (r1), "
        "spectral norm or, with little data, augment"
    )


def _no_signal(train: Records) -> str | None:
    norms = _series(train, "generator_grad_norm")
    if len(norms) <= PATIENCE:
        return None
    usual = median(value for _, value in norms[:-1])
    step, now = norms[-1]
    if now >= VANISHED * usual:
        return None
    return (
        f"no signal at step {step}: the generator's gradient has norm {now:.2g}, and {usual:.2g} "
        "was usual; try loss=non-saturating, or a weaker discriminator"
    )


def _explosion(train: Records) -> str | None:
    for name in (
        "discriminator_loss", "generator_loss", "discriminator_grad_norm", "generator_grad_norm"
    ):  # fmt: skip
        values = [(step, abs(value)) for step, value in _series(train, name)]
        if len(values) <= PATIENCE:
            continue
        usual = median(value for _, value in values[:-1])
        step, now = values[-1]
        # A loss near 0 is a hundred times another one near 0 without meaning anything.
        if now > EXPLOSION * max(usual, 0.1):
            return (
                f"explosion at step {step}: {name} is {now:.3g}, and {usual:.2g} was usual; try "
                "lower learning rates, a gradient penalty (r1), or beta1=0"
            )
    return None


def _slope(train: Records) -> str | None:
    norms = _series(train, "slope_norm")
    if len(norms) <= PATIENCE or SLOPES[0] <= norms[-1][1] <= SLOPES[1]:
        return None
    step, now = norms[-1]
    advice = (
        "a larger gradient_penalty or a lower learning rate" if now > 1 else "more critic_steps"
    )
    return (
        f"slope at step {step}: the critic's gradient has norm {now:.3g} where the penalty wants "
        f"1; try {advice}"
    )


def _series(records: Records, name: str) -> list[tuple[int, float]]:
    """(step, value) of every line that has this number."""
    return [(int(record["step"]), float(record[name])) for record in records if name in record]
