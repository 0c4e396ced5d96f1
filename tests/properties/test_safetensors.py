"""Our safetensors files are the library's, and the library's are ours."""

from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

from prunecli.checkpoints.safetensors_file import Declared, read_header, read_metadata, serialize

TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "I64": torch.int64,
    "I32": torch.int32, "I16": torch.int16, "I8": torch.int8, "U8": torch.uint8, "BOOL": torch.bool,
    "F8_E4M3": torch.float8_e4m3fn,
}  # fmt: skip
NAMES = st.text(min_size=1, max_size=12).filter(lambda name: name != "__metadata__" and name.isprintable())
SHAPES = st.lists(st.integers(0, 4), max_size=3)
TENSORS = st.dictionaries(NAMES, st.tuples(st.sampled_from(sorted(TYPES)), SHAPES), min_size=1, max_size=5)


def draw(dtype: str, shape: list[int]) -> Tensor:
    """Return a tensor of random small numbers."""
    return torch.randint(0, 2, tuple(shape)).to(TYPES[dtype])


def raw(tensor: Tensor) -> bytes:
    """Return a tensor's bytes, whatever its type."""
    return tensor.flatten().view(torch.uint8).numpy().tobytes()


def same(left: Tensor, right: Tensor) -> bool:
    """Say whether two tensors agree in type, shape and every bit."""
    return left.dtype == right.dtype and left.shape == right.shape and raw(left) == raw(right)


@given(TENSORS)
def test_the_library_reads_what_we_write(wanted: dict[str, tuple[str, list[int]]]) -> None:
    tensors = {name: draw(*kind) for name, kind in wanted.items()}
    declared = [Declared(name, dtype, tuple(shape)) for name, (dtype, shape) in wanted.items()]
    with TemporaryDirectory() as folder:
        path = Path(folder) / "ours.safetensors"
        path.write_bytes(b"".join(serialize(declared, map(raw, tensors.values()), {"format": "pt"})))
        found = load_file(path)
        with safe_open(path, "pt") as opened:
            assert opened.metadata() == {"format": "pt"}
    assert found.keys() == tensors.keys()
    assert all(same(found[name], tensor) for name, tensor in tensors.items())


@given(TENSORS, st.dictionaries(st.text(max_size=5), st.text(max_size=5), max_size=2))
def test_we_read_what_the_library_writes(
    wanted: dict[str, tuple[str, list[int]]], metadata: dict[str, str]
) -> None:
    tensors = {name: draw(*kind) for name, kind in wanted.items()}
    with TemporaryDirectory() as folder:
        path = Path(folder) / "theirs.safetensors"
        save_file(tensors, path, metadata=metadata)
        header = read_header(path)
        assert {name: (entry.dtype, entry.shape) for name, entry in header.items()} == {
            name: (dtype, tuple(shape)) for name, (dtype, shape) in wanted.items()
        }
        assert all(bytes(header[name].read()) == raw(tensor) for name, tensor in tensors.items())
        assert read_metadata(path) == metadata


@given(st.lists(st.integers(1, 7), min_size=1, max_size=6))
def test_chunks_of_any_size_make_the_same_file(sizes: list[int]) -> None:
    data = np.arange(sum(sizes), dtype=np.uint8).tobytes()
    cuts = np.cumsum([0, *sizes])
    chunks = [data[start:stop] for start, stop in pairwise(cuts)]
    declared = [Declared("x", "U8", (len(data),))]
    assert b"".join(serialize(declared, [data], {})) == b"".join(serialize(declared, chunks, {}))
