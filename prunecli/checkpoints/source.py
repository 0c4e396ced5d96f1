"""From what a user names to a folder: a path, `demo`, or a hub id."""

import difflib
from pathlib import Path
from typing import Any

from prunecli import demo
from prunecli.checkpoints.folder import CARD, CARRIED, check_folder
from prunecli.checkpoints.run_folder import RECORD
from prunecli.errors import InputError, OfflineError, words_of

DOWNLOADS = Path("checkpoints")  # checkpoints/MODEL/TASK: fine-tuned checkpoints for offline use
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", CARD, *CARRIED]


def find_model(name: str, task: str, **hub: Any) -> Path:
    """Return the folder of a model.

    Args:
        name: A folder, `demo`, or a hub id.
        task: The task: `checkpoints/NAME/TASK` is taken where it stands, unless the name is written as a path.
        **hub: What `snapshot_download` takes besides: `revision`, `token` ...

    Raises:
        InputError: A path to no folder.
        OfflineError: A hub id that is not in the cache, while the hub is out of reach.
    """
    return local_model(name, task) or _from_hub(name, {"allow_patterns": WANTED, **hub})


def local_model(name: str, task: str) -> Path | None:
    """Return the folder of a model that stands here, before anything is loaded; None for a hub id.

    Raises:
        InputError: A path to no folder.
    """
    folder, downloaded = Path(name), DOWNLOADS / name / task
    bare = bool(task) and Path(task).name == task and not _written_as_path(name)  # ./NAME is NAME here
    if bare and downloaded.is_dir():
        return downloaded
    here = folder.exists() or _looks_like_a_path(name) or _may_mean_demo(name)
    return find_folder(folder) if here else None


def find_folder(folder: Path) -> Path:
    """Return a folder on this disk, or the bundled one for `demo`; the hub is not asked.

    Raises:
        InputError: There is no such folder; the nearest name is told.
    """
    if str(folder) == demo.NAME:
        return demo.MODEL
    check_folder(folder, _nearest(folder))
    return folder


def _may_mean_demo(name: str) -> bool:
    """Say whether a name is `demo`, or so near it that the hub need not be asked."""
    return bool(difflib.get_close_matches(name, [demo.NAME], cutoff=0.75))


def _written_as_path(name: str) -> bool:
    """Say whether a name is written as no hub id is."""
    unlike = name.startswith((".", "~")) or name.endswith("/") or "\\" in name or name.count("/") > 1
    return unlike or Path(name).is_absolute()


def _looks_like_a_path(name: str) -> bool:
    """Say whether a name is meant for a folder here: by how it is written, or by the checkpoints in its parent."""
    parent = Path(name).parent
    beside = parent.iterdir() if parent != Path() and parent.is_dir() else ()
    return _written_as_path(name) or any(
        (entry / file).is_file() for entry in beside for file in ("config.json", RECORD)
    )


def _nearest(folder: Path) -> Path | None:
    """Return the folder, or `demo`, whose name is most like that of one that is missing."""
    if folder.exists():
        return None
    missing = folder
    while not missing.parent.is_dir():
        missing = missing.parent
    names = [entry.name for entry in missing.parent.iterdir() if entry.is_dir()]
    names += [demo.NAME] if str(missing) == missing.name else []
    near = difflib.get_close_matches(missing.name, names, n=1)
    if not near:
        return None
    whole = missing.parent / near[0] / folder.relative_to(missing)
    return whole if whole.is_dir() else missing.parent / near[0]


def _from_hub(name: str, options: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, **options))
    except HFValidationError:
        raise InputError(
            f"{name}: no such folder, and no name that the hub could know",
            "name the folder of a saved checkpoint, or a hub id as owner/model",
        ) from None
    except Exception as error:  # no network, no such repository, no access: each raises its own type
        near, reason = _nearest(Path(name)), _reason(error)
        raise OfflineError(
            f"{name}: no such folder, and it could not be downloaded from the hub: {reason or words_of(error)}",
            (f"did you mean the folder {near}? Else " if near else "")
            + ("check the name and the network" if reason else "mend that")
            + f", or run `hf download {name}` on a connected machine and copy the cache",
        ) from None


def _reason(error: Exception) -> str | None:
    """Say in plain words why the hub gives nothing; its library has a type for each case. None for other errors."""
    from huggingface_hub.errors import GatedRepoError, RepositoryNotFoundError, RevisionNotFoundError

    if isinstance(error, GatedRepoError):
        return "its owner has to grant you access"
    if isinstance(error, RepositoryNotFoundError):
        return "it has no such model, or a private one"
    if isinstance(error, RevisionNotFoundError):
        return "the model has no such revision"
    return "it is out of reach, and nothing is in the cache" if is_out_of_reach(error) else None


def is_out_of_reach(error: Exception) -> bool:
    """Say whether it is the network that the hub's libraries complain of, and not a full disk, for example."""
    from huggingface_hub.errors import LocalEntryNotFoundError

    # Of httpx, which huggingface_hub has under two names: all that goes wrong before there is an answer.
    names = {kind.__name__ for kind in type(error).__mro__}
    return (
        isinstance(error, LocalEntryNotFoundError | ConnectionError | TimeoutError)
        or "TransportError" in names
    )
