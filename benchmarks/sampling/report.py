"""The table of one subject: the headline, and what both ways cost at each length."""

from __future__ import annotations

from typing import Any

from benchmarks.report import columns, number
from benchmarks.sampling.measure import share


def lines(measured: dict[str, Any]) -> list[str]:
    """As text."""
    element, headline = measured["element"], measured["headline"]
    plural = f"{element}s"
    ratio = headline["times_as_fast"]
    rows = [["", "cached s", "naive s", "times as fast", "naive steps measured"]]
    for one in measured["growth"]:
        rows.append(
            [
                f"  {one['length']} {plural}",
                number(one["cached_seconds"]["median"]),
                number(one["naive_seconds"]["median"]),
                number(one["times_as_fast"]["median"]),
                share(one),
            ]
        )
    exponents = measured["exponents"]
    return [
        f"{measured['specification']}: {measured['title']}",
        f"  {headline['length']} {plural}: {number(headline['cached_per_second'])} {plural}/s "
        f"cached, {number(headline['naive_per_second'])} naive, {number(ratio['median'])} times as "
        f"fast ({number(ratio['lower_quartile'])}..{number(ratio['upper_quartile'])})",
        *columns(rows),
        f"  cost grows as length^{exponents['cached']:.2f} cached, "
        f"length^{exponents['naive']:.2f} naive",
    ]
