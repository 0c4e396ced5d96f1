"""Writes a file once, and knows its sha256 and that it is on the disk."""

import hashlib
import os
from collections.abc import Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

from prunecli.checkpoints.safetensors_file import Chunk

STEP_BYTES = 1 << 25  # written before hashing and flushing go on


def write_hashed(path: Path, chunks: Iterable[Chunk]) -> str:
    """Write a file, flush it to the disk, and return its sha256.

    Hashing takes as long as copying, and a flush at the end would wait for every byte. So both follow the writing,
    each in a thread of its own; what is hashed is read again while the system still holds it in memory.
    """
    digest = hashlib.sha256()
    with (
        path.open("wb") as file,
        path.open("rb", buffering=0) as written,
        ThreadPoolExecutor(1) as hashing,
        ThreadPoolExecutor(1) as flushing,
    ):

        def follow() -> list[Future[Any]]:
            file.flush()
            to_the_end = hashing.submit(hashlib.file_digest, written, lambda: digest)
            return [to_the_end, flushing.submit(os.fsync, file.fileno())]

        following, new = [], 0
        for chunk in chunks:
            new += file.write(chunk)
            if new >= STEP_BYTES:
                following += follow()
                new = 0
        for task in following + follow():
            task.result()
    return digest.hexdigest()
