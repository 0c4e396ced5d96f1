"""Kinds of use, one file each; the folder's listing is the registry. A file defines `KIND`, a class."""

from typing import TYPE_CHECKING

from prunecli.checkpoints.folder import Checkpoint
from prunecli.config import PredictConfig
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.registry import Registry

if TYPE_CHECKING:
    from prunecli.inference.kinds.base import Kind

KINDS = Registry["type[Kind]"](__name__, "KIND")


def kind_of(checkpoint: Checkpoint, asked: str | None) -> "tuple[str, type[Kind]]":
    """Find the kind for a checkpoint, and its name: the one that is asked for, else the one that its config means.

    Raises:
        InputError: There is no kind of this name, or the checkpoint has no head for it.
        UnsupportedModelError: No kind reads this head.
    """
    holds = checkpoint.architecture or "model of no named class"
    if asked is not None:
        kind = KINDS.chosen(asked, "--kind")
        if not kind.can(checkpoint):
            raise InputError(
                f"{checkpoint.path} holds a {holds}, which cannot be used for {asked}",
                "leave --kind out, or take another checkpoint",
            )
        return asked, kind
    for name, kind in KINDS.load_all().items():
        if kind.is_meant(checkpoint):
            return name, kind
    raise UnsupportedModelError(
        f"{checkpoint.path} holds a {holds}, which predict cannot use",
        f"take a checkpoint with a trained head; kinds are {', '.join(KINDS.names())}",
    )


def check_options(name: str, config: PredictConfig) -> None:
    """Refuse options that only other kinds read.

    Raises:
        InputError: It names the option and the kinds that read it.
    """
    every = KINDS.load_all()
    for field in config.changed:
        readers = [kind for kind, member in every.items() if field.name in member.options]
        if readers and name not in readers:
            raise InputError(
                f"{config.checkpoint}: {field.spelled} is for {', '.join(readers)}, and this is used for {name}",
                f"leave {field.spelled} out",
            )
