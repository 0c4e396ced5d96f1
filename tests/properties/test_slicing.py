"""Slicing bytes equals slicing tensors, and folding equals torch's rounding, for every float type."""

from pathlib import Path
from tempfile import TemporaryDirectory
from unittest.mock import patch

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from safetensors.torch import save_file
from torch import Tensor

from prunecli.checkpoints.safetensors_file import read_header
from prunecli.shrink import slicing
from prunecli.shrink.plan import TensorCut
from prunecli.shrink.slicing import cut_rows, from_floats, to_floats

TYPES = {"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16, "F64": torch.float64}
SEEDS = st.integers(0, 10_000)


def sliced(tensor: Tensor, keep: dict[int, list[int]], scale: dict[int, np.ndarray]) -> Tensor:
    """Send a tensor through a file and `cut_rows`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "x.safetensors"
        save_file({"x": tensor}, path)
        indices = {dim: np.array(index, dtype=np.intp) for dim, index in keep.items()}
        cut = TensorCut(read_header(path)["x"], indices, scale)
        array = np.concatenate(list(cut_rows(cut)))
        assert array.shape == cut.declared.shape
    return torch.from_numpy(array).view(tensor.dtype)


@pytest.mark.parametrize("dtype", TYPES)
@given(
    seed=SEEDS, rows=st.sets(st.integers(0, 6), min_size=1), columns=st.sets(st.integers(0, 4), min_size=1)
)
def test_slicing_bytes_equals_slicing_the_tensor(
    dtype: str, seed: int, rows: set[int], columns: set[int]
) -> None:
    tensor = torch.randn(7, 5, generator=torch.Generator().manual_seed(seed)).to(TYPES[dtype])
    keep = {0: sorted(rows), 1: sorted(columns)}
    assert torch.equal(sliced(tensor, keep, {}), tensor[keep[0]][:, keep[1]])


@pytest.mark.parametrize("dtype", TYPES)
@given(seed=SEEDS)
def test_folding_rounds_as_torch_does(dtype: str, seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    magnitude = 10 ** (4 * torch.rand(7, 5, generator=generator) - 2)
    tensor = (torch.randn(7, 5, generator=generator) * magnitude).to(TYPES[dtype])
    scale = torch.rand(5, generator=generator) * 3 - 0.5
    wide = torch.float64 if dtype == "F64" else torch.float32
    expected = (tensor.to(wide) * scale.to(wide)).to(TYPES[dtype])
    assert torch.equal(sliced(tensor, {}, {1: scale.numpy()}), expected)


@pytest.mark.parametrize("dtype", TYPES)
@given(rows=st.sets(st.integers(0, 6), min_size=1), seed=SEEDS)
def test_kept_rows_get_their_own_factors(dtype: str, rows: set[int], seed: int) -> None:
    generator = torch.Generator().manual_seed(seed)
    tensor = torch.randn(7, 3, generator=generator).to(TYPES[dtype])
    keep = sorted(rows)
    powers = torch.exp2(
        torch.randint(-2, 3, (len(keep),), generator=generator).float()
    )  # exact in every type
    expected = tensor[keep] * powers[:, None].to(TYPES[dtype])
    assert torch.equal(sliced(tensor, {0: keep}, {0: powers.numpy()}), expected)


@pytest.mark.parametrize("dtype", TYPES)
@given(seed=SEEDS, rows=st.sets(st.integers(0, 6)), block=st.integers(1, 200))
def test_the_size_of_a_block_changes_nothing(dtype: str, seed: int, rows: set[int], block: int) -> None:
    tensor = torch.randn(7, 5, generator=torch.Generator().manual_seed(seed)).to(TYPES[dtype])
    keep = {0: sorted(rows), 1: [0, 2, 3]}
    scale = {0: np.linspace(0.1, 2, len(rows), dtype=np.float32), 1: np.float32([3, 0.3, -1])}
    whole = sliced(tensor, keep, scale)
    with patch.object(slicing, "BLOCK_BYTES", block):
        assert torch.equal(sliced(tensor, keep, scale), whole)


@pytest.mark.parametrize("dtype", ["F16", "BF16"])
def test_every_half_precision_number_goes_to_float32_and_back(dtype: str) -> None:
    every = np.arange(1 << 16, dtype=np.uint16)
    floats = to_floats(every, dtype)
    numbers = ~np.isnan(floats)
    assert (from_floats(floats, dtype)[numbers] == every[numbers]).all()


def test_ties_go_to_the_even_neighbour_in_bfloat16() -> None:
    ties = np.array([0x3F808000, 0x3F818000, 0xBF808000, 0x7F7F8000], dtype=np.uint32).view(np.float32)
    expected = torch.from_numpy(ties).to(torch.bfloat16).view(torch.uint16).numpy()
    assert (from_floats(ties, "BF16") == expected).all()


@pytest.mark.parametrize("dtype", TYPES)
def test_nothing_kept_gives_an_empty_tensor(dtype: str) -> None:
    assert sliced(torch.ones(7, 5, dtype=TYPES[dtype]), {0: []}, {}).shape == (0, 5)
