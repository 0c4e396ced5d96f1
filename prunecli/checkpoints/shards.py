"""Weights in one file or in several: sizes, names and index as `save_pretrained` has them."""

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import chain, islice
from pathlib import Path

from prunecli.checkpoints.folder import INDEX, WEIGHTS
from prunecli.checkpoints.hashed_file import write_hashed
from prunecli.checkpoints.safetensors_file import Chunk, Declared, serialize
from prunecli.checkpoints.strict_json import write_json
from prunecli.errors import InputError

UNITS = {"KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}


def parse_size(text: str) -> int:
    """Return the bytes of a size such as `500MB` or `1.5GB`, counted as `save_pretrained` counts them.

    Raises:
        InputError: It is no such size.
    """
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?) ?([KMGT]B)", text.strip().upper())
    size = int(float(match[1]) * UNITS[match[2]]) if match else 0
    if not size:
        raise InputError(f"{text!r} is no size of a shard", "write it as 5GB or 500MB")
    return size


def split(tensors: Sequence[Declared], limit: int) -> dict[str, list[Declared]]:
    """Return which tensors each file holds, in order; a tensor over the limit has a file of its own."""
    shards: list[list[Declared]] = [[]]
    size = 0
    for tensor in tensors:
        if shards[-1] and size + tensor.size > limit:
            shards.append([])
            size = 0
        shards[-1].append(tensor)
        size += tensor.size
    if len(shards) == 1:
        return {WEIGHTS: shards[0]}
    stem, suffix = WEIGHTS.split(".")
    return {
        f"{stem}-{number:05d}-of-{len(shards):05d}.{suffix}": shard for number, shard in enumerate(shards, 1)
    }


def file_names(tensors: Sequence[Declared], limit: int) -> list[str]:
    """Return the names of the files that `write_weights` writes."""
    names = list(split(tensors, limit))
    return names if names == [WEIGHTS] else [*names, INDEX]


def write_weights(
    folder: Path, tensors: Sequence[Declared], contents: Iterable[Iterable[Chunk]], limit: int
) -> dict[str, str]:
    """Write tensors as a stream, flushed to the disk.

    Args:
        folder: Where to.
        tensors: What to write, in order.
        contents: The bytes of each, in pieces.
        limit: Bytes of tensors that a file may hold.

    Returns:
        The sha256 of each file of tensors, by name.
    """
    shards = split(tensors, limit)
    each: Iterator[Iterable[Chunk]] = iter(contents)
    digests = {}
    for name, shard in shards.items():
        chunks = chain.from_iterable(islice(each, len(shard)))
        digests[name] = write_hashed(folder / name, serialize(shard, chunks, {"format": "pt"}))
    if len(shards) > 1:
        weight_map = {tensor.name: name for name, shard in shards.items() for tensor in shard}
        total = sum(tensor.size for tensor in tensors)
        write_json(folder / INDEX, {"metadata": {"total_size": total}, "weight_map": weight_map})
    return digests
