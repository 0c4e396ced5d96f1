"""Tensors on their way from one checkpoint into another, some bytes at a time; floats may change their type."""

from collections.abc import Iterator

import numpy as np

from prunecli.checkpoints.kinds.base import NewTensor
from prunecli.checkpoints.number_types import as_bits, from_floats, to_floats
from prunecli.checkpoints.safetensors_file import BYTES, FLOATS, Chunk, Declared, TensorEntry

BLOCK_BYTES = 1 << 20  # a multiple of every type's size
TYPES = {"float32": "F32", "float16": "F16", "bfloat16": "BF16"}

Source = TensorEntry | NewTensor


def declare(name: str, source: Source, dtype: str | None) -> Declared:
    """Return what a tensor will be.

    Args:
        name: Its new name.
        source: Where it comes from.
        dtype: The type that floats get; None where they keep theirs.
    """
    found = source.declared if isinstance(source, NewTensor) else source
    retyped = dtype is not None and found.dtype in FLOATS
    return Declared(name, dtype if retyped and dtype else found.dtype, found.shape)


def contents(source: Source, dtype: str) -> Iterator[Chunk]:
    """Yield a tensor's bytes in a type; every value is rounded once, to nearest even."""
    if isinstance(source, NewTensor):
        stored, pieces = source.declared.dtype, iter([memoryview(source.data)])
    else:
        stored, pieces = source.dtype, source.pieces(BLOCK_BYTES)
    for piece in pieces:
        if stored == dtype:
            yield piece
        else:
            values = to_floats(as_bits(piece, stored, (len(piece) // BYTES[stored],)), stored)
            yield from_floats(values, dtype).view(np.uint8).data
