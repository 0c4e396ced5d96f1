"""Kinds of checkpoints, one a file; the folder's listing is the registry.

`recognise` says which kind a folder is; `docs/guides/convert-checkpoints.md` lists them for users.
"""

from functools import cache
from pathlib import Path

from prunecli.checkpoints.folder import check_folder
from prunecli.checkpoints.kinds.base import Kind, peek
from prunecli.checkpoints.run_folder import is_run, model_of
from prunecli.errors import InputError
from prunecli.registry import Registry, nearest


@cache
def kinds() -> dict[str, Kind]:
    """Return every kind by its name: that of its file, with dashes."""
    return Registry[Kind](__name__, "KIND").load_all()


def recognise(folder: Path, insisted: str | None = None) -> str:
    """Return the name of the kind that a folder is.

    Args:
        folder: The source.
        insisted: The kind that the user says it is: it is then only asked whether that can be read.

    Raises:
        InputError: It is none, or two at once.
    """
    check_folder(folder)
    if is_run(folder):
        raise InputError(
            f"{folder} is a run folder of train-masks",
            f"cut it with `prunecli apply-masks {folder} --out pruned`, and convert that; "
            f"{model_of(folder)} is the checkpoint with all units in it",
        )
    readable = {name: kind for name, kind in kinds().items() if kind.recognises is not None}
    if insisted is not None:
        if insisted not in readable:
            raise InputError(
                f"--from {insisted!r} is no kind that can be read", f"kinds: {', '.join(readable)}"
            )
        return insisted
    config = peek(folder, "config.json")
    found = [name for name, kind in readable.items() if kind.recognises and kind.recognises(folder, config)]
    if len(found) != 1:
        what = f"could be {' or '.join(found)}" if found else f"is none of {', '.join(readable)}"
        raise InputError(
            f"{folder} {what}: its config.json has model_type {config.get('model_type')!r}, "
            f"architectures {config.get('architectures')!r}",
            "say what it is with --from KIND"
            if found
            else "name the folder that holds config.json and weights; of a Trainer's checkpoint, the final model",
        )
    return found[0]


def target(name: str) -> Kind:
    """Return a kind that can be written.

    Raises:
        InputError: There is none of this name.
    """
    writable = [known for known, kind in kinds().items() if kind.make is not None]
    if name not in writable:
        hint = nearest(name, writable) or f"kinds: {', '.join(writable)}"
        raise InputError(f"--to {name!r} is no kind that can be written", hint)
    return kinds()[name]
