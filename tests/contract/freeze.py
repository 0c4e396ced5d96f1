"""The command line as data (`cli_surface.json`) and as a page (`docs/reference/cli.md`), made from the config fields.

    python -m tests.contract.freeze

writes both anew. Run it after a change of the options that you mean, and let the diff show it.
"""

import dataclasses
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from prunecli.cli.app import VERBS
from prunecli.cli.options import Verb
from prunecli.fields import Field, config_fields, plain

ROOT = Path(__file__).parents[2]
SURFACE = Path(__file__).with_name("cli_surface.json")
PAGE = ROOT / "docs" / "reference" / "cli.md"

REQUIRED = "required"
SHARED = {
    "--config": ("path", "YAML file of `option: value` lines; `-` and `_` in a name are the same."),
    "--json": ("flag", "Print JSON on standard output, and no text."),
    "--quiet, -q": ("flag", "Print only the one value that a script needs."),
    "--help, -h": ("flag", "Show the options and examples."),
}
HEAD = """\
# Command line

Made from the fields of `prunecli/config/` by `python -m tests.contract.freeze`; `prunecli VERB --help` shows
the same.

A value comes from the first of these that has one: the option, the [environment variable](environment.md),
the file that `--config` names, the default.

"""

Row = tuple[str, str, str, str]  # option, value, default, what


def surface() -> dict[str, dict[str, dict[str, Any]]]:
    """Return what a user may rely on: of each verb, each argument and option with its values and default."""
    return {
        verb.config.verb: {
            spelled(field): {"value": value(field), "default": default(verb, field)} for field in fields(verb)
        }
        for verb in VERBS
    }


def page() -> str:
    """Return the reference page."""
    shared = [(name, kind, "", what) for name, (kind, what) in SHARED.items()]
    lines = [line for verb in VERBS for line in _section(verb)]
    return HEAD + "\n".join([*lines, "## Options of every verb", "", *_table(shared)])


def write() -> None:
    """Write the frozen surface and the page."""
    SURFACE.write_text(json.dumps(surface(), indent=2) + "\n", encoding="utf-8")
    PAGE.write_text(page(), encoding="utf-8")


def fields(verb: Verb) -> tuple[Field, ...]:
    """Return the fields of a verb's config."""
    return config_fields(verb.config)


def spelled(field: Field) -> str:
    """Return a field's name as a user types it, with its short form."""
    return f"{field.spelled}, {field.opt.short}" if field.opt.short else field.spelled


def value(field: Field) -> str:
    """Return what a field takes: choices, or a type with its range."""
    if field.choices:
        return " or ".join(field.choices) + (", repeatable" if field.many else "")
    kind = {"bool": "flag", "str": "text", "Path": "path", "float": "number"}.get(
        field.kind.__name__, "integer"
    )
    low, high = field.opt.minimum, field.opt.maximum
    limits = ("" if low is None else f" >= {low:g}") + ("" if high is None else f" <= {high:g}")
    return (field.opt.metavar or kind + limits) + (", repeatable" if field.many else "")


def default(verb: Verb, field: Field) -> Any:
    """Return a field's default as JSON has it."""
    found = next(item.default for item in dataclasses.fields(verb.config) if item.name == field.name)
    return REQUIRED if found is dataclasses.MISSING else plain(found)


def _section(verb: Verb) -> Iterator[str]:
    """Yield the lines of one verb: usage, arguments, options by panel, examples."""
    arguments = [field for field in fields(verb) if field.opt.positional]
    options = [field for field in fields(verb) if not field.opt.positional]
    places = [
        field.spelled if default(verb, field) == REQUIRED else f"[{field.spelled}]" for field in arguments
    ]
    usage = " ".join(["$ prunecli", verb.config.verb, *places, "[OPTIONS]"])
    yield from (f"## {verb.config.verb}", "", verb.help, "", "```console", usage, "```", "")
    if arguments:
        yield from _table(_row(verb, field) for field in arguments)
    for panel in dict.fromkeys(field.opt.panel for field in options):
        yield from (f"### {panel}", "")
        yield from _table(_row(verb, field) for field in options if field.opt.panel == panel)
    yield from ("Examples:", "", "```console", *(f"$ {example}" for example in verb.examples), "```", "")


def _row(verb: Verb, field: Field) -> Row:
    return spelled(field), value(field), _shown(default(verb, field)), field.opt.help


def _shown(default: Any) -> str:
    """Return a default as a user would type it; a flag's and an absent one say nothing."""
    if default in (None, []) or isinstance(default, bool):
        return ""
    if default == REQUIRED:
        return REQUIRED
    return f"`{' '.join(map(str, default)) if isinstance(default, list) else default}`"


def _table(rows: Iterable[Row]) -> Iterator[str]:
    yield from ("| option | value | default | what |", "|---|---|---|---|")
    yield from (f"| `{name}` | {value} | {default} | {what} |" for name, value, default, what in rows)
    yield ""


if __name__ == "__main__":
    write()
