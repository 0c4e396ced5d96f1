"""What a verb's config can do: know its fields, and refuse values out of range.

The command line is made from the fields (`prunecli.cli.options`), and so is the Python API.
"""

import os
import shlex
import subprocess
import types
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal, Self, Union, get_args, get_origin, get_type_hints

from prunecli.errors import InputError
from prunecli.registry import nearest

TYPES = {int: "a whole number", float: "a number", bool: "true or false", Path: "a path"}
MODEL, MASKS, BUDGET, VOCABULARY, TRAINING = "Model and data", "Masks", "Budget", "Vocabulary", "Training"
OUTPUT, DANGEROUS = "Output", "Dangerous"


@dataclass(frozen=True, slots=True)
class Opt:
    """What a field is on the command line.

    Attributes:
        help: One line; a default is added by the help itself.
        panel: The heading it stands under.
        minimum: Smallest value allowed.
        maximum: Largest value allowed.
        positional: Whether it is an argument instead of an option.
        short: A one-letter spelling.
        metavar: What stands for the value in help; the type's name where None.
    """

    help: str
    panel: str = MODEL
    minimum: float | None = None
    maximum: float | None = None
    positional: bool = False
    short: str | None = None
    metavar: str | None = None


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a verb's config as the command line and the checks see it.

    Attributes:
        name: The field's name; `learn_masks` is `--learn-masks`.
        kind: Its type without None and tuple.
        choices: The values of a `Literal`.
        optional: Whether None is allowed.
        many: Whether it may be given more than once.
        default: What it is where nobody says; `MISSING` where somebody must.
        opt: Its help, panel and range.
    """

    name: str
    kind: Any
    choices: tuple[str, ...]
    optional: bool
    many: bool
    default: Any
    opt: Opt

    @property
    def spelled(self) -> str:
        """Return how a user writes it; a word of Python's own, such as `from_`, without its underscore."""
        return self.name.upper() if self.opt.positional else "--" + self.name.rstrip("_").replace("_", "-")


@dataclass(frozen=True, slots=True, kw_only=True)
class VerbConfig:
    """What every verb's config can do: know its fields, and refuse values out of range."""

    verb: ClassVar[str]

    def __post_init__(self) -> None:
        """Check every field against its type's choices and its range.

        Raises:
            InputError: It names the option, the value and what is allowed.
        """
        for field in config_fields(type(self)):
            value = getattr(self, field.name)
            for item in value if field.many else () if value is None else (value,):
                _check(field, item)

    @property
    def changed(self) -> list[Field]:
        """Return the fields whose values are not the usual ones."""
        return [field for field in config_fields(type(self)) if getattr(self, field.name) != field.default]

    @property
    def command(self) -> str:
        """Return the command line that asks for the same, whoever asked."""
        words = ["prunecli", self.verb]
        for field in self.changed:
            value = getattr(self, field.name)
            if field.kind is bool:
                words.append(field.spelled)
            else:
                for item in value if field.many else [value]:
                    words += [str(item)] if field.opt.positional else [field.spelled, str(item)]
        return command_line(words)

    @classmethod
    def of(cls, values: Mapping[str, Any]) -> Self:
        """Make a config from what a user asks for, by name; None and absent mean the default.

        Raises:
            InputError: A name is unknown (the nearest one is named), a value is out of range, or has no effect.
        """
        known = {field.name: field for field in config_fields(cls)}
        for name in values:
            if name not in known:
                hint = nearest(name, known) or f"known: {', '.join(known)}"
                raise InputError(f"{cls.verb} has no option {name!r}", hint)
        made = cls(
            **{name: _coerce(known[name], value) for name, value in values.items() if value is not None}
        )
        made.check_asked()
        return made

    def check_asked(self) -> None:
        """Refuse what a user asks for in vain; prunecli itself may copy an option to where it means nothing.

        Raises:
            InputError: It names the option.
        """


def command_line(words: Sequence[str]) -> str:
    """Return words as one line that the system's shell takes apart again."""
    return subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)


def config_fields(cls: type[VerbConfig]) -> tuple[Field, ...]:
    """Return the fields of a verb's config, in order."""
    hints = get_type_hints(cls, include_extras=True)
    return tuple(_field(field.name, hints[field.name], field.default) for field in fields(cls))


def _field(name: str, hint: Any, default: Any) -> Field:
    kind, opt = get_args(hint)
    optional = get_origin(kind) in (Union, types.UnionType)
    if optional:
        kind = next(part for part in get_args(kind) if part is not type(None))
    many = get_origin(kind) is tuple
    if many:
        kind = get_args(kind)[0]
    choices = get_args(kind) if get_origin(kind) is Literal else ()
    return Field(name, str if choices else kind, choices, optional, many, default, opt)


def as_items(value: Any) -> list[Any]:
    """Return what a repeatable option got: one value, a list of them, or a table as NAME=VALUE items."""
    if isinstance(value, Mapping):
        return [f"{name}={item}" for name, item in value.items()]
    return list(value) if isinstance(value, (list, tuple)) else [value]


def _coerce(field: Field, value: Any) -> Any:
    if field.many:
        return tuple(_coerce_one(field, item) for item in as_items(value))
    return _coerce_one(field, value)


def _coerce_one(field: Field, value: Any) -> Any:
    if field.kind is float and isinstance(value, int) and not isinstance(value, bool):
        return float(value)
    if field.kind is str and isinstance(value, (str, Path)):
        return str(value)  # a plain string also where an enum's member came
    if field.kind is str and field.many and type(value) is int:
        return str(value)  # 32 in a list of words is one of them
    return Path(value) if field.kind is Path and isinstance(value, str) else value


def _check(field: Field, value: Any) -> None:
    if not isinstance(value, field.kind) or (field.kind is not bool and isinstance(value, bool)):
        raise InputError(f"{field.spelled} is {value!r}, but it must be {TYPES.get(field.kind, 'a string')}")
    if field.choices and value not in field.choices:
        raise InputError(
            f"{field.spelled} {value!r} is not one of {', '.join(field.choices)}",
            f"repeat {field.spelled} for each"
            if "," in str(value) and field.many
            else nearest(value, field.choices),
        )
    low, high = field.opt.minimum, field.opt.maximum
    if (low is not None and not value >= low) or (high is not None and not value <= high):
        allowed = f"at least {low:g}" if high is None else f"between {low or 0:g} and {high:g}"
        share = f"{value:g} % is {value / 100:g}" if high is not None and high <= 1 <= value <= 100 else None
        raise InputError(f"{field.spelled} is {value}, but it must be {allowed}", share)


def check_same(
    cls: type[VerbConfig], place: Path, before: Mapping[str, Any], asked: Mapping[str, Any]
) -> None:
    """Refuse to go on with other options than something was started with.

    Args:
        cls: The verb's config.
        place: What stands there, whole or begun.
        before: Options by name, as `plain` makes them; those that came later have their defaults.
        asked: The same of now.

    Raises:
        InputError: It names the first option that differs.
    """
    for field in config_fields(cls):
        was = before.get(field.name, plain(field.default))
        if field.name in asked and asked[field.name] != was:
            raise InputError(
                f"{place} was started with {field.spelled} {written(was)}, now it is {written(asked[field.name])}",
                "resume with the same options, or start over with --overwrite instead",
            )


def written(value: Any) -> str:
    """Return an option's value, as `plain` makes it, in words."""
    if value is None or value is MISSING or value == []:
        return "not set"
    if isinstance(value, bool):
        return "on" if value else "off"
    return " ".join(map(str, value)) if isinstance(value, list) else str(value)


def plain(value: Any) -> Any:
    """Return a value as JSON knows it: paths as strings, tuples as lists."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item) for item in value]
    return str(value) if isinstance(value, Path) else value
