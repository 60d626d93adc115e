"""What can be collected here: CUDA, its compiler and CuPy do not exist for macOS."""

import sys

collect_ignore = (
    ["test_cuda_sources.py", "test_strict_against_cupy.py"] if sys.platform == "darwin" else []
)
