"""``python -m benchmarks``: measure, print the table, write the JSON and the chart."""

from __future__ import annotations

import argparse
import dataclasses
import json
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from benchmarks import chart, markdown, report, targets
from benchmarks.contenders import CONTENDERS
from benchmarks.harness import QUICK, Effort, measure
from benchmarks.machine import describe, limit_threads
from benchmarks.probes import PROBES
from benchmarks.process import WorkerError
from benchmarks.sampling import chart as sampling_chart
from benchmarks.workloads import BY_DEFAULT, WORKLOADS, workload_from


def parser() -> argparse.ArgumentParser:
    """The command line."""
    arguments = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description="Speed of minigen, PyTorch and bare NumPy products.",
    )
    arguments.add_argument(
        "--workloads",
        nargs="+",
        metavar="NAME[:SIZE=N,…]",
        default=[*BY_DEFAULT, *PROBES],
        help=f"among {', '.join([*WORKLOADS, *PROBES])}; sizes as in vae:batch=256 (default: all)",
    )
    arguments.add_argument(
        "--contenders",
        nargs="+",
        choices=list(CONTENDERS),
        metavar="NAME",
        default=[name for name, contender in CONTENDERS.items() if contender.by_default],
        help=f"among {', '.join(CONTENDERS)} (default: %(default)s)",
    )
    arguments.add_argument("--rounds", type=int, help="rounds of turns (default: 7; quick: 3)")
    arguments.add_argument(
        "--threads", type=int, help="threads that every contender may use (default: all cores)"
    )
    arguments.add_argument(
        "--quick", action="store_true", help="seconds instead of minutes; says little"
    )
    arguments.add_argument(
        "--out",
        type=Path,
        default=Path("benchmarks/results"),
        help="folder for benchmark.json and the charts (default: %(default)s)",
    )
    return arguments


def run(options: argparse.Namespace) -> dict[str, Any]:
    """Measure what the options ask for."""
    effort: Effort = QUICK if options.quick else Effort()
    if options.rounds is not None:
        effort = dataclasses.replace(effort, rounds=options.rounds)
    contenders = [CONTENDERS[name] for name in options.contenders]
    machine, began = describe(), time.perf_counter()
    measured: list[dict[str, Any]] = []
    results: dict[str, Any] = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "machine": machine,
        "effort": dataclasses.asdict(effort),
    }
    for specification in options.workloads:
        if specification in PROBES:
            measured.append(run_probe(specification, options.quick))
        else:
            measured.append(measure(specification, contenders, effort, say))
        results |= {
            "seconds": time.perf_counter() - began,
            "measured": measured,
            "targets": targets.evaluate(measured),
        }
        save(results, options.out)  # so that a run that is stopped leaves what it has
    return results


def save(results: dict[str, Any], folder: Path) -> Path:
    """Write the JSON."""
    path = folder / "benchmark.json"
    path.write_text(json.dumps(results, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return path


def run_probe(name: str, quick: bool) -> dict[str, Any]:
    """A probe's figures, or the one line that says why there are none."""
    try:
        return PROBES[name](quick, say)
    except WorkerError as error:
        return {"specification": name, "title": f"failed: {error}", "figures": []}


def say(line: str) -> None:
    """Progress goes to standard error, with the time of day, so that the table can be piped."""
    print(f"{datetime.now():%H:%M:%S} {line}", file=sys.stderr, flush=True)


def main(arguments: list[str] | None = None) -> int:
    """Exit status 0, or 2 for arguments that make no sense."""
    command_line = parser()
    options = command_line.parse_args(arguments)
    if options.rounds is not None and options.rounds < 1:
        command_line.error(f"--rounds must be a whole number >= 1, got {options.rounds}")
    if options.threads is not None:
        if options.threads < 1:
            command_line.error(f"--threads must be a whole number >= 1, got {options.threads}")
        os.environ.update(limit_threads(options.threads))
    try:
        for specification in options.workloads:
            if specification not in PROBES:
                workload_from(specification)
        options.out.mkdir(parents=True, exist_ok=True)
    except ValueError as error:
        command_line.error(str(error))
    except OSError as error:
        command_line.error(f"--out must be a folder that can be written, got {error}")
    results = run(options)
    print(report.table(results))
    print("\n" + "\n".join(markdown.table(results)))
    if results["targets"]:
        print("\n" + "\n".join(targets.lines(results["targets"])))
    json_path, chart_path = save(results, options.out), options.out / "benchmark.png"
    growth_path = options.out / "sampling.png"
    print(f"\n{json_path}")
    if chart.draw(results, chart_path):
        print(chart_path)
    if sampling_chart.draw(results, growth_path):
        print(growth_path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
