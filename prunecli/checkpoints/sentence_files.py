"""What sentence-transformers keeps around an encoder: the list of modules, their settings, small weights.

`SentenceTransformer` runs the encoder, then the modules that `modules.json` lists (pooling, a dense layer); each has
a folder with `config.json` and perhaps weights. A cut leaves the encoder's outputs as wide as they were, so all of
this travels as it is. What does not travel is a stranger's choice of code: these files name classes, and a pruned
folder is loaded with `trust_remote_code=True`, which would let them name any.
"""

import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from prunecli.checkpoints.folder import DANGEROUS_KEYS, WEIGHTS, Checkpoint, inside
from prunecli.checkpoints.safetensors_file import read_header
from prunecli.checkpoints.strict_json import read_array, read_object, write_json
from prunecli.errors import InputError

MODULES = "modules.json"
ENCODER_SETTINGS = "sentence_bert_config.json"
SETTINGS = ("config_sentence_transformers.json", ENCODER_SETTINGS)
MODULE_CONFIG = "config.json"
# Modules that are their settings and one safetensors file; others (routers, tokenizers of their own) are not known.
KNOWN = (
    "Dense", "Dropout", "LayerNorm", "MLMTransformer", "Normalize", "Pooling", "SpladePooling", "Transformer",
    "WeightedLayerPooling",
)  # fmt: skip
# Keys that would make a library run code or fetch something, whoever asks for it.
DROPPED = (*DANGEROUS_KEYS, "auto_map", "tokenizer_name_or_path")
CLASS_KEYS = ("activation_fn", "activation_function", "sbert_ce_default_activation_function")


@dataclass(frozen=True, slots=True)
class SentenceFiles:
    """Files by their names in the folder, such as `1_Pooling/config.json`.

    Attributes:
        settings: JSON documents, without the keys that are no checkpoint's to decide.
        weights: Where each safetensors file of a module stands.
    """

    settings: dict[str, Any]
    weights: dict[str, Path]

    @property
    def names(self) -> list[str]:
        """Return the name of every file."""
        return [*self.settings, *self.weights]

    def write(self, folder: Path) -> None:
        """Write every file into a folder."""
        for name in self.names:
            (folder / name).parent.mkdir(exist_ok=True)
        for name, value in self.settings.items():
            write_json(folder / name, value)
        for name, source in self.weights.items():
            shutil.copyfile(source, folder / name)


def read_sentence_files(checkpoint: Checkpoint) -> SentenceFiles:
    """Read what sentence-transformers keeps in a checkpoint's folder; most folders have nothing of it.

    Raises:
        InputError: A file is broken or leads out of the folder, weights are a pickle, or a class is named that is
            neither sentence-transformers' nor torch's.
    """
    path = checkpoint.path
    _check_classes(checkpoint.config, path / "config.json")
    settings: dict[str, Any] = {}
    weights: dict[str, Path] = {}
    for name in SETTINGS:
        if (path / name).is_file():
            settings[name] = _read_settings(inside(path, name))
    if (path / MODULES).is_file():
        settings[MODULES] = read_array(inside(path, MODULES))
        for folder in _module_folders(settings[MODULES], path / MODULES):
            inside(path, folder)  # also where nothing stands there: the list itself travels
            if (path / folder / MODULE_CONFIG).is_file():
                file = inside(path, folder, MODULE_CONFIG)
                settings[f"{folder}/{MODULE_CONFIG}"] = _read_settings(file)
            if (path / folder / WEIGHTS).is_file():
                weights[f"{folder}/{WEIGHTS}"] = inside(path, folder, WEIGHTS)
                read_header(weights[f"{folder}/{WEIGHTS}"])
            else:
                _check_no_pickle(path / folder)
    return SentenceFiles(settings, weights)


def usual_length(checkpoint: Checkpoint) -> int | None:
    """Return how many tokens sentence-transformers cuts a text to; None where its files do not say it.

    Raises:
        InputError: They say something else than a number.
    """
    if not (checkpoint.path / ENCODER_SETTINGS).is_file():
        return None
    length = read_object(inside(checkpoint.path, ENCODER_SETTINGS)).get("max_seq_length")
    if length is not None and (type(length) is not int or length < 1):
        raise InputError(
            f"{checkpoint.path / ENCODER_SETTINGS}: max_seq_length {length!r} is no number of tokens",
            "write a number, or remove the key",
        )
    return length


def cross_encoder_settings(config: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return what a CrossEncoder noted in its `config.json`, such as `activation_fn`; None where it is none.

    Before version 4 of sentence-transformers that was a key of its own.
    """
    said, before_4 = config.get("sentence_transformers"), config.get("sbert_ce_default_activation_function")
    if isinstance(said, Mapping):
        return {"activation_fn": before_4, **said}
    return None if before_4 is None else {"activation_fn": before_4}


def _check_no_pickle(folder: Path) -> None:
    """Refuse a module whose only weights can run code."""
    pickle = next(folder.glob("*.bin"), None)
    if pickle is not None:
        raise InputError(
            f"{pickle} is a pickle, which can run code",
            "load the whole folder once where you trust it and save it again: that writes safetensors",
        )


def _module_folders(modules: list[Any], file: Path) -> Iterator[str]:
    """Yield the folder of each module but the encoder, which has to stand in the checkpoint's own folder."""
    for module in modules:
        kind, folder = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
        if not isinstance(kind, str) or not isinstance(folder, str):
            raise InputError(f"{file}: each module needs a type and a path")
        package, _, name = kind.rpartition(".")
        if package.split(".")[0] != "sentence_transformers" or name not in KNOWN:
            raise InputError(
                f"{file}: module {kind!r} is none that prunecli can carry over",
                f"remove {file.name} to cut the encoder alone; known: {', '.join(KNOWN)}",
            )
        if folder:
            yield folder
        elif not name.endswith("Transformer"):
            raise InputError(f"{file}: module {kind!r} has no folder")


def _read_settings(file: Path) -> dict[str, Any]:
    settings: dict[str, Any] = _without_dropped(read_object(file))
    _check_classes(settings, file)
    return settings


def _without_dropped(value: Any) -> Any:
    """Drop the keys that are no checkpoint's to decide, at any depth."""
    if isinstance(value, dict):
        return {key: _without_dropped(entry) for key, entry in value.items() if key not in DROPPED}
    return value


def _check_classes(value: Any, file: Path) -> None:
    """Refuse a class by its dotted name that is not one of torch's."""
    for key, entry in value.items() if isinstance(value, dict) else ():
        if key in CLASS_KEYS and "." in str(entry) and not str(entry).startswith("torch.nn."):
            raise InputError(
                f"{file}: {key} {entry!r} is not a class of torch.nn",
                "take one of torch.nn, or remove the key",
            )
        _check_classes(entry, file)
