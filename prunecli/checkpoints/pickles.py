"""`pytorch_model.bin` without unpickling anything but tensors, and without torch.

Such a file is a zip: `data.pkl` describes the tensors, `data/KEY` are their bytes, stored as they are. The
description is read by an unpickler that knows three names, so nothing in it can call anything else. What comes out
says where each tensor's bytes stand in the file, as a safetensors header does.
"""

import io
import math
import pickle
import zipfile
from collections import OrderedDict
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from prunecli.checkpoints.safetensors_file import BYTES, MAX_DIMENSIONS, MAX_HEADER, TensorEntry
from prunecli.errors import InputError

STORAGES = {
    "DoubleStorage": "F64", "FloatStorage": "F32", "HalfStorage": "F16", "BFloat16Storage": "BF16",
    "LongStorage": "I64", "IntStorage": "I32", "ShortStorage": "I16", "CharStorage": "I8", "ByteStorage": "U8",
    "BoolStorage": "BOOL",
}  # fmt: skip

# What torch.save writes: no sets, no objects of classes, no calls of what a name does not stand for.
OPCODES = frozenset(
    code[0]
    for code in (
        pickle.PROTO, pickle.FRAME, pickle.STOP, pickle.MARK, pickle.NONE, pickle.NEWTRUE, pickle.NEWFALSE,
        pickle.BININT, pickle.BININT1, pickle.BININT2, pickle.LONG1, pickle.BINUNICODE, pickle.SHORT_BINUNICODE,
        pickle.EMPTY_TUPLE, pickle.TUPLE, pickle.TUPLE1, pickle.TUPLE2, pickle.TUPLE3, pickle.EMPTY_LIST,
        pickle.APPEND, pickle.APPENDS, pickle.EMPTY_DICT, pickle.SETITEM, pickle.SETITEMS, pickle.GLOBAL,
        pickle.STACK_GLOBAL, pickle.REDUCE, pickle.BUILD, pickle.BINPERSID, pickle.MEMOIZE, pickle.BINPUT,
        pickle.LONG_BINPUT, pickle.BINGET, pickle.LONG_BINGET,
    )
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class _Storage:
    """The bytes that tensors are cut from: their type, their name in the zip, and how many values there are."""

    dtype: str
    key: str
    elements: int


@dataclass(frozen=True, slots=True)
class _Tensor:
    """What a pickle says of one tensor."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    stride: tuple[int, ...]


class _Names(pickle._Unpickler):
    """Knows how tensors are described, and no other name; it never hashes, compares or prints what it does not know.

    A tuple that holds one tuple twice, and so on forty times over, is small to write and endless to hash. Python's
    unpickler and not C's, since that one cannot be kept from it.
    """

    stack: list[Any]

    def load_setitem(self) -> None:
        """Put one value into a dictionary."""
        self._check_keys([self.stack[-2]])
        pickle._Unpickler.dispatch[pickle.SETITEM[0]](self)  # type: ignore[arg-type]

    def load_setitems(self) -> None:
        """Put values into a dictionary."""
        self._check_keys(self.stack[::2])
        pickle._Unpickler.dispatch[pickle.SETITEMS[0]](self)  # type: ignore[arg-type]

    def load_build(self) -> None:
        """Leave out what is said of an object besides; of a state dict that is the version of its modules."""
        self.stack.pop()

    def refuse(self) -> None:
        """Take an instruction that no tensor needs."""
        raise pickle.UnpicklingError("it does more than describe tensors")

    dispatch: ClassVar[dict[int, Any]] = {
        **dict.fromkeys(pickle._Unpickler.dispatch, refuse),
        **{code: load for code, load in pickle._Unpickler.dispatch.items() if code in OPCODES},
        pickle.SETITEM[0]: load_setitem,
        pickle.SETITEMS[0]: load_setitems,
        pickle.BUILD[0]: load_build,
    }

    def _check_keys(self, keys: list[Any]) -> None:
        if not all(type(key) is str for key in keys):
            raise pickle.UnpicklingError("it is no mapping of names to tensors")

    def find_class(self, module: str, name: str) -> Any:
        """Return what stands for a name of torch; refuse every other."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _tensor
        if (module, name) == ("collections", "OrderedDict"):
            return _empty
        if module == "torch" and name in STORAGES:
            return STORAGES[name]
        raise pickle.UnpicklingError(f"it names {module}.{name}, which no tensor needs")

    def persistent_load(self, pid: Any) -> _Storage:
        """Return the storage that a tensor refers to."""
        kind, dtype, key, _, elements = pid
        if not (type(kind) is type(dtype) is type(key) is str and type(elements) is int):
            raise pickle.UnpicklingError("it refers to what is no storage")
        if kind != "storage" or dtype not in BYTES:
            raise pickle.UnpicklingError(f"it refers to {kind[:20]!r}, which is no storage of numbers")
        return _Storage(dtype, key, elements)


def _empty() -> OrderedDict[str, Any]:
    return OrderedDict()


def _tensor(storage: Any, offset: Any, shape: Any, stride: Any, *others: Any) -> _Tensor:
    whole = isinstance(storage, _Storage) and isinstance(shape, tuple) and isinstance(stride, tuple)
    sizes = (offset, *shape, *stride) if whole else ()
    if not whole or len(shape) != len(stride) or len(shape) > MAX_DIMENSIONS:
        raise pickle.UnpicklingError("a tensor's description makes no sense")
    if not all(type(size) is int and size >= 0 for size in sizes):
        raise pickle.UnpicklingError("a tensor's sizes make no sense")
    return _Tensor(storage, offset, shape, stride)


def read_pickle(path: Path) -> dict[str, TensorEntry]:
    """Return where the tensors of a file of `torch.save(state_dict)` stand.

    Raises:
        InputError: It is no such file, or it holds anything but tensors by name.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            member = next(item for item in archive.infolist() if item.filename.endswith("/data.pkl"))
            if member.file_size > MAX_HEADER:
                raise pickle.UnpicklingError(f"{member.file_size:,} bytes of descriptions are too many")
            found = _Names(io.BytesIO(archive.read(member))).load()
            folder = member.filename.removesuffix("data.pkl")
            places = {item.filename: _place(path, item) for item in archive.infolist()}
        return {name: _entry(path, name, value, places, folder) for name, value in _by_name(found)}
    except (OSError, zipfile.BadZipFile, StopIteration):
        raise InputError(
            f"{path} is not a zip that torch.save writes",
            "files of torch before 1.6 are none: load it once where you trust it and save it again",
        ) from None
    except Exception as error:  # what a broken pickle raises is anything
        raise InputError(f"{path} holds more than tensors: {error}", "take the safetensors file") from None


def _by_name(found: Any) -> list[tuple[str, _Tensor]]:
    items = list(found.items()) if isinstance(found, dict) else []
    if not items or not all(isinstance(key, str) and isinstance(value, _Tensor) for key, value in items):
        raise pickle.UnpicklingError("it is no mapping of names to tensors")
    return items


def _place(path: Path, item: zipfile.ZipInfo) -> tuple[int, int]:
    """Return the first byte of a zip's member and one past the last; they stand there as they are."""
    if item.compress_type != zipfile.ZIP_STORED or item.file_size != item.compress_size:
        raise pickle.UnpicklingError(f"{item.filename} is compressed")
    with path.open("rb") as file:
        file.seek(
            item.header_offset + 26
        )  # after 26 bytes of a local header: how long name and extra field are
        lengths = file.read(4)
    start = item.header_offset + 30 + sum(int.from_bytes(lengths[at : at + 2], "little") for at in (0, 2))
    if start + item.file_size > path.stat().st_size:
        raise pickle.UnpicklingError(f"{item.filename} ends after the file")
    return start, start + item.file_size


def _entry(
    path: Path, name: str, tensor: _Tensor, places: dict[str, tuple[int, int]], folder: str
) -> TensorEntry:
    """Return where one tensor's bytes stand."""
    storage, width = tensor.storage, BYTES[tensor.storage.dtype]
    strides = [math.prod(tensor.shape[axis + 1 :]) for axis in range(len(tensor.shape))]
    moves = [(a, b) for size, a, b in zip(tensor.shape, tensor.stride, strides, strict=True) if size > 1]
    if any(a != b for a, b in moves) and 0 not in tensor.shape:
        raise pickle.UnpicklingError(f"tensor {name} does not stand in the order of its rows")
    first, last = places[f"{folder}data/{storage.key}"]
    start = first + tensor.offset * width
    stop = start + math.prod(tensor.shape) * width
    if stop > last or storage.elements * width != last - first:
        raise pickle.UnpicklingError(f"tensor {name} is larger than its storage")
    return TensorEntry(name, storage.dtype, tensor.shape, path, start, stop)
