"""`prunecli train-masks`."""

from pathlib import Path
from typing import TYPE_CHECKING

from prunecli import methods
from prunecli.cli.compare import show
from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import TrainMasksConfig
from prunecli.errors import ExitCode
from prunecli.fields import command_line

if TYPE_CHECKING:
    from prunecli.training.outcome import TrainMasksPlan, TrainMasksResult


def _run(config: TrainMasksConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import local_model
    from prunecli.tasks import check_task

    methods.check(config.method_name)
    if not config.resume:  # a run that is finished needs model and data no more
        local_model(config.model, config.task)
        check_task(config.task, config.data_dir)
        if config.teacher is not None:
            local_model(config.teacher, config.task)
    out.line("Loading torch and transformers ...")
    with loading():
        from prunecli.operations import train_masks

    if config.dry_run:
        plan = train_masks.plan(config)
        out.table(["", "plan"], _plan_rows(plan))
        if plan.stands:
            out.line(
                f"{plan.out} stands already, whole or begun: the run needs --overwrite, --resume or another --out."
            )
        out.result(plan, quiet=str(plan.out), verb=config.verb)
        return ExitCode.DONE
    if config.sweep:
        return _sweep(config, out)
    with out.progress() as progress:
        result = train_masks.run(config, progress)
    out.table(["", "dense", "masked", "kept"], _rows(result))
    out.result(result, quiet=str(result.out), verb=config.verb)
    missed = result.target is not None and result.target.missed
    if missed:
        out.line(f"The cut model is over 5 % slower than --target-speedup {config.target_speedup:g} asked.")
    out.line("Next: " + _cut_command(result.out, result.out.name))
    return ExitCode.VERDICT_NO if missed and config.strict else ExitCode.DONE


def _plan_rows(plan: "TrainMasksPlan") -> list[list[str]]:
    """Return what a run would do, in words."""
    windows = (
        "" if plan.examples == plan.rows else f", in {plan.examples[0]:,} and {plan.examples[1]:,} windows"
    )
    learned = [
        group if group == "layer" else f"{group} (of {units:,})" for group, units in plan.units.items()
    ]
    return [
        ["model", f"{plan.model}, {plan.layers} layers"],
        ["head", "new: trained from scratch" if plan.new_head else "the model's own"],
        ["task", f"{plan.task} ({plan.kind})"],
        ["data", f"{plan.data}: {plan.rows[0]:,} rows to train, {plan.rows[1]:,} to score{windows}"],
        ["method", plan.method],
        ["target", plan.target or "none: the method decides how much goes"],
        ["what may go", ", ".join(learned)],
        ["steps", f"{plan.steps:,}" if plan.steps else "0: no training"],
        ["encoder MFLOPs, at most", f"{plan.flops / 1e6:,.1f}, of {plan.tokens} tokens"],
        ["run folder", str(plan.out)],
    ]


def _rows(result: "TrainMasksResult") -> list[list[str]]:
    """Return what was measured and counted, dense and masked."""
    from prunecli.masks.prices import UNITS

    metric = result.metric
    dense = "new head" if result.dense is None else f"{result.dense[metric]:.4f}"
    flops, parameters = result.flops, result.parameters
    rows = [
        [metric, dense, f"{result.masked[metric]:.4f}", ""],
        [
            f"encoder MFLOPs at {result.tokens} tokens",
            f"{flops[0] / 1e6:,.1f}",
            f"{flops[1] / 1e6:,.1f}",
            f"{flops[1] / flops[0]:.1%}",
        ],
        ["parameters", f"{parameters[0]:,}", f"{parameters[1]:,}", f"{parameters[1] / parameters[0]:.1%}"],
    ]
    if result.unrecovered is not None:
        rows.insert(1, [f"{metric} before recovery", "", f"{result.unrecovered[metric]:.4f}", ""])
    if result.target is not None:
        asked, reached = result.target.asked, result.target.reached
        gates = result.target.expected
        expected = "" if gates is None else f"; gates: {gates:.1%}"
        rows.append(
            [
                f"budget: {UNITS[result.target.unit]}",
                "",
                f"{asked:.1%} asked{expected}",
                f"{reached:.2%}",
            ]
        )
        if result.target.measured is not None:
            rows.append(
                [
                    "time of the cut model",
                    "",
                    f"{1 / result.target.measured:.2f} x as fast",
                    f"{result.target.measured:.2%}",
                ]
            )
    for group, kept in result.kept.items():
        total = result.units[group]
        if group == "layer":
            stay = " ".join(str(layer) for layer, stays in enumerate(kept) if stays)
            rows.append(["layers that stay", str(len(kept)), stay, f"{result.density[group]:.1%}"])
            continue
        rows.append(
            [f"{group} by layer", str(total), " ".join(map(str, kept)), f"{result.density[group]:.1%}"]
        )
    return rows


def _sweep(config: TrainMasksConfig, out: Output) -> ExitCode:
    from prunecli.operations import compare

    with out.progress() as progress:
        result = compare.sweep(config, progress)
    show(result, config.verb, out)
    chosen = f"{config.shares[-1]:g}"
    out.line("Next: " + _cut_command(Path(result.out, chosen), chosen))
    return ExitCode.DONE


def _cut_command(run: Path, name: str) -> str:
    return command_line(["prunecli", "apply-masks", str(run), "--out", f"pruned-{name}"])


VERB = Verb(
    TrainMasksConfig,
    _run,
    "Learn pruning masks over heads and neurons while fine-tuning, or choose them without training.",
    (
        "prunecli train-masks demo demo --num-epochs 2",
        "prunecli train-masks ./my-model sst2 --method one-shot --target-flops 0.3",
        "prunecli train-masks ./my-model sst2 --sweep 0.7,0.5,0.3",
        "prunecli train-masks bert-base-uncased qqp",
        "prunecli train-masks ./my-model sst2 --data-dir data/sst2 --learn-masks head --learn-masks ffn_int",
        "prunecli train-masks ./my-model rows.csv --text-columns title,body --label-column topic",
        "prunecli train-masks bert-base-uncased lines.jsonl --task-kind masked-lm",
    ),
)
