"""The table on standard output."""

from __future__ import annotations

from typing import Any

NUMBER = "{:.3g}"


def number(value: float | None) -> str:
    """Three digits, without an exponent for everyday sizes."""
    if value is None:
        return "-"
    return f"{value:.0f}" if abs(value) >= 100 else NUMBER.format(value)


def setting_text(setting: dict[str, Any]) -> str:
    """A setting in words; what is switched off is left out."""
    words = []
    for key, value in setting.items():
        if value is True:
            words.append(key.replace("_", "-"))
        elif value not in (False, None):
            words.append(f"{key} {value}")
    return ", ".join(words)


def columns(rows: list[list[str]]) -> list[str]:
    """Rows as lines of aligned columns: the first and last to the left, the others to the right."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows)]
    last = len(widths) - 1
    return [
        "  ".join(
            cell.ljust(width) if index in (0, last) else cell.rjust(width)
            for index, (cell, width) in enumerate(zip(row, widths))
        ).rstrip()
        for row in rows
    ]


def workload_lines(measured: dict[str, Any]) -> list[str]:
    """The table of one workload."""
    unit, floor = measured["unit"], measured["floor_name"]
    rows = [
        [
            "",
            f"median {unit}",
            "quartiles",
            "÷ best peer",
            "÷ eager",
            f"÷ {floor}",
            "above it",
            "peak MiB",
            "setting",
        ]
    ]
    missing = []
    for name, result in measured["results"].items():
        if "missing" in result:
            missing.append(f"  {name}: {result['missing']}")
            continue
        to_peer, to_floor = result.get("to_best_peer"), result.get("to_floor")
        above_floor, to_eager = result.get("above_floor"), result.get("to_eager")
        step_mib = result.get("memory", {}).get("step_mib")
        rows.append(
            [
                f"  {floor if name == 'floor' else name}",
                number(result["median"]),
                f"{number(result['lower_quartile'])}..{number(result['upper_quartile'])}",
                f"{to_peer['median']:.2f}" if to_peer else "-",
                f"{to_eager['median']:.2f}" if to_eager else "-",
                f"{to_floor['median']:.2f}" if to_floor else "-",
                number(above_floor["median"]) if above_floor and name != "floor" else "-",
                number(step_mib),
                setting_text(result["setting"]),
            ]
        )
    return [f"{measured['specification']}: {measured['title']}", *columns(rows), *missing]


def probe_lines(measured: dict[str, Any]) -> list[str]:
    """The figures of one probe."""
    rows = [
        [f"  {figure['label']}", number(figure["value"]), figure["unit"]]
        for figure in measured["figures"]
    ]
    return [f"{measured['specification']}: {measured['title']}", *(columns(rows) if rows else [])]


def machine_lines(machine: dict[str, Any]) -> list[str]:
    """What it was measured on."""
    versions = ", ".join(
        f"{library} {version or 'not installed'}"
        for library, version in machine["versions"].items()
    )
    load = number(machine["load_average"])
    return [
        f"{machine['processor']}, {machine['cores']} core(s), {machine['threads']} thread(s), "
        f"{machine['blas']}, Python {machine['python']}",
        f"{versions}; load average at the start {load}",
    ]


def lines_of(measured: dict[str, Any]) -> list[str]:
    """The lines of one entry, whichever kind it is."""
    if "curves" in measured:
        from benchmarks import growth

        return growth.lines(measured)
    if "growth" in measured:
        from benchmarks.sampling import report as sampling

        return sampling.lines(measured)
    return probe_lines(measured) if "figures" in measured else workload_lines(measured)


def table(report: dict[str, Any]) -> str:
    """The whole report as text."""
    blocks = [machine_lines(report["machine"])]
    for measured in report["measured"]:
        blocks.append(lines_of(measured))
    return "\n\n".join("\n".join(block) for block in blocks)
