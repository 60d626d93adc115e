"""NVIDIA's run-time compiler from PyPI, by ctypes: compiles CUDA C with no GPU and no driver."""

from __future__ import annotations

import ctypes
import functools
import importlib.util
from pathlib import Path


class CompileError(Exception):
    """The compiler's log."""


def _folder(part: str, wanted: str) -> Path:
    """The folder ``part`` of the installed nvidia packages that holds ``wanted``."""
    found = importlib.util.find_spec("nvidia")
    for root in found.submodule_search_locations if found is not None else ():
        for file in sorted(Path(root).glob(f"cu*/{part}/{wanted}")):
            return file.parent
    raise RuntimeError(
        f"{wanted} was not found: the CUDA sources are compiled in the tests with NVRTC from PyPI; "
        f'pip install ".[test]" brings it (nvidia-cuda-nvrtc, nvidia-cuda-runtime)'
    )


@functools.cache
def _library() -> ctypes.CDLL:
    try:
        folder, name = _folder("lib", "libnvrtc.so.*"), "libnvrtc.so.*"
    except RuntimeError:  # where the package puts it on Windows
        folder, name = _folder("bin/x86_64", "nvrtc64_*.dll"), "nvrtc64_*.dll"
    library = ctypes.CDLL(str(next(p for p in sorted(folder.glob(name)) if "alt" not in p.name)))
    library.nvrtcGetErrorString.restype = ctypes.c_char_p
    return library


def _check(status: int) -> None:
    if status:
        raise CompileError(_library().nvrtcGetErrorString(status).decode())


def compile_cuda(source: str, name: str, architecture: str = "sm_90") -> bytes:
    """The machine code (cubin) of ``source`` for ``architecture``.

    Raises:
        CompileError: with the compiler's log.
    """
    nvrtc, program = _library(), ctypes.c_void_p()
    code = source.encode()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), code, name.encode(), 0, None, None))
    include = _folder("include", "cuda_runtime.h")
    options = [f"--gpu-architecture={architecture}", "-std=c++17", f"-I{include}"]
    arguments = (ctypes.c_char_p * len(options))(*[o.encode() for o in options])
    try:
        if nvrtc.nvrtcCompileProgram(program, len(options), arguments):
            size = ctypes.c_size_t()
            _check(nvrtc.nvrtcGetProgramLogSize(program, ctypes.byref(size)))
            log = ctypes.create_string_buffer(size.value)
            _check(nvrtc.nvrtcGetProgramLog(program, log))
            raise CompileError(log.value.decode())
        size = ctypes.c_size_t()
        _check(nvrtc.nvrtcGetCUBINSize(program, ctypes.byref(size)))
        cubin = ctypes.create_string_buffer(size.value)
        _check(nvrtc.nvrtcGetCUBIN(program, cubin))
        return cubin.raw
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))
