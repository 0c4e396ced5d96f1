"""Slices the bytes of tensors: some rows at a time, in numpy, exact for every type.

Values are only interpreted where mask values are folded in; then they go through float32 (float64 for F64)
and are rounded once.
"""

from collections.abc import Iterator

import numpy as np

from prunecli.checkpoints.number_types import Bits, as_bits, from_floats, to_floats
from prunecli.checkpoints.safetensors_file import Chunk
from prunecli.masks.units import ROWS
from prunecli.shrink.plan import CutPlan, Indices, TensorCut

BLOCK_BYTES = 1 << 18  # read at a time; the parts cut out of larger blocks would cost new pages each time


def cut_tensors(plan: CutPlan) -> Iterator[Iterator[Chunk]]:
    """Yield the bytes of each of the plan's tensors, in pieces, in the order of `plan.declared`."""
    for cut in plan.cuts:
        if cut.keep or cut.scale:
            yield (bits.reshape(-1).view(np.uint8).data for bits in cut_rows(cut))
        else:
            yield cut.entry.pieces(BLOCK_BYTES)
    for index in plan.indices.values():
        yield iter([index.astype("<i8").tobytes()])


def cut_rows(cut: TensorCut) -> Iterator[Bits]:
    """Read a tensor, keep what stays, fold the factors in; yield what comes out, some rows at a time.

    Rows that go are read too: a disk reads on faster than it seeks.
    """
    rows, *row = cut.entry.shape
    row_bytes = cut.entry.size // max(rows, 1)
    if row_bytes == 0:
        return
    kept = cut.keep.get(ROWS, np.arange(rows))
    first = done = 0
    for piece in cut.entry.pieces(max(BLOCK_BYTES // row_bytes, 1) * row_bytes):
        bits = as_bits(piece, cut.entry.dtype, (-1, *row))
        here = slice(done, int(np.searchsorted(kept, first + len(bits))))
        yield _cut_block(bits, cut, kept[here] - first, here)
        first, done = first + len(bits), here.stop


def _cut_block(bits: Bits, cut: TensorCut, kept: Indices, here: slice) -> Bits:
    """Cut some rows of a tensor.

    Args:
        bits: The rows.
        cut: What happens to the whole tensor.
        kept: The rows that stay, counted within the block.
        here: Where these stand among all rows that stay.
    """
    for dim, index in cut.keep.items():
        bits = bits.take(kept if dim == ROWS else index, axis=dim)
    if cut.scale:
        values = to_floats(bits, cut.entry.dtype)
        for dim, scale in cut.scale.items():
            factors = scale[here] if dim == ROWS else scale
            values *= factors.reshape([-1 if axis == dim else 1 for axis in range(values.ndim)])
        bits = from_floats(values, cut.entry.dtype)
    return np.ascontiguousarray(bits)
