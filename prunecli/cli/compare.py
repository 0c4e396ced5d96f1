"""`prunecli compare`."""

from typing import TYPE_CHECKING

from prunecli import methods
from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import CompareConfig
from prunecli.config.compare import ALL, UNTRAINED
from prunecli.errors import ExitCode

if TYPE_CHECKING:
    from prunecli.operations.compare import CompareResult


def _run(config: CompareConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import local_model
    from prunecli.tasks import check_task

    for name in config.method_names:
        if name not in (ALL, UNTRAINED):
            methods.check(name, "--methods")
    local_model(config.model, config.task)
    check_task(config.task, config.data_dir)
    out.line("Loading torch and transformers ...")
    with loading():
        from prunecli.operations import compare

    with out.progress() as progress:
        result = compare.run(config, progress)
    show(result, config.verb, out)
    return ExitCode.DONE


def show(result: "CompareResult", verb: str, out: Output) -> None:
    """Print a comparison: a row a method, a column a target."""
    targets = sorted({point.asked for point in result.points}, reverse=True)
    rows = []
    for name in dict.fromkeys(point.method for point in result.points):
        each = {point.asked: point for point in result.points if point.method == name}
        rows.append([name, *(f"{each[at].mean:.4f}" for at in targets)])
    out.table([result.metric, *(f"{at:.0%}" for at in targets)], rows)
    out.line(f"Columns are shares of the FLOPs that are kept; the dense model has {result.dense:.4f}.")
    if result.seeds > 1:
        out.line(f"Means over {result.seeds} seeds; the page has their spread.")
    out.result(result, quiet=result.out, verb=verb)
    out.line(f"The page with the picture: {result.out}/compare.html")


VERB = Verb(
    CompareConfig,
    _run,
    "Compare pruning methods at several targets on one page; by default, those without training.",
    (
        "prunecli compare demo demo",
        "prunecli compare ./my-model sst2 --methods one-shot,fisher --targets 0.5,0.3 --seeds 3",
        "prunecli compare ./my-model sst2 --methods all --targets 0.3 --num-epochs 3 --recovery-epochs 2",
    ),
)
