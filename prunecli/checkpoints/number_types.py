"""Raw bits of tensors as numbers and back, in numpy, for the types that checkpoints hold.

numpy has no bfloat16: it is the upper half of a float32.
"""

from typing import Any

import numpy as np
import numpy.typing as npt

from prunecli.checkpoints.safetensors_file import BYTES

Bits = npt.NDArray[Any]  # unsigned integers of the type's size

NUMPY_TYPES: dict[str, Any] = {
    "F16": np.float16, "F32": np.float32, "F64": np.float64, "BOOL": np.bool_, "I8": np.int8, "U8": np.uint8,
    "I16": np.int16, "U16": np.uint16, "I32": np.int32, "U32": np.uint32, "I64": np.int64, "U64": np.uint64,
}  # fmt: skip


def as_bits(data: bytearray | memoryview, dtype: str, shape: tuple[int, ...]) -> Bits:
    """Interpret a tensor's bytes, or some rows of them, as unsigned integers of a shape."""
    return np.frombuffer(data, dtype=f"<u{BYTES[dtype]}").reshape(shape)


def to_floats(bits: Bits, dtype: str) -> npt.NDArray[Any]:
    """Interpret raw bits as float32 (float64 for F64)."""
    if dtype == "BF16":
        return (bits.astype(np.uint32) << 16).view(np.float32)
    numbers: npt.NDArray[Any] = bits.view(NUMPY_TYPES[dtype])
    return numbers.astype(np.float64 if dtype == "F64" else np.float32)


def from_floats(values: npt.NDArray[Any], dtype: str) -> Bits:
    """Round float32 (float64 for F64) values to nearest even and return the raw bits."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        nearest_even = bits + 0x7FFF + ((bits >> 16) & 1)
        return (nearest_even >> 16).astype(np.uint16)
    return np.ascontiguousarray(values, dtype=NUMPY_TYPES[dtype]).view(f"<u{BYTES[dtype]}")
