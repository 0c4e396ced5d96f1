"""A tokenizer on its way into a new folder: its files as they are, or with fewer tokens; its config explicit."""

import logging
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.strict_json import read_object, write_json
from prunecli.encoders import Encoder

log = logging.getLogger(__name__)

TOKENIZER, SETTINGS = "tokenizer.json", "tokenizer_config.json"
# What a tokenizer with fewer tokens has: written anew, or without a list of tokens.
REWRITTEN = (TOKENIZER, SETTINGS, "special_tokens_map.json")


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


def write_with_fewer_tokens(
    checkpoint: Checkpoint, encoder: Encoder, folder: Path, tokenizer: dict[str, Any], new: Mapping[int, int]
) -> None:
    """Write a checkpoint's tokenizer with the tokens that are left, in place of what `write_tokenizer` copied.

    Args:
        checkpoint: Whose tokenizer it was.
        encoder: As for `write_tokenizer`.
        folder: Where it goes.
        tokenizer: What `tokenizer.json` shall hold.
        new: The new id of each token that is left.
    """
    write_tokenizer(checkpoint, encoder, folder)
    stale = set(file_names(checkpoint)) - set(file_names(checkpoint, fewer=True))
    for name in sorted(stale):
        log.info("%s is left out: it lists the tokens before the cut, tokenizer.json those after", name)
        (folder / name).unlink()
    write_json(folder / TOKENIZER, tokenizer)
    settings = read_object(folder / SETTINGS)
    added = settings.get("added_tokens_decoder")
    if isinstance(added, dict):
        settings["added_tokens_decoder"] = {
            str(new[int(number)]): token for number, token in added.items() if int(number) in new
        }
        write_json(folder / SETTINGS, settings)


def file_names(checkpoint: Checkpoint, fewer: bool = False) -> list[str]:
    """Return the names of the files that are written for a tokenizer, where it is left whole or has fewer tokens.

    tokenizer.json says all that the older formats say; those list every token, so they would be wrong.
    """
    names = {path.name for path in checkpoint.tokenizer_files}
    if fewer:
        return sorted({TOKENIZER, SETTINGS, *names.intersection(REWRITTEN)})
    return sorted(names and {SETTINGS, *names})
