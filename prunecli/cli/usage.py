"""What is wrong with a command line, in the words that everything else that is wrong is told in."""

import difflib
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any

from prunecli.errors import InputError
from prunecli.fields import TYPES, VerbConfig, config_fields

PREFIX, DEBUG = "PRUNECLI_", "PRUNECLI_DEBUG"
PLACES = {"ENVIRONMENT": "{variable} says so", "DEFAULT_MAP": "--config says so"}


def usage_error(error: Any, verb: str, configs: Mapping[str, type[VerbConfig]]) -> InputError:
    """Translate an error of click's, which typer keeps to itself.

    Args:
        error: What the parser raised.
        verb: The verb on the line; empty where there is none.
        configs: The config of each verb.
    """
    if verb and (bad := _bad_value(error, configs[verb])):
        return bad
    said = error.format_message().rstrip(".")
    option = str(error.option_name) if type(error).__name__ == "NoSuchOption" else ""
    others = [
        name
        for name, config in configs.items()
        if option in (field.spelled for field in config_fields(config))
    ]
    if verb and others:
        return InputError(f"{verb} has no option {option}", f"{option} is an option of {', '.join(others)}")
    return InputError(said, f"{f'prunecli {verb}'.strip()} --help shows what it takes")


def misspelt_variables(names: Iterable[str], known: Collection[str]) -> Iterator[str]:
    """Say which environment variables were meant to set an option and set none; others may be anybody's.

    Args:
        names: Of all variables.
        known: Those that set an option.
    """
    for name in sorted(names):
        if name.startswith(PREFIX) and name not in known and name != DEBUG:
            verbless = [one for one in known if one.endswith(name.removeprefix(PREFIX.rstrip("_")))]
            near = verbless or difflib.get_close_matches(name, known, n=1, cutoff=0.8)
            if near:
                yield f"{name} in the environment sets no option: did you mean {min(near)}?"


def _bad_value(error: Any, config: type[VerbConfig]) -> InputError | None:
    """Name value and place of what is no number, which the parser's own message leaves out."""
    wrong = getattr(error.__cause__, "errors", None)  # pydantic's
    if wrong is None:
        return None
    value, name = wrong()[0]["input"], error.param.name
    field = next((field for field in config_fields(config) if field.name == name), None)
    kind, many = (field.kind, field.many) if field else (bool, False)
    place = PLACES.get(error.ctx.get_parameter_source(name).name, "").format(variable=error.param.envvar)
    return InputError(
        f"{error.param.opts[0]} is {value!r}, but it must be {TYPES.get(kind, 'a string')}"
        + (f" ({place})" if place else ""),
        f"repeat {error.param.opts[0]} for each" if many and "," in str(value) else None,
    )
