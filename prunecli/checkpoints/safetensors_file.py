"""safetensors files by their headers: nothing is read before it is needed, nothing is built in memory.

The format (https://github.com/huggingface/safetensors#format): 8 bytes of header length, a JSON header with
dtype, shape and byte range of each tensor, then the bytes. The `safetensors` library rejects most broken
files; this reader also rejects duplicate names, needs no torch, and can hand out raw bytes to copy.
"""

import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError

MAX_HEADER = 25_000_000  # the hub's limit; the library itself allows 100 MB
BYTES = {
    "F64": 8, "I64": 8, "U64": 8, "F32": 4, "I32": 4, "U32": 4, "F16": 2, "BF16": 2, "I16": 2, "U16": 2,
    "F8_E4M3": 1, "F8_E5M2": 1, "I8": 1, "U8": 1, "BOOL": 1,
}  # fmt: skip
MAX_DIMENSIONS = 64
FLOATS = ("F64", "F32", "F16", "BF16")

# Some bytes of a file that is written as a stream; they may change once the next chunk is asked for.
Chunk = bytes | memoryview


@dataclass(frozen=True, slots=True)
class TensorEntry:
    """One tensor of a file: its name, type, shape, and where its bytes stand.

    Attributes:
        start: First byte, counted from the beginning of the file.
        stop: One past the last byte.
    """

    name: str
    dtype: str
    shape: tuple[int, ...]
    path: Path
    start: int
    stop: int

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return self.stop - self.start

    @property
    def elements(self) -> int:
        """Return the number of values."""
        return math.prod(self.shape)

    def read(self) -> bytearray:
        """Read the tensor's bytes."""
        with self.path.open("rb") as file:
            file.seek(self.start)
            data = bytearray(self.size)
            if file.readinto(data) != self.size:
                raise InputError(f"{self.path}: truncated at tensor {self.name}")
            return data

    def pieces(self, size: int) -> Iterator[memoryview]:
        """Read the tensor's bytes, `size` of them at a time; each piece takes the place of the one before."""
        piece = memoryview(bytearray(min(size, self.size)))
        with self.path.open("rb") as file:
            file.seek(self.start)
            for start in range(self.start, self.stop, size):
                piece = piece[: self.stop - start]
                if file.readinto(piece) != len(piece):
                    raise InputError(f"{self.path}: truncated at tensor {self.name}")
                yield piece


def read_header(path: Path) -> dict[str, TensorEntry]:
    """Read and check the header of one file.

    Raises:
        InputError: The file is not whole: the message says what is wrong and where.
    """
    try:
        with path.open("rb") as file:
            total = path.stat().st_size
            length = int.from_bytes(file.read(8), "little")
            if total < 8 or length > total - 8:
                raise InputError(
                    f"{path} is truncated: its header does not fit into the file's {total:,} bytes",
                    "copy or download the file again",
                )
            if length > MAX_HEADER:
                raise InputError(f"{path}: a header of {length:,} bytes is over the limit of {MAX_HEADER:,}")
            text = file.read(length)
    except OSError as error:
        raise InputError(f"{path} cannot be read: {error.strerror}") from None
    if not text.startswith(b"{"):
        raise InputError(f"{path} is not a safetensors file")
    try:
        header = strict_json.parse_object(text.decode("utf-8"), f"header of {path}")
    except UnicodeDecodeError:
        raise InputError(f"header of {path} is not UTF-8") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise InputError(f"{path}: __metadata__ in the header is no mapping of strings")
    entries = [_entry(path, name, value, 8 + length) for name, value in header.items()]
    _check_contiguous(path, sorted(entries, key=lambda entry: (entry.start, entry.stop)), 8 + length, total)
    return {entry.name: entry for entry in entries}


def read_metadata(path: Path) -> dict[str, str]:
    """Return the `__metadata__` of a file whose header `read_header` has accepted."""
    with path.open("rb") as file:
        text = file.read(int.from_bytes(file.read(8), "little")).decode("utf-8")
    metadata = json.loads(text).get("__metadata__") or {}
    return {str(key): str(value) for key, value in metadata.items()}


def _entry(path: Path, name: str, value: object, base: int) -> TensorEntry:
    try:
        dtype, shape, (start, stop) = value["dtype"], tuple(value["shape"]), value["data_offsets"]  # type: ignore[index]
        whole = len(shape) <= MAX_DIMENSIONS and all(
            type(size) is int and size >= 0 for size in (*shape, start, stop)
        )
        if not whole or stop - start != math.prod(shape) * BYTES[dtype]:
            raise ValueError
    except (KeyError, TypeError, ValueError):
        raise InputError(f"{path}: the header's entry for tensor {name!r} makes no sense") from None
    return TensorEntry(name, dtype, shape, path, base + start, base + stop)


def _check_contiguous(path: Path, entries: list[TensorEntry], base: int, total: int) -> None:
    position = base
    for entry in entries:
        if entry.start != position:
            raise InputError(f"{path}: bytes of tensor {entry.name!r} overlap others or leave a hole")
        position = entry.stop
    if position != total:
        raise InputError(
            f"{path} is truncated or has trailing bytes: {total:,} bytes, the header describes {position:,}",
            "copy or download the file again",
        )


@dataclass(frozen=True, slots=True)
class Declared:
    """A tensor that will be written: its type and shape are known before its bytes."""

    name: str
    dtype: str
    shape: tuple[int, ...]

    @property
    def size(self) -> int:
        """Return the number of bytes."""
        return math.prod(self.shape) * BYTES[self.dtype]


def serialize(
    tensors: Sequence[Declared], chunks: Iterable[Chunk], metadata: Mapping[str, str]
) -> Iterator[Chunk]:
    """Yield the bytes of a safetensors file: the header, then the chunks as they come.

    Args:
        tensors: What the file shall hold, in the order of its bytes.
        chunks: The bytes of these tensors, one after the other, in pieces of any size.
        metadata: Header metadata.

    Raises:
        ValueError: `chunks` ends early or late.
    """
    header: dict[str, object] = {"__metadata__": dict(metadata)}
    position = 0
    for tensor in tensors:
        offsets = [position, position + tensor.size]
        header[tensor.name] = {"dtype": tensor.dtype, "shape": list(tensor.shape), "data_offsets": offsets}
        position += tensor.size
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)  # the format aligns the bytes to 8
    yield len(text).to_bytes(8, "little") + text
    came = 0
    for chunk in chunks:
        came += len(chunk)
        yield chunk
    if came != position:
        raise ValueError(f"{came} bytes came for tensors of {position} bytes")
