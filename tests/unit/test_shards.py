"""Weights in shards: what is split where, read and written; and how little memory it takes."""

import errno
import hashlib
import json
import tracemalloc
from pathlib import Path
from typing import Any

import pytest
import torch
from huggingface_hub import split_torch_state_dict_into_shards
from hypothesis import given
from hypothesis import strategies as st

from prunecli.checkpoints import hashed_file, shards
from prunecli.checkpoints.folder import INDEX, WEIGHTS, read_checkpoint
from prunecli.checkpoints.hashed_file import write_hashed
from prunecli.checkpoints.safetensors_file import Declared
from prunecli.checkpoints.shards import parse_size, split, write_weights
from prunecli.config import ApplyMasksConfig, VerifyConfig
from prunecli.errors import InputError
from prunecli.masks.units import GROUPS
from prunecli.operations import apply_masks, verify_automodel
from prunecli.shrink.plan import plan_cut
from prunecli.shrink.slicing import cut_tensors
from tests import tiny

SIZE = "20KB"  # of a shard; the tiny BERT has 130 KB, its largest tensor 12.8 KB


def tensors_of(folder: Path) -> dict[str, tuple[str, tuple[int, ...], bytes]]:
    """Return type, shape and bytes of every tensor."""
    found = read_checkpoint(folder).tensors
    return {name: (entry.dtype, entry.shape, bytes(entry.read())) for name, entry in found.items()}


def random_cut(source: Path, out: Path, seed: int = 0, **options: Any) -> Path:
    """Cut random masks of all groups out of a checkpoint."""
    return tiny.cut(source, tiny.random_masks(tiny.sizes(source), GROUPS, seed), out, **options)


@pytest.fixture
def sharded(bert: Path, tmp_path: Path) -> Path:
    """Return the tiny BERT as `save_pretrained` writes it in shards."""
    tiny.load(bert).save_pretrained(tmp_path / "sharded", max_shard_size=SIZE)
    return tmp_path / "sharded"


@pytest.mark.parametrize(
    ("text", "size"), [("5GB", 5 * 10**9), ("1.5 mb", 1_500_000), (" 20KB ", 20_000), ("2TB", 2 * 10**12)]
)
def test_a_size_is_read_as_save_pretrained_reads_it(text: str, size: int) -> None:
    assert parse_size(text) == size


@pytest.mark.parametrize("text", ["", "5", "GB", "-1GB", "0GB", "5GiB", "nanGB", "1e3KB", "5GB 5GB"])
def test_what_is_no_size_is_refused_before_anything_is_written(text: str, bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="is no size of a shard") as raised:
        random_cut(bert, tmp_path / "cut", max_shard_size=text)
    assert "5GB" in str(raised.value.fix)
    assert not (tmp_path / "cut").exists()


@given(st.lists(st.integers(1, 20), min_size=1, max_size=12))
def test_files_are_split_and_named_as_the_library_does(sizes: list[int]) -> None:
    declared = [Declared(f"t{number}", "U8", (size,)) for number, size in enumerate(sizes)]
    state = {tensor.name: torch.zeros(tensor.shape, dtype=torch.uint8) for tensor in declared}
    theirs = split_torch_state_dict_into_shards(
        state, filename_pattern="model{suffix}.safetensors", max_shard_size=20
    )
    ours = {name: [tensor.name for tensor in shard] for name, shard in split(declared, 20).items()}
    assert ours == theirs.filename_to_tensors


def test_a_tensor_over_the_limit_has_a_file_of_its_own() -> None:
    declared = [Declared(name, "U8", (size,)) for name, size in (("a", 3), ("b", 9), ("c", 3))]
    assert [[tensor.name for tensor in shard] for shard in split(declared, 5).values()] == [
        ["a"],
        ["b"],
        ["c"],
    ]


def test_no_tensors_make_one_empty_file(tmp_path: Path) -> None:
    assert write_weights(tmp_path, [], [], 5).keys() == {WEIGHTS}
    assert (tmp_path / WEIGHTS).is_file()


def test_shards_are_cut_as_one_file_is(bert: Path, sharded: Path, tmp_path: Path) -> None:
    cut = random_cut(sharded, tmp_path / "cut")
    assert tensors_of(cut) == tensors_of(random_cut(bert, tmp_path / "of-one"))
    assert not (cut / INDEX).exists()


def test_a_cut_in_shards_is_the_cut_in_one_file(bert: Path, tmp_path: Path) -> None:
    one, many = random_cut(bert, tmp_path / "one"), random_cut(bert, tmp_path / "many", max_shard_size=SIZE)
    files = read_checkpoint(many).weight_files
    assert len(files) > 2
    assert not (many / WEIGHTS).exists()
    assert all(path.stat().st_size < 25_000 for path in files)
    assert tensors_of(many) == tensors_of(one)
    inputs = tiny.tiny_inputs(tiny.load(one))
    assert torch.equal(*(tiny.outputs(tiny.load(folder), inputs) for folder in (one, many)))


def test_the_index_names_every_tensor_and_the_size(bert: Path, tmp_path: Path) -> None:
    cut = random_cut(bert, tmp_path / "cut", max_shard_size=SIZE)
    tensors = read_checkpoint(cut).tensors
    assert json.loads((cut / INDEX).read_text()) == {
        "metadata": {"total_size": sum(entry.size for entry in tensors.values())},
        "weight_map": {name: entry.path.name for name, entry in tensors.items()},
    }


def test_shards_are_planned_and_recorded(bert: Path, tmp_path: Path) -> None:
    masks = tiny.random_masks(tiny.sizes(bert), ("head",), seed=0)
    cut = tiny.cut(bert, masks, tmp_path / "cut", max_shard_size=SIZE)
    options = {"source": bert, "masks": tmp_path / "cut-masks", "dry_run": True, "max_shard_size": SIZE}
    written = sorted(path.name for path in cut.iterdir())
    assert apply_masks.run(ApplyMasksConfig.of(options)).files == tuple(written)
    noted = json.loads((cut / "prunecli.json").read_text())["sha256"]
    files = [cut / name for name in written if name != "prunecli.json"]
    assert noted == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_a_cut_in_shards_can_be_cut_again(bert: Path, tmp_path: Path) -> None:
    twice = [
        random_cut(random_cut(bert, tmp_path / f"{size}-once", 1, max_shard_size=size), tmp_path / size, 2)
        for size in (SIZE, "1GB")
    ]
    assert tensors_of(twice[0]) == tensors_of(twice[1])


def test_a_cut_in_shards_passes_every_check(bert: Path, tmp_path: Path) -> None:
    masks = tmp_path / "cut-masks" / "masks.safetensors"
    cut = random_cut(bert, tmp_path / "cut", max_shard_size=SIZE)
    config = VerifyConfig.of({"checkpoint": cut, "against": bert, "masks": masks})
    found = {finding.check: finding.status for finding in verify_automodel.run(config).findings}
    assert set(found.values()) == {"pass"}


def test_a_failure_in_a_later_shard_leaves_nothing(
    bert: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: Path, chunks: Any) -> str:
        if "00001" not in path.name:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_hashed(path, chunks)

    monkeypatch.setattr(shards, "write_hashed", full)
    with pytest.raises(InputError, match="No space left"):
        random_cut(bert, tmp_path / "cut", max_shard_size=SIZE)
    assert [path.name for path in tmp_path.iterdir()] == ["cut-masks"]


def test_a_disk_that_fails_to_flush_is_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failures = iter([OSError(errno.EIO, "Input/output error")])

    def failing(descriptor: int) -> None:
        for error in failures:  # the system reports a lost write once
            raise error

    monkeypatch.setattr(hashed_file.os, "fsync", failing)
    monkeypatch.setattr(hashed_file, "STEP_BYTES", 2)
    with pytest.raises(OSError, match="Input/output error"):
        write_hashed(tmp_path / "file", [b"abc"] * 5)


@pytest.mark.parametrize("step", [1, 7, 1000])
def test_the_hash_is_that_of_the_file(step: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hashed_file, "STEP_BYTES", step)
    digest = write_hashed(tmp_path / "file", (bytes([number]) * number for number in range(50)))
    assert digest == hashlib.sha256((tmp_path / "file").read_bytes()).hexdigest()


@pytest.mark.parametrize("limit", ["50GB", "2MB"])
def test_no_tensor_is_ever_held_whole(limit: str, tmp_path: Path) -> None:
    sizes = {"vocab_size": 1 << 16, "intermediate_size": 1 << 15}  # tensors of 8 MB and 4 MB
    source = tiny.save_tiny(tmp_path / "source", "bert", **sizes)
    encoder, checkpoint = tiny.sizes(source), read_checkpoint(source)
    masks = tiny.random_masks(encoder, GROUPS, seed=0, real=True)
    plan = plan_cut(checkpoint, encoder, masks, tiny.MaskSet({}))
    tracemalloc.start()
    try:
        write_weights(tmp_path, plan.declared, cut_tensors(plan), parse_size(limit))
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 3_000_000
