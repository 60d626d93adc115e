"""The element types under PyTorch's names: ``mg.float32``, ``mg.long`` …; they are NumPy's dtypes.

Wherever a ``dtype`` is asked for, any of these will do, or what NumPy takes: ``np.float32``,
``"float32"``.
"""

import numpy as np

__all__ = [
    "bool",
    "double",
    "float",
    "float16",
    "float32",
    "float64",
    "half",
    "int",
    "int8",
    "int16",
    "int32",
    "int64",
    "long",
    "short",
    "uint8",
]

float16, float32, float64 = (np.dtype(f"float{bits}") for bits in (16, 32, 64))
int8, int16, int32, int64 = (np.dtype(f"int{bits}") for bits in (8, 16, 32, 64))
uint8 = np.dtype("uint8")
bool = np.dtype("bool")

half, float, double = float16, float32, float64
short, int, long = int16, int32, int64
