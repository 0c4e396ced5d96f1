"""Makes a command from a verb's config dataclass: its arguments, options, panels and the config file."""

import inspect
import os
import sys
from collections.abc import Callable
from dataclasses import MISSING, dataclass
from pathlib import Path
from typing import Annotated, Any, Optional

import typer
import yaml

from prunecli.cli.output import Output
from prunecli.errors import ExitCode, InputError, PruneError, words_of
from prunecli.fields import OUTPUT, Field, VerbConfig, as_items, config_fields
from prunecli.registry import nearest

Run = Callable[[Any, Output], ExitCode]
AS_YAML = "name a file with an option a line, as `num-epochs: 3`"


@dataclass(frozen=True, slots=True)
class Verb:
    """A command: its config, what it does, and examples that its help shows and the tests run.

    Attributes:
        config: The config dataclass; its `verb` is the command's name.
        run: Takes the config and the printer, returns the exit code.
        help: One sentence.
        examples: Commands a user could type.
    """

    config: type[VerbConfig]
    run: Run
    help: str
    examples: tuple[str, ...]


def add_command(app: typer.Typer, verb: Verb) -> None:
    """Register a verb on the app."""

    def command(**values: Any) -> None:
        values.pop("config_file")
        out = Output(as_json=values.pop("as_json"), quiet=values.pop("quiet"))
        try:
            status = verb.run(verb.config.of(values), out)
        except PruneError as error:
            out.error(error, verb.config.verb)
            raise
        raise typer.Exit(status)

    keyword = inspect.Parameter.KEYWORD_ONLY
    parameters = [
        inspect.Parameter(field.name, keyword, default=default, annotation=annotation)
        for field, annotation, default in (
            _parameter(verb.config, field) for field in config_fields(verb.config)
        )
    ]
    shared = [
        inspect.Parameter(name, keyword, default=default, annotation=annotation)
        for name, annotation, default in _shared(verb.config)
    ]
    command.__signature__ = inspect.Signature(parameters + shared)  # type: ignore[attr-defined]
    command.__annotations__ = {parameter.name: parameter.annotation for parameter in parameters + shared}
    examples = "\n\n".join(["**Examples**", *(f"`{example}`" for example in verb.examples)])
    app.command(verb.config.verb, help=verb.help, epilog=examples)(command)


def _parameter(config: type[VerbConfig], field: Field) -> tuple[Any, Any, Any]:
    """Return a field with its annotation and default for the command's signature."""
    # Words of a choice are checked with the config, which has the nearest one to say.
    kind: Any = field.kind
    kind = list[kind] if field.many else Optional[kind] if field.optional else kind  # noqa: UP045
    if field.opt.positional:
        info: Any = typer.Argument(
            help=field.opt.help,
            metavar=field.spelled,
            show_default=field.default is not MISSING,
            show_envvar=False,
        )
    else:
        spellings = [field.spelled, *([field.opt.short] if field.opt.short else [])]
        info = typer.Option(
            *spellings,
            # Not as the value's name: that of --learn-masks would leave the texts of its panel no room.
            help=" ".join(
                [field.opt.help, *([f"One of {', '.join(field.choices)}."] if field.choices else [])]
            ),
            metavar="" if field.kind is bool else field.opt.metavar or f"<{field.kind.__name__.lower()}>",
            autocompletion=(lambda: list(field.choices)) if field.choices else None,
            rich_help_panel=field.opt.panel,
            envvar=_variable(config.verb, field.spelled),
            show_envvar=False,
        )
    default = list(field.default) if isinstance(field.default, tuple) else field.default
    return field, Annotated[kind, info], inspect.Parameter.empty if default is MISSING else default


def wants_json(verb: str) -> bool:
    """Say whether JSON is asked for by a line that cannot be parsed, or is not yet."""
    return "--json" in sys.argv or os.environ.get(_variable(verb, "--json"), "0").lower() in ("1", "true")


def variables(config: type[VerbConfig]) -> set[str]:
    """Return the environment variables that set a verb's options."""
    shared = ("--config", "--json", "--quiet")
    names = (*(field.spelled for field in config_fields(config) if not field.opt.positional), *shared)
    return {_variable(config.verb, name) for name in names}


def _variable(verb: str, spelled: str) -> str:
    """Return the environment variable of an option: `PRUNECLI_APPLY_MASKS_ROUND_TO`."""
    return f"prunecli_{verb}_{spelled.removeprefix('--')}".upper().replace("-", "_")


def _shared(config: type[VerbConfig]) -> list[tuple[str, Any, Any]]:
    """Return the options that every command has."""

    def load(context: typer.Context, path: Path | None) -> Path | None:
        if path is not None:
            try:
                values = _read_config(path, config)
            except InputError as error:
                Output(as_json=wants_json(config.verb)).error(
                    error, config.verb
                )  # options are not parsed yet
                raise
            context.default_map = {**(context.default_map or {}), **values}
        return path

    def option(*spellings: str, help: str, **more: Any) -> Any:
        variable = _variable(config.verb, spellings[0])
        return typer.Option(
            *spellings, help=help, rich_help_panel=OUTPUT, envvar=variable, show_envvar=False, **more
        )

    file = option(
        "--config", help="YAML file with options of this command; flags win.", is_eager=True, callback=load
    )
    return [
        ("config_file", Annotated[Optional[Path], file], None),  # noqa: UP045
        (
            "as_json",
            Annotated[bool, option("--json", help="Print JSON on standard output, and no text.", metavar="")],
            False,
        ),
        (
            "quiet",
            Annotated[bool, option("--quiet", "-q", help="Print only what a script needs.", metavar="")],
            False,
        ),
    ]


def _read_config(path: Path, config: type[VerbConfig]) -> dict[str, Any]:
    """Read a config file; keys are option names, with - or _."""
    try:
        values = yaml.safe_load(path.read_text(encoding="utf-8")) or {}
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        mark = getattr(error, "problem_mark", None)
        where = f", line {mark.line + 1}" if mark else ""
        fix = "check the name" if isinstance(error, FileNotFoundError) else AS_YAML
        raise InputError(f"--config {path} cannot be read: {words_of(error)}{where}", fix) from None
    if not isinstance(values, dict):
        raise InputError(f"--config {path} is no YAML or JSON mapping of options", AS_YAML)
    known = {field.name.rstrip("_"): field for field in config_fields(config)}
    found = {}
    for key, value in values.items():
        name = str(key).replace("-", "_")
        if name not in known:
            near = nearest(
                str(key).replace("_", "-"), [field.spelled.lstrip("-") for field in known.values()]
            )
            heading = "options stand at the top, without a heading"
            raise InputError(
                f"--config {path}: {config.verb} has no option {key!r}",
                heading if isinstance(value, dict) else near,
            )
        if isinstance(value, bool) and known[name].kind is not bool:
            raise InputError(
                f"--config {path}: {key} is {value}, which YAML also reads of yes and no", "name a value"
            )
        found[known[name].name] = as_items(value) if known[name].many else value
    return found
