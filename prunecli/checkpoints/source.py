"""From what a user names to a folder: a path, `demo`, or a hub id."""

from importlib import resources
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import CARD, CARRIED
from prunecli.errors import InputError, OfflineError

DEMO = "demo"
DOWNLOADS = Path("checkpoints")  # checkpoints/MODEL/TASK: fine-tuned checkpoints for offline use
WANTED = ["*.safetensors", "*.json", "*.txt", "*.model", CARD, *CARRIED]


def find_model(name: str, task: str, **hub: Any) -> Path:
    """Return the folder of a model.

    Args:
        name: A folder, `demo`, or a hub id.
        task: The task: `checkpoints/NAME/TASK` is taken where it stands.
        **hub: What `snapshot_download` takes besides: `revision`, `token` ...

    Raises:
        InputError: A path that does not exist.
        OfflineError: A hub id that is not in the cache, while the hub is out of reach.
    """
    if name == DEMO:
        return Path(str(resources.files("prunecli.demo"))) / "model"
    folder, downloaded = Path(name), DOWNLOADS / name / task
    if Path(task).name == task and not folder.is_absolute() and downloaded.is_dir():
        return downloaded
    if folder.exists():
        return folder
    if folder.is_absolute() or name.startswith((".", "~")) or name.count("/") > 1:
        raise InputError(
            f"{name} does not exist", "name a checkpoint folder or a hub id such as bert-base-uncased"
        )
    return _from_hub(name, {"allow_patterns": WANTED, **hub})


def _from_hub(name: str, options: dict[str, Any]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HFValidationError

    try:
        return Path(snapshot_download(name, **options))
    except HFValidationError:
        raise InputError(f"{name!r} is neither a folder nor a hub id") from None
    except Exception as error:  # no network, no such repository, no access: each raises its own type
        raise OfflineError(
            f"{name} is no folder here, and it cannot be had from the hub: {type(error).__name__}",
            f"check the name and the network, or run `hf download {name}` where there is one and copy the cache",
        ) from None
