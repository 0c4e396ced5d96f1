"""`prunecli evaluate`."""

from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import EvaluateConfig
from prunecli.errors import ExitCode


def _run(config: EvaluateConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import local_model
    from prunecli.tasks import check_task

    local_model(config.checkpoint, config.task)
    check_task(config.task, config.data_dir)
    out.line("Loading torch and transformers ...")
    with loading():
        from prunecli.operations import evaluate

    with out.progress() as progress:
        result = evaluate.run(config, progress)
    rows = [[name, f"{value:.4f}"] for name, value in result.metrics.items()]
    out.table(["", f"{result.task}, {result.split}"], rows)
    out.result(result, quiet=f"{result.metrics[result.metric]:.6g}", verb=config.verb)
    out.line(f"{result.rows:,} rows in {result.seconds:.1f} s, {result.rows_per_second:,.0f} a second")
    return ExitCode.DONE


VERB = Verb(
    EvaluateConfig,
    _run,
    "Score a checkpoint, a pruned folder or a run folder (with its masks) on a task.",
    (
        "prunecli evaluate demo demo",
        "prunecli evaluate pruned-qqp qqp --data-dir data/qqp",
        "prunecli evaluate runs/my-run mnli --split validation_mismatched",
        "prunecli evaluate ./my-model test.jsonl --split all --json",
    ),
)
