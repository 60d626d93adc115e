"""The judge runs only when asked (``-m torch``), and ends in a table."""

from __future__ import annotations

import collections
import importlib.util
import pathlib
from typing import Any

import pytest

INSTALLED = all(importlib.util.find_spec(name) for name in ("torch", "expecttest"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--judge-report", metavar="FILE", help="write every open verdict to FILE")


def pytest_ignore_collect(collection_path: pathlib.Path, config: pytest.Config) -> bool | None:
    """PyTorch's tables take seconds to load: not read where they are not asked for."""
    asked = "torch" in (config.getoption("markexpr") or "").replace("not torch", "")
    if asked and not INSTALLED:
        raise pytest.UsageError(
            'the judge needs PyTorch and expecttest: pip install ".[test,peers]"'
        )
    return True if collection_path.name.startswith("test_") and not asked else None


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """``-m torch`` alone leaves out what is slow."""
    if "slow" not in (config.getoption("markexpr") or ""):
        slow = [i for i in items if "judge" in i.path.parts and i.get_closest_marker("slow")]
        items[:] = [i for i in items if i not in slow]
        config.hook.pytest_deselected(items=slow)


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """The table: for each name, how its samples ended."""
    rows: dict[str, dict[str, Any]] = {}
    for reports in terminalreporter.stats.values():
        for report in reports:
            for key, row in getattr(report, "user_properties", ()):
                if key == "judge":
                    rows[row["name"]] = row
    if not rows:
        return
    columns = ("equal", "refused", "wrong", "crash", "on purpose", "left out")
    write = terminalreporter.write_line
    write("")
    write(f"{'':42}" + "".join(f"{c:>11}" for c in columns))
    total: collections.Counter[str] = collections.Counter()
    for name in sorted(rows):
        counts = rows[name]["counts"]
        total.update(counts)
        write(f"{name:42}" + "".join(f"{counts.get(c, 0) or '·':>11}" for c in columns))
    write(f"{f'{len(rows)} names':42}" + "".join(f"{total[c]:>11}" for c in columns))
    path = config.getoption("--judge-report")
    if path:
        lines = [
            f"{n}\n" + "".join(f"    {f}\n" for f in rows[n]["failures"]) for n in sorted(rows)
        ]
        pathlib.Path(path).write_text(
            "\n".join(line for line, n in zip(lines, sorted(rows)) if rows[n]["failures"])
        )
