"""`prunecli self-test`."""

from prunecli.cli.loading import loading
from prunecli.cli.options import Verb
from prunecli.cli.output import Output
from prunecli.config import SelfTestConfig
from prunecli.errors import ExitCode


def _run(config: SelfTestConfig, out: Output) -> ExitCode:
    if config.report:
        from prunecli.reports.run_record import versions

        out.data("\n".join(f"{name}: {value}" for name, value in versions().items()), versions())
        return ExitCode.DONE
    out.line("Running train-masks, apply-masks, verify-automodel and predict on the bundled model ...")
    with loading():
        from prunecli.operations import self_test

    result = self_test.run(config)
    rows = [
        [step.name, "pass" if step.passed else "fail", f"{step.seconds:.1f} s", step.detail]
        for step in result.steps
    ]
    out.table(["step", "verdict", "time", "outcome"], rows)
    out.result(result, quiet="ok" if result.passed else "failed", verb=config.verb)
    out.line(f"{'All is well' if result.passed else 'Something is broken'} ({result.seconds:.0f} s)")
    return ExitCode.DONE if result.passed else ExitCode.VERDICT_NO


VERB = Verb(
    SelfTestConfig,
    _run,
    "Run the whole story on a bundled model, offline, and check each outcome.",
    ("prunecli self-test", "prunecli self-test --json", "prunecli self-test --report"),
)
