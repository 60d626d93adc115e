"""Every CUDA C source compiles for compute capability 9.0; no GPU is needed for that."""

from __future__ import annotations

import re

import pytest
from nvrtc import CompileError, compile_cuda

from minigen.backends import philox
from minigen.backends.cupy_backend import SOURCES

FILES = sorted(SOURCES.glob("*.cu"))

KERNELS = {
    "optimizers": {
        f"{step}_step_{dtype}"
        for step in ("adam", "average", "rmsprop", "sgd")
        for dtype in ("float32", "float64")
    },
    "philox": set(philox.PER_BLOCK),
    "segments": {
        f"{kind}_add_{dtype}"
        for kind in ("segment", "search")
        for dtype in ("float32", "float64", "int32", "int64")
    },
    "windows": {f"gather_windows_{width}" for width in (1, 2, 4, 8)},
}
"""What the CUDA backend launches, by source."""


def test_each_source_belongs_to_kernels_that_are_launched() -> None:
    assert {file.stem for file in FILES} == set(KERNELS)


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_each_source_compiles_and_holds_the_kernels_that_are_launched(file) -> None:
    cubin = compile_cuda(file.read_text(encoding="utf-8"), file.name)
    assert cubin[:4] == b"\x7fELF"
    # a kernel's machine code lies in a section called .text.NAME
    kernels = {name.decode() for name in re.findall(rb"\.text\.(\w+)\0", cubin)}
    assert kernels == KERNELS[file.stem]


def test_a_source_with_a_mistake_does_not_compile() -> None:
    with pytest.raises(CompileError, match="wrong"):
        compile_cuda('extern "C" __global__ void kernel(float* x) { x[0] = wrong; }', "mistake.cu")
