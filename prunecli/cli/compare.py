"""`prunecli compare`."""

from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import CompareConfig
from prunecli.errors import ExitCode


def _run(config: CompareConfig, out: Output) -> ExitCode:
    out.line("Loading torch and transformers ...")
    from prunecli.operations import compare

    with out.progress() as progress:
        result = compare.run(config, progress)
    names = list(dict.fromkeys(point.method for point in result.points))
    rows = []
    for asked in sorted({point.asked for point in result.points}, reverse=True):
        each = {point.method: point for point in result.points if point.asked == asked}
        spread = " ± {:.4f}" if config.seeds > 1 else ""
        rows.append([f"{asked:.0%}", *(f"{each[n].mean:.4f}{spread.format(each[n].spread)}" for n in names)])
    out.table([f"FLOPs kept (dense: {result.metric} {result.dense:.4f})", *names], rows)
    out.result(result, quiet=result.out, verb=config.verb)
    out.line(f"The page with the picture: {result.out}/{compare.PAGE}")
    return ExitCode.DONE


VERB = Verb(
    CompareConfig,
    _run,
    "Try every method without training at every target, on one page.",
    (
        "prunecli compare demo demo",
        "prunecli compare ./my-model sst2 --methods one-shot --methods fisher --targets 0.5 --targets 0.3 --seeds 3",
    ),
)
