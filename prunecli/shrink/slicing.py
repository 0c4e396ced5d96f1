"""Slices the bytes of tensors: one at a time, in numpy, exact for every type.

Values are only interpreted where mask values are folded in; then they go through float32 (float64 for F64)
and are rounded once.
"""

from collections.abc import Iterator

import numpy as np

from prunecli.checkpoints.number_types import Bits, from_floats, read_bits, to_floats
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.errors import InputError
from prunecli.shrink.plan import CutPlan, TensorCut

COPY_BYTES = 1 << 24


def cut_bytes(plan: CutPlan) -> Iterator[bytes]:
    """Yield the bytes of the plan's tensors, in the order of `plan.declared`."""
    for cut in plan.cuts:
        if cut.keep or cut.scale:
            yield slice_tensor(cut).tobytes()
        else:
            yield from _copy(cut.entry)
    for index in plan.indices.values():
        yield index.astype("<i8").tobytes()


def slice_tensor(cut: TensorCut) -> Bits:
    """Read one tensor, keep what stays, fold the factors in."""
    bits = read_bits(cut.entry)
    for dim, index in cut.keep.items():
        bits = bits.take(index, axis=dim)
    if cut.scale:
        values = to_floats(bits, cut.entry.dtype)
        for dim, scale in cut.scale.items():
            values *= scale.reshape([-1 if axis == dim else 1 for axis in range(values.ndim)])
        bits = from_floats(values, cut.entry.dtype)
    return np.ascontiguousarray(bits)


def _copy(entry: TensorEntry) -> Iterator[bytes]:
    """Yield a tensor's bytes as they are, a few at a time."""
    with entry.path.open("rb") as file:
        file.seek(entry.start)
        left = entry.size
        while left:
            chunk = file.read(min(left, COPY_BYTES))
            if not chunk:
                raise InputError(f"{entry.path}: truncated at tensor {entry.name}")
            left -= len(chunk)
            yield chunk
