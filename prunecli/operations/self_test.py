"""`self-test`: the whole story on the bundled model, offline, in a minute, with each outcome checked."""

import json
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from prunecli.checkpoints.atomic import check_target
from prunecli.config import ApplyMasksConfig, PredictConfig, SelfTestConfig, TrainMasksConfig, VerifyConfig
from prunecli.reports.run_record import versions

MARGIN = 0.05  # accuracy that pruning may cost here; the cut itself may cost nothing


@dataclass(frozen=True, slots=True)
class Step:
    """One step of the story.

    Attributes:
        name: The verb.
        passed: Whether the outcome is what it has to be.
        detail: The outcome.
        seconds: Wall time.
    """

    name: str
    passed: bool
    detail: str
    seconds: float


@dataclass(frozen=True, slots=True)
class SelfTestResult:
    """The verdict.

    Attributes:
        passed: Whether every step passed.
        steps: What was done.
        seconds: Wall time of all.
        versions: Versions of everything that can change a result.
    """

    passed: bool
    steps: tuple[Step, ...]
    seconds: float
    versions: dict[str, str]


def run(config: SelfTestConfig) -> SelfTestResult:
    """Train masks, cut, verify and predict; stop at the first step that fails."""
    started = time.perf_counter()
    steps: list[Step] = []
    if config.keep is not None:
        check_target(config.keep, overwrite=False)
        config.keep.mkdir(parents=True, exist_ok=True)
    with ExitStack() as stack:
        stack.enter_context(_one_thread())
        folder = config.keep or Path(
            stack.enter_context(tempfile.TemporaryDirectory(prefix="prunecli-self-test-"))
        )
        for name, action in (
            ("train-masks", _train),
            ("apply-masks", _apply),
            ("verify-automodel", _verify),
            ("predict", _predict),
        ):
            steps.append(_timed(name, action, folder))
            if not steps[-1].passed:
                break
    return SelfTestResult(
        all(step.passed for step in steps), tuple(steps), time.perf_counter() - started, versions()
    )


@contextmanager
def _one_thread() -> Iterator[None]:
    """Compute with one thread: the bundled model is so small that a second one costs more than it brings."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _timed(name: str, action: Callable[[Path], tuple[bool, str]], folder: Path) -> Step:
    started = time.perf_counter()
    try:
        passed, detail = action(folder)
    except Exception as error:  # a step that breaks is a failed step, whatever broke it
        passed, detail = False, f"{type(error).__name__}: {error}"
    return Step(name, passed, detail, time.perf_counter() - started)


def _train(folder: Path) -> tuple[bool, str]:
    from prunecli.operations import train_masks

    config = TrainMasksConfig(
        model="demo", task="demo", out=folder / "run", learn_masks=("head", "ffn_int"), num_epochs=2, lr=3e-4,
        masks_lr=0.05, mask_init="open", gumbel_temp_start=1.0, max_length=64, device="cpu",
    )  # fmt: skip
    result = train_masks.run(config)
    dense, masked = (result.dense or {}).get("accuracy", 0.0), result.masked["accuracy"]
    removed = any(density < 1 for density in result.density.values())
    shares = ", ".join(f"{group} {density:.0%} kept" for group, density in result.density.items())
    return removed and masked >= dense - MARGIN, f"accuracy {dense:.4f} -> {masked:.4f}, {shares}"


def _apply(folder: Path) -> tuple[bool, str]:
    from prunecli.operations import apply_masks

    result = apply_masks.run(ApplyMasksConfig(source=folder / "run", out=folder / "pruned"))
    before, after = result.parameters
    return (
        after < before,
        f"{before:,} -> {after:,} parameters, encoder FLOPs {result.flops[1] / result.flops[0]:.1%}",
    )


def _verify(folder: Path) -> tuple[bool, str]:
    from prunecli.operations import verify_automodel

    result = verify_automodel.run(VerifyConfig(checkpoint=folder / "pruned", against=folder / "run"))
    failed = [finding for finding in result.findings if finding.status == "fail"]
    parity = next(finding.detail for finding in result.findings if finding.check == "parity")
    return result.passed, f"{failed[0].check}: {failed[0].detail}" if failed else parity


def _predict(folder: Path) -> tuple[bool, str]:
    from prunecli.operations import predict
    from prunecli.tasks import load_task

    rows = load_task("demo").validation.to_list()
    texts = folder / "validation.jsonl"
    texts.write_text("".join(json.dumps({"text": row["text"]}) + "\n" for row in rows), encoding="utf-8")
    records = list(
        predict.run(
            PredictConfig(checkpoint=folder / "pruned", source=str(texts), max_length=64, device="cpu")
        )
    )
    names = {0: "negative", 1: "positive"}
    right = sum(record["label"] == names[row["label"]] for record, row in zip(records, rows, strict=True))
    trained = json.loads((folder / "run" / "run.json").read_text(encoding="utf-8"))["result"]["masked"][
        "accuracy"
    ]
    accuracy = right / len(rows)
    return accuracy == trained, f"accuracy {accuracy:.4f} on {len(rows)} texts, trained {trained:.4f}"
