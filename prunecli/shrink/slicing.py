"""Slices the bytes of tensors: one at a time, in numpy, exact for every type.

Values are only interpreted where mask values are folded in; then they go through float32 (float64 for F64)
and are rounded to nearest even once.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from prunecli.checkpoints.safetensors_file import BYTES, TensorEntry
from prunecli.shrink.plan import CutPlan, TensorCut

COPY_BYTES = 1 << 24

_FLOAT_TYPES: dict[str, Any] = {"F16": np.float16, "F32": np.float32, "F64": np.float64}


def cut_bytes(plan: CutPlan) -> Iterator[bytes | bytearray | memoryview]:
    """Yield the bytes of the plan's tensors, in the order of `plan.declared`."""
    for cut in plan.cuts:
        if cut.keep or cut.scale:
            yield slice_tensor(cut).tobytes()
        else:
            yield from _copy(cut.entry)
    for index in plan.indices.values():
        yield index.astype("<i8").tobytes()


def slice_tensor(cut: TensorCut) -> npt.NDArray[Any]:
    """Read one tensor, keep what stays, fold the factors in.

    Returns:
        A contiguous array whose bytes are the cut tensor; its dtype is an unsigned integer of the right size.
    """
    entry = cut.entry
    width = BYTES[entry.dtype]
    array = np.frombuffer(entry.read(), dtype=f"<u{width}").reshape(entry.shape)
    for dim, index in cut.keep.items():
        array = array.take(index, axis=dim)
    if cut.scale:
        values = to_floats(array, entry.dtype)
        for dim, scale in cut.scale.items():
            values *= scale.reshape([-1 if axis == dim else 1 for axis in range(values.ndim)])
        array = from_floats(values, entry.dtype)
    return np.ascontiguousarray(array)


def to_floats(array: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Interpret raw bits as float32 (float64 for F64)."""
    if dtype == "BF16":  # the upper half of a float32
        return (array.astype(np.uint32) << 16).view(np.float32)
    floats: npt.NDArray[Any] = array.view(_FLOAT_TYPES[dtype])
    return floats.astype(np.float64 if dtype == "F64" else np.float32)


def from_floats(values: npt.NDArray[Any], dtype: str) -> npt.NDArray[Any]:
    """Round float32 (float64 for F64) values to a type and return the raw bits."""
    if dtype == "BF16":
        bits = np.ascontiguousarray(values, dtype=np.float32).view(np.uint32)
        nearest_even = bits + 0x7FFF + ((bits >> 16) & 1)
        return (nearest_even >> 16).astype(np.uint16)
    return np.ascontiguousarray(values, dtype=_FLOAT_TYPES[dtype]).view(f"<u{BYTES[dtype]}")


def _copy(entry: TensorEntry) -> Iterator[bytes]:
    """Yield a tensor's bytes as they are, a few at a time."""
    with Path(entry.path).open("rb") as file:
        file.seek(entry.start)
        left = entry.size
        while left:
            chunk = file.read(min(left, COPY_BYTES))
            left -= len(chunk)
            yield chunk
