"""Broken and hostile safetensors files are refused by name, before a tensor is read."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from prunecli.checkpoints.safetensors_file import MAX_HEADER, Declared, TensorEntry, read_header, serialize
from prunecli.errors import InputError

ONE = {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}


def file_of(header: dict[str, Any] | bytes, data: bytes = bytes(8), length: int | None = None) -> bytes:
    """Return a safetensors file with any header, any data and, where given, a wrong header length."""
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return (len(text) if length is None else length).to_bytes(8, "little") + text + data


def entry(**changes: Any) -> bytes:
    """Return a file of one tensor whose header entry is changed."""
    return file_of({"x": {**ONE, **changes}})


HOSTILE = {
    "empty": b"",
    "shorter than the length field": b"\x02\0\0\0",
    "header longer than the file": file_of({"x": ONE}, length=10_000),
    "header length near 2**64": file_of({"x": ONE}, length=2**64 - 1),
    "data cut short": file_of({"x": ONE}, bytes(7)),
    "trailing bytes": file_of({"x": ONE}, bytes(9)),
    "no JSON": file_of(b"{not json"),
    "no UTF-8": file_of(b'{"\xff": 1}'),
    "starts with a space": file_of(b" " + json.dumps({"x": ONE}).encode()),
    "a list": file_of(b"[]"),
    "a pickle": b"\x80\x04\x95" + bytes(100),
    "NaN in the header": file_of(b'{"x": NaN}'),
    "one name twice": file_of(b'{"x":%b,"x":%b}' % ((json.dumps(ONE).encode(),) * 2)),
    "two tensors share bytes": file_of({"x": ONE, "y": {**ONE, "data_offsets": [4, 12]}}, bytes(12)),
    "two tensors at one place": file_of({"x": ONE, "y": ONE}),
    "hole between tensors": file_of({"x": ONE, "y": {**ONE, "data_offsets": [12, 20]}}, bytes(20)),
    "hole before the first": file_of({"x": {**ONE, "data_offsets": [4, 12]}}, bytes(12)),
    "shape does not fit the bytes": entry(shape=[3]),
    "negative shape": entry(shape=[-1, -2]),
    "shape of fractions": entry(shape=[2.0]),
    "shape of truth values": entry(shape=[True, 2]),
    "shape of strings": entry(shape="2"),
    "shape is no list": entry(shape=2),
    "shape of 10**40 values": entry(shape=[10**20, 10**20]),
    "shape overflows 64 bits to the right size": entry(shape=[2**62 + 2, 4]),
    "unknown type": entry(dtype="F33"),
    "type is a list": entry(dtype=["F32"]),
    "offsets backwards": entry(data_offsets=[8, 0]),
    "negative offset": entry(data_offsets=[-8, 0]),
    "three offsets": entry(data_offsets=[0, 4, 8]),
    "no offsets": file_of({"x": {"dtype": "F32", "shape": [2]}}),
    "entry is no object": file_of({"x": 1}),
    "metadata is a list": file_of({"__metadata__": ["a"], "x": ONE}),
    "metadata value is a number": file_of({"__metadata__": {"a": 1}, "x": ONE}),
}


@pytest.mark.parametrize("kind", HOSTILE)
def test_a_hostile_file_is_refused_by_name(kind: str, tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    path.write_bytes(HOSTILE[kind])
    with pytest.raises(InputError, match=r"hostile\.safetensors"):
        read_header(path)


def test_a_header_over_the_limit_is_not_even_read(tmp_path: Path) -> None:
    path = tmp_path / "hostile.safetensors"
    with path.open("wb") as file:  # sparse: takes no room on the disk
        file.write((MAX_HEADER + 1).to_bytes(8, "little") + b"{")
        file.truncate(MAX_HEADER + 100)
    with pytest.raises(
        InputError, match=r"hostile\.safetensors: a header of 25,000,001 bytes is over the limit"
    ):
        read_header(path)


@pytest.mark.parametrize("name", ["absent.safetensors", "."])
def test_a_missing_file_is_named(name: str, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        read_header(tmp_path / name)


def test_a_file_cut_short_after_its_header_was_read_is_noticed(tmp_path: Path) -> None:
    path = tmp_path / "x.safetensors"
    save_file({"x": torch.ones(4)}, path)
    found = read_header(path)["x"]
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(InputError, match=r"x\.safetensors: truncated at tensor x"):
        found.read()
    with pytest.raises(InputError, match=r"x\.safetensors: truncated at tensor x"):
        list(found.pieces(7))


@pytest.mark.parametrize("size", [1, 5, 16, 99])
def test_a_tensor_is_read_in_pieces(size: int, tmp_path: Path) -> None:
    save_file({"x": torch.arange(4), "y": torch.ones(4)}, tmp_path / "x.safetensors")
    found = read_header(tmp_path / "x.safetensors")["x"]
    pieces = [bytes(piece) for piece in found.pieces(size)]
    assert b"".join(pieces) == found.read()
    assert max(map(len, pieces)) <= size


def test_an_entry_knows_its_size_and_elements() -> None:
    found = TensorEntry("x", "F16", (3, 4), Path("x"), 8, 32)
    assert (found.size, found.elements) == (24, 12)


@pytest.mark.parametrize("chunks", [[b"123"], [b"1234", b"5"], []])
def test_chunks_of_another_length_than_declared_are_an_error(chunks: list[bytes]) -> None:
    with pytest.raises(ValueError, match="bytes came for tensors of 4 bytes"):
        list(serialize([Declared("x", "U8", (4,))], chunks, {}))


def test_the_data_start_at_a_multiple_of_eight() -> None:
    header, _ = serialize([Declared("x", "F64", (1,))], [bytes(8)], {"a": "b"})
    assert len(header) % 8 == 0
