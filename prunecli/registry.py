"""Folders whose listing is a registry: one file, one member, called what its file is called, with dashes."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from prunecli.errors import InputError

T = TypeVar("T")
SHORT = 4  # letters that say what a name is short for


@dataclass(frozen=True)
class Registry(Generic[T]):
    """The members of a package, each of which stands in a file of its own; `base.py` is about all of them.

    Attributes:
        package: Name of the package.
        attribute: What every file of it defines.
    """

    package: str
    attribute: str

    def names(self) -> list[str]:
        """Return what the members are called, sorted; none is imported."""
        path = importlib.import_module(self.package).__path__
        files = (module.name for module in pkgutil.iter_modules(path))
        return sorted(file.replace("_", "-") for file in files if file != "base")

    def load(self, name: str) -> T:
        """Import a member that there is."""
        module = importlib.import_module(f"{self.package}.{name.replace('-', '_')}")
        member: T = getattr(module, self.attribute)
        return member

    def load_all(self) -> dict[str, T]:
        """Import every member."""
        return {name: self.load(name) for name in self.names()}

    def check(self, name: str, option: str) -> None:
        """Refuse a name that no member has; none is imported.

        Raises:
            InputError: There is none of this name.
        """
        known = self.names()
        if name not in known:
            hint = nearest(name, known) or f"known: {', '.join(known)}"
            raise InputError(f"{option} {name!r} is not known", hint)

    def chosen(self, name: str, option: str) -> T:
        """Import a member that a user names.

        Raises:
            InputError: There is none of this name.
        """
        self.check(name, option)
        return self.load(name)


def nearest(name: str, known: Iterable[str]) -> str | None:
    """Ask what a misspelt name may have meant; None where nothing is near."""
    spelled, name = {one.lower(): one for one in known}, name.lower()
    near = difflib.get_close_matches(name, spelled, n=1)
    if not near and len(name) > SHORT:  # `tokens` is meant for `token-classification`
        near = [one for one in spelled if one.startswith(name[:-1])]
    return f"did you mean {spelled[near[0]]}?" if near else None
