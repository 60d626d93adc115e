"""All workloads by name. A new one is one file here and one line below."""

from __future__ import annotations

from benchmarks.workload import Workload
from benchmarks.workloads.dcgan import Dcgan
from benchmarks.workloads.gan import Gan
from benchmarks.workloads.gpt import Gpt
from benchmarks.workloads.operations import Backward, Operation
from benchmarks.workloads.pixelcnn import PixelCnn
from benchmarks.workloads.realnvp import RealNvp
from benchmarks.workloads.upsampling import Upsampling
from benchmarks.workloads.vae import Vae

_SIX: list[type[Workload]] = [Gan, Vae, RealNvp, Gpt, PixelCnn, Dcgan]
_ALL: list[type[Workload]] = [*_SIX, Upsampling, Operation, Backward]

# The six whose times have targets (benchmarks/targets.py).
TARGETED = [workload.name for workload in _SIX]

WORKLOADS: dict[str, type[Workload]] = {workload.name: workload for workload in _ALL}

# What runs when no workloads are named: the six, one op, and the tape at its full length.
BY_DEFAULT = [*TARGETED, "operation", "backward", "backward:length=100000"]


def workload_from(specification: str) -> Workload:
    """The workload that text such as ``vae`` or ``vae:batch=256`` names."""
    name, _, sizes = specification.partition(":")
    if name not in WORKLOADS:
        raise ValueError(f"workload must be one of {sorted(WORKLOADS)}, got {name!r}")
    return WORKLOADS[name].from_sizes(sizes)
