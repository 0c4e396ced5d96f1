"""How much memory a checkpoint takes: measured in a process of its own, which does nothing else.

    python -m prunecli.inference.peak_memory FOLDER BATCH_SIZE TOKENS THREADS DEVICE

prints bytes: on an accelerator what its allocator gave at most, else by how much the process grew.
"""

import subprocess
import sys
from pathlib import Path

import torch

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.errors import PruneError
from prunecli.inference.random_batch import random_batch
from prunecli.models.loading import load_model


def peak_memory(folder: Path, batch_size: int, tokens: int, threads: int, device: str) -> int | None:
    """Return the bytes that loading a checkpoint and a forward pass take at most; None where nothing says it."""
    words = (str(folder), str(batch_size), str(tokens), str(threads), device)
    command = [sys.executable, "-m", "prunecli.inference.peak_memory", *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["no word"])[-1]
        raise PruneError(f"{folder}: the process that measures memory failed: {said}", "use smaller batches")
    return int(done.stdout) or None


@torch.inference_mode()
def _measure(folder: Path, batch_size: int, tokens: int, threads: int, device: str) -> int:
    torch.set_num_threads(threads)
    before = resident_peak()
    loaded = load_model(read_checkpoint(folder))
    model = loaded.model.to(torch.device(device))  # type: ignore[arg-type]
    model(**random_batch(model, loaded.head, batch_size, tokens))
    if device == "cuda":
        return torch.cuda.max_memory_allocated()
    return resident_peak() - before


def resident_peak() -> int:
    """Return the bytes that this process has had in memory at most; 0 where the system does not say."""
    status = Path("/proc/self/status")
    if status.is_file():  # getrusage's number would be the parent's, if that was larger before the exec
        line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    try:
        import resource
    except ImportError:
        return 0
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss  # bytes on macOS


if __name__ == "__main__":
    path, batch, length, count, name = sys.argv[1:]
    print(_measure(Path(path), int(batch), int(length), int(count), name))  # noqa: T201
