"""`prunecli verify-automodel`."""

from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import VerifyConfig
from prunecli.errors import ExitCode


def _run(config: VerifyConfig, out: Output) -> ExitCode:
    from prunecli.checkpoints.source import find_folder

    for folder in (config.checkpoint, config.against or config.checkpoint):
        find_folder(folder)
    with loading():
        from prunecli.operations import verify_automodel

    result = verify_automodel.run(config)
    failed = out.findings(result.findings)
    out.result(result, quiet="ok" if result.passed else "failed", verb=config.verb)
    if failed:
        out.line(f"{result.checkpoint} is not proven: {', '.join(failed)}")
        if result.hint:
            out.line(f"hint: {result.hint}")
        return ExitCode.VERDICT_NO
    if any(item.check == "parity" and item.status == "skip" for item in result.findings):
        out.line(f"{result.checkpoint} loads and runs; it was compared with nothing: --against RUN does that")
        return ExitCode.DONE
    out.line(f"{result.checkpoint} is proven. Next: prunecli predict {result.checkpoint} FILE")
    return ExitCode.DONE


VERB = Verb(
    VerifyConfig,
    _run,
    "Prove that a folder loads with AutoModel and equals what was trained.",
    (
        "prunecli verify-automodel pruned-demo --against runs/demo",
        "prunecli verify-automodel pruned --against ./my-model --masks masks.safetensors",
        "prunecli verify-automodel ./converted --against ./pruning-encoder --allow-pickle",
        "prunecli verify-automodel ./any-checkpoint --json",
    ),
)
