"""The six workloads as one Markdown table, to be pasted into the README."""

from __future__ import annotations

from typing import Any

from benchmarks.report import number
from benchmarks.workloads import TARGETED

COLUMNS = {
    "minigen": "NumPy",
    "minigen-numba": "Numba",
    "minigen-captured": "captured",
    "torch": "PyTorch eager",
    "torch-kept-memory": "the same, freed memory kept",
    "torch-compile": "torch.compile",
    "jax": "JAX jit",
    "floor": "matrix products alone",
}
OURS = ("minigen-captured", "minigen-numba", "minigen")


def table(report: dict[str, Any]) -> list[str]:
    """A row for each workload, medians in ms; [] if none of the six was measured."""
    found = {entry["specification"]: entry for entry in report["measured"] if "results" in entry}
    names = [name for name in TARGETED if name in found]
    if not names:
        return []
    headers = [*COLUMNS.values(), "÷ best peer", "÷ products", "MiB a step, ours / PyTorch's"]
    text = ["| step, ms | " + " | ".join(headers) + " |", "|---" * (len(headers) + 1) + "|"]
    missing: dict[str, None] = {}
    for name in names:
        results = found[name]["results"]
        cells = []
        for contender in COLUMNS:
            result = results.get(contender, {"missing": "not asked for"})
            cells.append(number(result.get("median")))
            if "missing" in result:
                missing[f"{COLUMNS[contender]} ({result['missing']})"] = None
        best = next((one for one in OURS if "median" in results.get(one, {})), None)
        cells += [ratio(results, best, key) for key in ("to_best_peer", "to_floor")]
        mib = [
            number(results.get(c, {}).get("memory", {}).get("step_mib")) for c in (best, "torch")
        ]
        text.append(f"| {name} | " + " | ".join([*cells, " / ".join(mib)]) + " |")
    notes = [f"Missing: {'; '.join(missing)}."] if missing else []
    return [*text, *(["", *notes] if notes else [])]


def ratio(results: dict[str, Any], contender: str | None, key: str) -> str:
    """A ratio's median with its quartiles."""
    found = results.get(contender, {}).get(key) if contender else None
    if found is None:
        return "-"
    low, high = found["lower_quartile"], found["upper_quartile"]
    return f"{found['median']:.2f} ({low:.2f}..{high:.2f})"
