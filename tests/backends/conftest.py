"""What can be collected here: CUDA, its compiler and CuPy do not exist for macOS.

MKL is for Linux on x86-64.
"""

import platform
import sys

collect_ignore = (
    ["test_cuda_sources.py", "test_strict_against_cupy.py"] if sys.platform == "darwin" else []
)
if sys.platform != "linux" or platform.machine() != "x86_64":
    collect_ignore.append("test_mkl.py")
