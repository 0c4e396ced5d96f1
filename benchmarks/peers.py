"""Other pruning libraries and this one: the same checkpoint, budget and training rows, no retraining.

    python -m benchmarks.peers CHECKPOINT TASK [--data-dir DIR] [--budgets 0.5 0.3] [--rows 512] [--json]

The others are not installed with the project; without them their rows say so. In an environment of its own:

    pip install -c constraints.txt . torch-pruning==1.6.1
    pip install --no-deps textpruner==1.1.post2      its pins are of 2023

Every candidate (`benchmarks/pruners.py`) runs in a process of its own, which loads the dense model, cuts it, scores
the cut model on the validation rows, and lets it take turns with the dense one on one thread. What fails there is
that candidate's row. Then a fresh process loads what was saved with an AutoModel, and nothing of ours, and compares
logits. Set OMP_NUM_THREADS=1 where others use the machine too.

    MACs        of the layers' linears and attention, at the mean length of the training rows, as a share of the
                dense ones; counted by the shapes in the cut model
    seconds     scoring, choosing and cutting, in wall time; for ours the refit and one evaluation too
    peak        largest resident size of the process up to there, with interpreter and libraries
    speed-up    dense time by cut time, 128 tokens, median over the rounds
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from functools import partial
from itertools import product
from pathlib import Path

import torch

from benchmarks.pruners import CANDIDATES, Cut, Job, count_macs, live_shapes
from prunecli.inference.peak_memory import resident_peak
from prunecli.inference.random_batch import random_batch
from prunecli.inference.timing import Spread, take_turns, threads
from prunecli.models.loading import Loaded
from prunecli.models.pruned import AUTO_CLASSES

TOKENS, BATCH_SIZES = 128, (1, 8)
PROBE = "probe.pt"  # inputs and logits, beside the saved model
RELOAD = f"""
import sys, torch, transformers
folder, auto_class = sys.argv[1:]
auto = getattr(transformers, auto_class)
model = auto.from_pretrained(folder, trust_remote_code=True, dtype=torch.float32).eval()
probe = torch.load(folder + "/{PROBE}")
print(float((model(**probe["inputs"]).logits - probe["logits"]).detach().abs().max()))
"""
SAME = 1e-4  # largest difference of logits between the live model and the reloaded one


@dataclass(frozen=True, slots=True)
class Row:
    """What one candidate gave at one budget; after an error there is nothing else.

    Attributes:
        candidate: Library and method.
        asked: Share of the dense MACs that was asked for.
        reached: The share that the cut model computes.
        metric: The headline metric of the cut model, on validation rows.
        seconds: Wall time of scoring and cutting.
        peak: Bytes that the process had in memory at most until then.
        speedups: Over the dense model, with the middle half of the rounds, by batch size.
        reloads: `yes`, or why not.
        note: What else a reader has to know.
        error: Why there is nothing: the first line.
    """

    candidate: str
    asked: float
    reached: float = 0.0
    metric: float = 0.0
    seconds: float = 0.0
    peak: int = 0
    speedups: dict[str, Spread] = field(default_factory=dict)
    reloads: str = ""
    note: str = ""
    error: str = ""


def measure(name: str, job: Job, rounds: int) -> Row:
    """Let a candidate cut, and measure what came of it; the model that is reloaded goes to `model` of the folder."""
    cut = CANDIDATES[name](job)
    peak = resident_peak()
    session = job.session()
    dense, encoder, tokens = session.loaded.model, session.loaded.encoder, session.features.mean_length
    macs = [count_macs(live_shapes(model, encoder), encoder, tokens) for model in (cut.model, dense)]
    return Row(
        candidate=name,
        asked=job.budget,
        reached=macs[0] / macs[1],
        metric=session.evaluate(cut.model)[session.task.metrics[0]],
        seconds=cut.seconds,
        peak=peak,
        speedups=speedups(session.loaded, cut, rounds),
        reloads=reload(cut, job.folder / "model", session.loaded.head),
        note=cut.note,
    )


def speedups(dense: Loaded, cut: Cut, rounds: int) -> dict[str, Spread]:
    """Let the dense model and the cut one take turns on one thread; the result is by batch size."""
    dense.model.train(False)
    cut.model.train(False)
    found = {}
    with threads(1):
        for size in BATCH_SIZES:
            inputs = random_batch(dense.model, dense.head, size, TOKENS)
            runs = [partial(model, **inputs) for model in (dense.model, cut.model)]
            slow, fast = take_turns(runs, rounds, torch.device("cpu"))
            found[str(size)] = Spread.of([first / second for first, second in zip(slow, fast, strict=True)])
    return found


@torch.inference_mode()
def reload(cut: Cut, folder: Path, head: str) -> str:
    """Save the cut model, unless the candidate has, and say whether a fresh process gets the same logits from it."""
    if not folder.is_dir():
        cut.model.save_pretrained(folder)
    inputs = random_batch(cut.model, head, 2, 16)
    torch.save({"inputs": inputs, "logits": cut.model(**inputs).logits}, folder / PROBE)
    command = [sys.executable, "-c", RELOAD, str(folder), AUTO_CLASSES[head]]
    offline = {"HF_HUB_OFFLINE": "1", "HF_MODULES_CACHE": str(folder.parent / "modules")}
    done = subprocess.run(command, capture_output=True, text=True, cwd=folder, env=os.environ | offline)
    if done.returncode:
        return f"no: {last_line(done.stderr)}"
    difference = float(done.stdout)
    return "yes" if difference <= SAME else f"no: logits differ by {difference:.2g}"


def last_line(said: str) -> str:
    """Return the line of a traceback that names the error: the last one that is not indented."""
    lines = [line for line in said.splitlines() if line and not line[0].isspace()]
    errors = [line for line in lines if "Error" in line.partition(":")[0]]
    return (errors or lines or ["no word"])[-1]


def run_apart(name: str, job: Job, rounds: int) -> Row:
    """Run a candidate in a process of its own and read the row that it prints last."""
    options = [f"--budgets={job.budget}", f"--rows={job.rows}", f"--rounds={rounds}"]
    options += [f"--data-dir={job.data_dir}"] if job.data_dir else []
    words = [str(job.checkpoint), job.task, *options, f"--candidate={name}"]
    command = [sys.executable, "-m", "benchmarks.peers", *words]
    done = subprocess.run(command, capture_output=True, text=True, stdin=subprocess.DEVNULL)
    return read_row(name, job.budget, done)


def read_row(name: str, budget: float, done: "subprocess.CompletedProcess[str]") -> Row:
    """Return the row that a process printed, or one that says why there is none."""
    if done.returncode:
        died = f"status {done.returncode}: " if done.returncode < 0 else ""
        return Row(name, budget, error=died + last_line(done.stderr))
    found = json.loads(done.stdout.splitlines()[-1])
    spreads = {size: Spread(**spread) for size, spread in found["speedups"].items()}
    return Row(**{**found, "speedups": spreads})


def table(rows: list[Row]) -> Iterator[str]:
    """Yield the lines of a markdown table."""
    sizes = [f"speed-up, batch {size}" for size in BATCH_SIZES]
    yield f"| MACs asked | candidate | reached | metric | seconds | peak MB | {' | '.join(sizes)} | reloads |"
    yield f"|---:|---|---:|---:|---:|---:|{'---:|' * len(sizes)}---|"
    for row in rows:
        if row.error:
            yield f"| {row.asked:g} | {row.candidate} | {'| ' * (4 + len(sizes))}did not run: {row.error} |"
            continue
        times = [
            f"{spread.median:.2f} ({spread.low:.2f} to {spread.high:.2f})" for spread in row.speedups.values()
        ]
        numbers = (
            f"{row.reached:.4f}",
            f"{row.metric:.4f}",
            f"{row.seconds:.1f}",
            f"{row.peak / 1e6:.0f}",
            *times,
        )
        reloads = f"{row.reloads} ({row.note})" if row.note else row.reloads
        yield f"| {row.asked:g} | {row.candidate} | {' | '.join(numbers)} | {reloads} |"


def main() -> None:
    """Run all candidates at all budgets, or one in this process."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("checkpoint", type=Path)
    parser.add_argument("task")
    parser.add_argument("--data-dir", type=Path, help="folder with the task's rows; default: the hub")
    parser.add_argument(
        "--budgets", type=float, nargs="+", default=[0.5, 0.3], help="shares of the dense MACs"
    )
    parser.add_argument("--rows", type=int, default=512, help="training rows that candidates look at")
    parser.add_argument("--rounds", type=int, default=15, help="forward passes of each model and batch size")
    parser.add_argument("--json", action="store_true", help="a line of JSON a row, as soon as there is one")
    parser.add_argument("--candidate", choices=CANDIDATES, help="only this one, in this process, as JSON")
    asked = parser.parse_args()
    measured = measure if asked.candidate else run_apart
    names = [asked.candidate] if asked.candidate else CANDIDATES
    rows = []
    for budget, name in product(asked.budgets, names):
        with tempfile.TemporaryDirectory() as folder:
            job = Job(asked.checkpoint, asked.task, asked.data_dir, budget, asked.rows, Path(folder))
            rows.append(measured(name, job, asked.rounds))
        if asked.candidate or asked.json:
            print(json.dumps(asdict(rows[-1])), flush=True)
    if not (asked.candidate or asked.json):
        print(*table(rows), sep="\n")


if __name__ == "__main__":
    main()
