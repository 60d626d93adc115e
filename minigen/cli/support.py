"""What several commands say or do alike."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any

__all__ = ["choose_backend", "describe_metrics", "describe_options", "warn_if_suspicious"]


def choose_backend(name: str | None) -> None:
    """Switch the process to a backend; None leaves it. One line when it is not available."""
    if name is None:
        return
    from minigen.backends import use

    use(name)


def describe_metrics(summary: Mapping[str, Any]) -> str:
    """`vae on digits (val), step 3000, 21.3 s: nelbo_nats 21.40, …`, the headline first."""
    headline = summary["headline"]
    names = [headline, *(name for name in summary["metrics"] if name != headline)]
    numbers = ", ".join(f"{name} {summary['metrics'][name]:.4g}" for name in names)
    return (
        f"{summary['model']} on {summary['data']} ({summary['split']}), "
        f"step {summary['steps']}, {summary['seconds']:g} s: {numbers}"
    )


def describe_options(recipe: Any) -> str:
    """A recipe's hyper-parameters as a table, and what its budgets stand for."""
    from minigen.recipes.config import as_text

    def assignments(options: Mapping[str, Any]) -> str:
        return " ".join(f"{name}={as_text(value)}" for name, value in options.items()) or "defaults"

    rows = [("option", "type", "default", "meaning"), *recipe.Config.describe()]
    widths = [max(len(row[column]) for row in rows) for column in range(3)]
    lines = ["  ".join([*(f"{row[i]:{widths[i]}}" for i in range(3)), row[3]]) for row in rows]
    lines.append("")
    for budget, options in recipe.budgets.items():
        lines.append(f"--budget {budget}: {assignments(options)}")
        for data, per_budget in recipe.budgets_for_data.items():
            if budget in per_budget:
                lines.append(f"    on {data}: {assignments(per_budget[budget])}")
    return "\n".join(lines)


def warn_if_suspicious(result: Mapping[str, Any]) -> None:
    """Say on stderr what is too good to be true, and what went wrong in training."""
    for sentence in result.get("suspicious", ()):
        print(f"minigen: SUSPICIOUS: {sentence}", file=sys.stderr)
    for sentence in result.get("verdict", ()):
        print(f"minigen: VERDICT: {sentence}", file=sys.stderr)
