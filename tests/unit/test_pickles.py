"""Tensors out of `torch.save` files without unpickling anything else."""

import os
import shutil
import zipfile
from collections import OrderedDict
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecli.checkpoints import pickles
from prunecli.checkpoints.pickles import read_pickle
from prunecli.errors import InputError


class Evil:
    """Runs a command where it is unpickled."""

    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


def test_every_type_and_view_comes_out_bit_for_bit(tmp_path: Path) -> None:
    whole = torch.randn(6, 3)
    state = OrderedDict(
        float=whole, part=whole[2:4], half=torch.randn(3).half(), brain=torch.randn(3).bfloat16(),
        double=torch.randn(2).double(), long=torch.arange(5), bool=torch.tensor([True, False]),
        scalar=torch.tensor(3.0), empty=torch.zeros(0, 4), same=whole,
    )  # fmt: skip
    torch.save(state, tmp_path / "x.bin")
    found = read_pickle(tmp_path / "x.bin")
    assert list(found) == list(state)
    for name, tensor in state.items():
        flat = tensor.reshape(-1).contiguous().view(torch.uint8).numpy().tobytes() if tensor.numel() else b""
        assert found[name].shape == tuple(tensor.shape)
        assert bytes(found[name].read()) == flat, name


def test_the_state_dict_of_a_module_comes_out(tmp_path: Path) -> None:
    torch.save(torch.nn.Linear(2, 3).state_dict(), tmp_path / "x.bin")
    assert {name: entry.shape for name, entry in read_pickle(tmp_path / "x.bin").items()} == {
        "weight": (3, 2),
        "bias": (3,),
    }


@pytest.mark.parametrize(
    ("value", "said"),
    [
        ({"a": Evil()}, r"it names \w+.system"),
        (torch.nn.Linear(2, 2), "it names torch.nn.modules.linear.Linear"),
        ({"a": 1}, "no mapping of names to tensors"),
        ([torch.ones(2)], "no mapping of names to tensors"),
        ({1: torch.ones(2)}, "no mapping of names to tensors"),
        ({}, "no mapping of names to tensors"),
        ({"a": torch.randn(3, 4).t()}, "does not stand in the order of its rows"),
        ({"a": torch.randn(3).expand(2, 3)}, "does not stand in the order of its rows"),
        ({"a": torch.randn(3).to_sparse()}, "it names torch"),
    ],
)
def test_anything_else_is_refused(value: Any, said: str, tmp_path: Path) -> None:
    torch.save(value, tmp_path / "x.bin")
    with pytest.raises(InputError, match=said):
        read_pickle(tmp_path / "x.bin")
    assert not Path("pwned").exists()


def test_files_that_are_no_zip_of_torch_are_refused(tmp_path: Path) -> None:
    file = tmp_path / "x.bin"
    file.write_bytes(b"cos\nsystem\n(S'exit 1'\ntR.")
    with pytest.raises(InputError, match="is not a zip"):
        read_pickle(file)
    torch.save({"a": torch.ones(2)}, file, _use_new_zipfile_serialization=False)
    with pytest.raises(InputError, match="is not a zip"):
        read_pickle(file)


def test_a_zip_that_is_cut_or_compressed_is_refused(tmp_path: Path) -> None:
    file, squeezed = tmp_path / "x.bin", tmp_path / "y.bin"
    torch.save({"a": torch.ones(64)}, file)
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(squeezed, "w", zipfile.ZIP_DEFLATED) as target:
        for name in source.namelist():
            target.writestr(name, source.read(name))
    with pytest.raises(InputError, match="is compressed"):
        read_pickle(squeezed)
    cut = Path(shutil.copy(file, tmp_path / "z.bin"))
    cut.write_bytes(file.read_bytes()[:-40])
    with pytest.raises(InputError, match="is not a zip"):
        read_pickle(cut)


def test_a_tensor_larger_than_its_storage_is_refused(tmp_path: Path) -> None:
    """Rewrite the sizes in the description: 4 values become 200 of what stands behind them."""
    file, forged = tmp_path / "x.bin", tmp_path / "y.bin"
    torch.save({"a": torch.ones(4)}, file)
    with zipfile.ZipFile(file) as source, zipfile.ZipFile(forged, "w") as target:
        for name in source.namelist():
            data = source.read(name)
            target.writestr(name, data.replace(b"K\x04\x85", b"K\xc8\x85") if name.endswith(".pkl") else data)
    with pytest.raises(InputError, match="larger than its storage"):
        read_pickle(forged)


# A tuple of itself twice, forty times over, by way of the memo: hashing or printing it takes 2 ** 40 steps.
ENDLESS = b")q\x00" + b"".join(b"h%c\x86q%c" % (at, at + 1) for at in range(40))


@pytest.mark.parametrize(
    ("description", "said"),
    [
        (b"}" + ENDLESS + b"K\x01s", "no mapping of names to tensors"),
        (b"}(" + ENDLESS + b"K\x01u", "no mapping of names to tensors"),
        (b"(" + ENDLESS + b"K\x01K\x01K\x01K\x01tQ", "no storage"),
        (b"(X\x07\x00\x00\x00storage" + ENDLESS + b"X\x01\x00\x00\x000K\x01K\x01tQ", "no storage"),
        (b"]ccollections\nOrderedDict\n]" + ENDLESS + b"K\x01\x86a\x85R", "holds more than tensors"),
        (b"ctorch._utils\n_rebuild_tensor_v2\n" + ENDLESS * 4 + b"tR", "holds more than tensors"),
        (b"\x8f(" + ENDLESS + b"\x90", "more than describe tensors"),
    ],
    ids=["key", "keys", "storage", "type", "pairs", "tensor", "set"],
)
def test_a_small_file_that_is_endless_to_read_is_refused(
    description: bytes, said: str, tmp_path: Path
) -> None:
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + description + b".")
    with pytest.raises(InputError, match=said):
        read_pickle(tmp_path / "x.bin")


def test_what_is_said_of_our_own_functions_is_left_out(tmp_path: Path) -> None:
    before = pickles._tensor.__defaults__
    change = b"ctorch._utils\n_rebuild_tensor_v2\nN}X\x0c\x00\x00\x00__defaults__K\x01\x85s\x86b"
    with zipfile.ZipFile(tmp_path / "x.bin", "w") as archive:
        archive.writestr("archive/data.pkl", b"\x80\x02" + change + b".")
    with pytest.raises(InputError, match="no mapping of names to tensors"):
        read_pickle(tmp_path / "x.bin")
    assert pickles._tensor.__defaults__ is before
