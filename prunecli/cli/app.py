"""The `prunecli` command: one registration a verb, and the only place where errors become exit codes."""

import os
import sys
import traceback
from typing import Annotated, Any

import typer

from prunecli import __version__
from prunecli.cli import (
    apply_masks,
    benchmark,
    compare,
    convert,
    evaluate,
    predict,
    self_test,
    train_masks,
    verify_automodel,
)
from prunecli.cli.options import add_command, variables, wants_json
from prunecli.cli.output import Output, say_error
from prunecli.cli.usage import PREFIX, misspelt_variables, usage_error
from prunecli.errors import ExitCode, PruneError

VERBS = (
    train_masks.VERB,
    compare.VERB,
    apply_masks.VERB,
    verify_automodel.VERB,
    evaluate.VERB,
    benchmark.VERB,
    predict.VERB,
    convert.VERB,
    self_test.VERB,
)

app = typer.Typer(
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    rich_markup_mode="markdown",
    pretty_exceptions_enable=False,
    help="Prune a fine-tuned encoder: learn masks, cut, prove equality, measure and use the smaller model.",
    epilog="Every option can also be set as `PRUNECLI_VERB_OPTION` in the environment, or in a file with `--config`.",
)
for verb in VERBS:
    add_command(app, verb)


def _print_version(asked: bool) -> None:
    if asked:
        typer.echo(f"prunecli {__version__}")
        raise typer.Exit


@app.callback()
def _top(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", is_eager=True, callback=_print_version, show_envvar=False
        ),
    ] = False,
) -> None:
    """Take the options that stand before a verb."""
    if any(name.startswith(PREFIX) for name in os.environ):
        known = {name for verb in VERBS for name in variables(verb.config)}
        for said in misspelt_variables(os.environ, known):
            sys.stderr.write(f"warning: {said}\n")


def main() -> None:
    """Run the command line, print errors with their fix, and exit with the documented code."""
    status = 0
    try:
        status = app(prog_name="prunecli", standalone_mode=False) or 0
    except PruneError as error:
        say_error(error.message, error.fix)
        _show_traceback()
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        status = ExitCode.INTERRUPTED
    except Exception as error:
        if hasattr(error, "format_message"):  # click's, which typer keeps to itself
            sys.exit(_say_usage(error))
        cause = (error.__cause__ or error) if isinstance(error, typer.Abort) else error  # of an EOFError
        say_error(
            f"internal: {type(cause).__name__}: {cause}",
            "this is a bug in prunecli: run again with PRUNECLI_DEBUG=1 and report the traceback "
            "with the output of `prunecli self-test --report`",
        )
        _show_traceback()
        sys.exit(ExitCode.INTERNAL)
    if status == ExitCode.INTERRUPTED:
        sys.stderr.write("interrupted\n")
    sys.exit(status)


def _say_usage(error: Any) -> int:
    """Say what is wrong with a command line, as everything else that is wrong, or show the help that was meant."""
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()
        return int(error.exit_code)
    configs = {verb.config.verb: verb.config for verb in VERBS}
    verb = next((word for word in sys.argv[1:] if word in configs), "")
    usage = usage_error(error, verb, configs)
    Output(as_json=wants_json(verb)).error(usage, verb)
    say_error(usage.message, usage.fix)
    return usage.exit_code


def _show_traceback() -> None:
    if os.environ.get("PRUNECLI_DEBUG") == "1":
        traceback.print_exc()
