"""How long does a cut take, and how much memory, compared with copying the bytes and with slicing in torch?

    python benchmarks/apply_masks.py [--shard-size 400MB] [--rounds 5] [--folder DIR] [--json]

A new checkpoint of random weights, as large as bert-large (1.3 GB), loses half of its heads and neurons. In every
round these processes take turns, each alone, on files that the page cache holds:

    cp              cp of as many bytes as the cut writes, flushed to the disk (apply-masks flushes too), and a
                    read of the rest of the source into nothing
    cp + sha256     the same, and a sha256 of the copy (apply-masks takes one too)
    cut             prunecli apply-masks
    cut, tiny       its start-up: the same on a tiny checkpoint
    slice           load with transformers, index with torch, save_pretrained (which flushes nothing)
    slice, tiny     its start-up

What they write is deleted, and the disk is left to settle, before the next one starts; a first round warms up.
Memory is the peak resident size of the process above that of an interpreter that has imported the same modules.
Where others use the machine, the fastest round says more than the median.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median

# This process stays small: the peak resident size of a child counts that of its parent before exec.
LARGE = {"hidden_size": 1024, "num_hidden_layers": 24, "num_attention_heads": 16, "intermediate_size": 4096}
TINY = {"hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 128}
TINY |= {"vocab_size": 100, "max_position_embeddings": 16}
IMPORTS = "import prunecli.cli.app, prunecli.operations.apply_masks, prunecli.reports.model_card"


@dataclass(frozen=True, slots=True)
class Cost:
    """Wall seconds, CPU seconds and peak resident bytes of one process."""

    seconds: float
    cpu: float
    peak: int


@dataclass(frozen=True, slots=True)
class Row:
    """One command over all rounds: wall seconds, median CPU seconds, highest peak above the interpreter."""

    name: str
    median: float
    fastest: float
    cpu: float
    peak: int

    @classmethod
    def of(cls, name: str, costs: list[Cost], interpreter: int) -> "Row":
        seconds = [one.seconds for one in costs]
        peak = max(0, max(one.peak for one in costs) - interpreter)
        return cls(name, median(seconds), min(seconds), median(one.cpu for one in costs), peak)


def make(folder: Path, shard_size: str, tiny: bool) -> None:
    """Write a checkpoint of random weights and masks for it, a tensor at a time."""
    import numpy as np
    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from prunecli.checkpoints.folder import read_checkpoint
    from prunecli.checkpoints.safetensors_file import Declared
    from prunecli.checkpoints.shards import parse_size, write_weights
    from prunecli.masks import MaskSet, formats
    from prunecli.models.pruned import encoder_of

    random = np.random.default_rng(0)
    config = BertConfig(**(TINY if tiny else LARGE), architectures=["BertForSequenceClassification"])
    with torch.device("meta"):
        state = BertForSequenceClassification(config).state_dict()
    tensors = [Declared(name, "F32", tuple(tensor.shape)) for name, tensor in state.items()]
    chunks = (0.02 * random.standard_normal(tensor.shape, np.float32) for tensor in tensors)
    config.save_pretrained(folder)
    write_weights(folder, tensors, ([chunk.data.cast("B")] for chunk in chunks), parse_size(shard_size))
    encoder = encoder_of(read_checkpoint(folder))
    units = {"head": encoder.heads, "ffn_int": encoder.intermediate}
    masks = {name: random.random((encoder.layers, size)) < 0.5 for name, size in units.items()}
    (folder / "masks").mkdir()
    formats.write(
        MaskSet({name: mask.astype(np.float32) for name, mask in masks.items()}), encoder, folder / "masks"
    )


def load_slice_save(source: Path, out: Path) -> None:
    """Do in torch, by hand, what apply-masks does."""
    import torch
    from safetensors.torch import load_file
    from torch import nn
    from transformers import BertForSequenceClassification

    def keep(linear: nn.Linear, kept: torch.Tensor, dim: int) -> None:
        linear.weight = nn.Parameter(linear.weight.index_select(dim, kept))
        if dim == 0:
            linear.bias = nn.Parameter(linear.bias[kept])

    masks = load_file(source / "masks" / "masks.safetensors")
    model = BertForSequenceClassification.from_pretrained(source)
    width = model.config.hidden_size // model.config.num_attention_heads
    with torch.no_grad():
        for number, layer in enumerate(model.bert.encoder.layer):
            columns = masks["head"][number].repeat_interleave(width).nonzero().flatten()
            neurons = masks["ffn_int"][number].nonzero().flatten()
            attention = layer.attention
            for linear in (attention.self.query, attention.self.key, attention.self.value):
                keep(linear, columns, 0)
            keep(attention.output.dense, columns, 1)
            keep(layer.intermediate.dense, neurons, 0)
            keep(layer.output.dense, neurons, 1)
    model.save_pretrained(out)


def cost(*command: str | Path) -> Cost:
    """Run a process to its end, once the disk has nothing left to do for others."""
    os.sync()
    environment = {**os.environ, "TRANSFORMERS_VERBOSITY": "error", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    started = time.perf_counter()
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, env=environment)
    _, status, usage = os.wait4(child.pid, 0)
    seconds = time.perf_counter() - started
    if status:
        raise SystemExit(f"{command} failed")
    cpu = usage.ru_utime + usage.ru_stime
    return Cost(seconds, cpu, usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024))


class Workplace:
    """A folder with the checkpoints, and the three commands on them."""

    def __init__(self, folder: Path, shard_size: str) -> None:
        self.large, self.tiny, self.out = folder / "large", folder / "tiny", folder / "out"
        self.kept, self.rest = folder / "kept", folder / "rest"
        for path in (self.large, self.tiny):
            size = [] if path == self.tiny else ["--shard-size", shard_size]
            self.script("make", path, *size)
        self.cut(self.large)
        self.source_bytes = weight_bytes(self.large)
        self.written_bytes = weight_bytes(self.out)
        self.clear()
        source = b" ".join(os.fsencode(path) for path in sorted(self.large.glob("*.safetensors")))
        split = f"head -c {self.written_bytes} > {self.kept}; cat > {self.rest}"
        subprocess.run(["sh", "-c", f"cat {os.fsdecode(source)} | ({split})"], check=True)

    def script(self, *words: str | Path) -> Cost:
        """Run a step of this file in a process of its own."""
        return cost(sys.executable, __file__, *words)

    def clear(self) -> None:
        """Delete what the last command wrote."""
        shutil.rmtree(self.out, ignore_errors=True)
        self.out.with_suffix(".copy").unlink(missing_ok=True)

    def cp(self, *then: str) -> Cost:
        """Copy and flush what the cut writes, read what it reads."""
        copy = self.out.with_suffix(".copy")
        steps = (f"cp {self.kept} {copy}", f"sync {copy}", f"cat {self.rest} > /dev/null", *then)
        return cost("sh", "-c", " && ".join(steps))

    def cp_and_hash(self) -> Cost:
        """Do the same, and hash the copy."""
        hashing = "import hashlib, sys; hashlib.file_digest(open(sys.argv[1], 'rb'), 'sha256')"
        return self.cp(f'{sys.executable} -c "{hashing}" {self.out.with_suffix(".copy")}')

    def cut(self, source: Path) -> Cost:
        """Run apply-masks."""
        words = ("apply-masks", source, "--masks", source / "masks", "--out", self.out, "-q")
        return cost(sys.executable, "-m", "prunecli", *words)

    def slice(self, source: Path) -> Cost:
        """Load, slice, save."""
        return self.script("slice", source, "--out", self.out)


def weight_bytes(folder: Path) -> int:
    """Return the bytes of a folder's weight files."""
    return sum(path.stat().st_size for path in folder.glob("model*.safetensors"))


def measure(place: Workplace, rounds: int) -> list[Row]:
    """Let the commands take turns; the first round does not count."""
    commands = {
        "cp": place.cp,
        "cp + sha256": place.cp_and_hash,
        "cut": lambda: place.cut(place.large),
        "cut, tiny": lambda: place.cut(place.tiny),
        "slice": lambda: place.slice(place.large),
        "slice, tiny": lambda: place.slice(place.tiny),
    }
    costs: dict[str, list[Cost]] = {name: [] for name in commands}
    for _ in range(rounds + 1):
        for name, command in commands.items():
            costs[name].append(command())
            place.clear()
    interpreter = cost(sys.executable, "-c", IMPORTS).peak
    return [Row.of(name, found[1:], interpreter) for name, found in costs.items()]


def ratios(rows: list[Row]) -> dict[str, list[float]]:
    """Return ratios of medians and of fastest rounds; `net` is without start-up."""
    found: dict[str, list[float]] = {"cut net / cp": [], "slice / cut": [], "slice net / cut net": []}
    for times in ({row.name: row.median for row in rows}, {row.name: row.fastest for row in rows}):
        cut, by_hand = times["cut"] - times["cut, tiny"], times["slice"] - times["slice, tiny"]
        found["cut net / cp"].append(cut / times["cp"])
        found["slice / cut"].append(times["slice"] / times["cut"])
        found["slice net / cut net"].append(by_hand / cut)
    return found


def report(rows: list[Row]) -> None:
    """Print the tables."""
    print(f"{'seconds':<20}{'median':>9}{'fastest':>9}{'CPU':>9}{'peak MB':>9}")
    for row in rows:
        print(f"{row.name:<20}{row.median:>9.2f}{row.fastest:>9.2f}{row.cpu:>9.2f}{row.peak / 1e6:>9.0f}")
    for name, (of_medians, of_fastest) in ratios(rows).items():
        print(f"{name:<20}{of_medians:>9.2f}{of_fastest:>9.2f}")


def main() -> None:
    """Run the benchmark, or one of its steps in a process of its own."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("step", nargs="?", choices=("measure", "make", "slice"), default="measure")
    parser.add_argument("source", nargs="?", type=Path, help="checkpoint of the steps make and slice")
    parser.add_argument("--out", type=Path, help="folder that the step slice writes")
    parser.add_argument("--shard-size", default="50GB", help="largest file of the source, as 400MB")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--folder", type=Path, help="where to work: 5 GB, removed at the end")
    parser.add_argument("--json", action="store_true")
    asked = parser.parse_args()
    if asked.step == "make":
        make(asked.source, asked.shard_size, tiny=asked.source.name == "tiny")
        return
    if asked.step == "slice":
        load_slice_save(asked.source, asked.out)
        return
    with tempfile.TemporaryDirectory(dir=asked.folder) as folder:
        place = Workplace(Path(folder), asked.shard_size)
        rows = measure(place, asked.rounds)
    if asked.json:
        numbers = {"source_bytes": place.source_bytes, "written_bytes": place.written_bytes}
        print(json.dumps({**numbers, "rows": [asdict(row) for row in rows], "ratios": ratios(rows)}))
    else:
        print(f"source {place.source_bytes:,} bytes, written {place.written_bytes:,} bytes")
        report(rows)


if __name__ == "__main__":
    main()
