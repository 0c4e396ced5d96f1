"""A tokenizer on its way into a new folder: its files as they are, its config explicit."""

import shutil
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.strict_json import read_object, write_json
from prunecli.encoders import Encoder

SETTINGS = "tokenizer_config.json"


def write_tokenizer(
    checkpoint: Checkpoint, encoder: Encoder, folder: Path, max_length: int | None = None
) -> None:
    """Copy a checkpoint's tokenizer, and say in its config what transformers would else guess.

    Args:
        checkpoint: Whose tokenizer it is; one without a tokenizer has nothing to copy.
        encoder: Names the class and the inputs that the family's models need.
        folder: Where it goes.
        max_length: Tokens that the model was trained with: pipelines cut texts to what stands here.
    """
    for path in checkpoint.tokenizer_files:
        shutil.copyfile(path, folder / path.name)
    if not checkpoint.tokenizer_files:
        return
    settings = read_object(folder / SETTINGS) if (folder / SETTINGS).is_file() else {}
    settings.pop("auto_map", None)  # a stranger's code does not travel on
    _say_it_in_older_words(settings)
    settings.setdefault("tokenizer_class", encoder.model_type.tokenizer)
    settings.setdefault("model_input_names", list(encoder.model_type.model_inputs))
    if max_length is not None:
        settings["model_max_length"] = max_length
    write_json(folder / SETTINGS, settings)


def _say_it_in_older_words(settings: dict[str, Any]) -> None:
    """Use the names that transformers 4 has and transformers 5 still reads."""
    if settings.get("tokenizer_class") == "TokenizersBackend":
        settings["tokenizer_class"] = "PreTrainedTokenizerFast"
    if isinstance(settings.get("extra_special_tokens"), list):
        settings["additional_special_tokens"] = settings.pop("extra_special_tokens")
