"""A checkpoint folder as data: its config, its tensors by header, the files beside them."""

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.atomic import partial_path
from prunecli.checkpoints.pickles import read_pickle
from prunecli.checkpoints.run_folder import MODEL, is_run
from prunecli.checkpoints.safetensors_file import TensorEntry, read_header
from prunecli.encoders import module_names
from prunecli.errors import InputError

WEIGHTS = "model.safetensors"
INDEX = "model.safetensors.index.json"
RECORD = (
    "prunecli.json"  # what a pruned folder says of itself: source, versions, numbers, sha256 of each file
)
PICKLES = ("pytorch_model.bin", "pytorch_model.bin.index.json", "model.pt", "pytorch_model.pt")
TOKENIZER_FILES = (
    "tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "vocab.txt",
    "vocab.json", "merges.txt", "sentencepiece.bpe.model", "spiece.model", "spm.model", "sentencepiece.model",
    "tokenizer.model",
)  # fmt: skip
GRAPH = "model.onnx"
CARD = "README.md"
NEW = "new_parameters"  # key of config.json: parameters that convert drew, and nobody has trained yet
KEPT_TOKENS = "kept_tokens.safetensors"  # which tokens a cut vocabulary still has
CARRIED = ("LICENSE", "NOTICE", KEPT_TOKENS)  # files that stay with the weights, whatever is made of them
# Keys that transformers would act on and that no stranger's config.json may set: code, hub downloads.
DANGEROUS_KEYS = (
    "trust_remote_code", "attn_implementation", "_attn_implementation", "_attn_implementation_internal",
    "quantization_config", "transformers_weights", "_name_or_path", "name_or_path",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What a folder holds, read from JSON and safetensors headers only.

    Attributes:
        path: The folder.
        config: `config.json` without the keys that could make a library run code or go to the hub.
        tensors: Every tensor of every shard, by the name that transformers has for it once it is loaded.
    """

    path: Path
    config: dict[str, Any]
    tensors: dict[str, TensorEntry]

    @property
    def architecture(self) -> str | None:
        """Return the class name that the folder was saved from (`BertForSequenceClassification`)."""
        names = self.config.get("architectures") or [None]
        return names[0] if isinstance(names, list) and isinstance(names[0], str) else None

    @property
    def tokenizer_files(self) -> list[Path]:
        """Return the tokenizer's files."""
        return [inside(self.path, name) for name in TOKENIZER_FILES if (self.path / name).is_file()]

    @property
    def carried_files(self) -> list[Path]:
        """Return the license files, and which tokens of a vocabulary are left."""
        return [inside(self.path, name) for name in CARRIED if (self.path / name).is_file()]

    @property
    def weight_files(self) -> list[Path]:
        """Return the safetensors files, sorted by name."""
        return sorted({entry.path for entry in self.tensors.values()})


def read_checkpoint(path: Path, allow_pickle: bool = False) -> Checkpoint:
    """Read a folder's config and headers.

    Args:
        path: The folder.
        allow_pickle: Whether `pytorch_model.bin` will do where there is no safetensors file.

    Raises:
        InputError: A file is missing, broken, or leads out of the folder.
    """
    checkpoint = read_config(path)
    config = checkpoint.config
    tensors: dict[str, TensorEntry] = {}
    for file in _weight_files(path, allow_pickle):
        header = _by_module(read_tensors(file), config.get("model_type"))
        twice = tensors.keys() & header.keys()
        if twice:
            raise InputError(f"{file}: tensor {min(twice)} also stands in another shard")
        tensors |= header
    return replace(checkpoint, tensors=tensors)


def read_config(path: Path) -> Checkpoint:
    """Read a folder's config alone, for a folder without weights.

    Raises:
        InputError: There is none, or it is broken.
    """
    check_folder(path)
    if not (path / "config.json").is_file():
        if is_run(path):
            raise InputError(
                f"{path} is a run folder, not a checkpoint", f"its dense model is {path / MODEL}"
            )
        raise InputError(f"{path / 'config.json'} does not exist", _checkpoints_in(path))
    said = strict_json.read_object(inside(path, "config.json"))
    return Checkpoint(path, {key: value for key, value in said.items() if key not in DANGEROUS_KEYS}, {})


def check_folder(path: Path, near: Path | str | None = None) -> None:
    """Refuse a checkpoint that is no folder.

    Args:
        path: What a user names.
        near: What may have been meant, where that is known.

    Raises:
        InputError: It is a file, or nothing.
    """
    if path.is_dir():
        return
    partial = partial_path(path)
    if partial.is_dir():
        raise InputError(
            f"{path}: no such folder, but an interrupted run stands at {partial}",
            "finish it by the same command with --resume",
        )
    hint = (
        f"did you mean {near}?"
        if near
        else "name the folder of a saved checkpoint, or of a run of train-masks"
    )
    raise InputError(f"{path} is a file, not a folder" if path.exists() else f"{path}: no such folder", hint)


def _checkpoints_in(path: Path) -> str:
    """Say what to name instead of a folder that only holds folders of checkpoints or runs."""
    inner = sorted(file.parent for name in ("config.json", "run.json") for file in path.glob(f"*/{name}"))
    if not inner:
        return "name the folder of a saved checkpoint"
    return f"name one of the folders in it: {', '.join(map(str, dict.fromkeys(inner)))}"


def read_tensors(file: Path) -> dict[str, TensorEntry]:
    """Return where the tensors of a safetensors file or of a pickle stand."""
    return read_header(file) if file.suffix == ".safetensors" else read_pickle(file)


def _by_module(header: dict[str, TensorEntry], model_type: Any) -> dict[str, TensorEntry]:
    """Name tensors as transformers does once it has loaded them, and take stacked ones apart."""
    found: dict[str, TensorEntry] = {}
    for entry in header.values():
        names = module_names(model_type, entry.name)
        if len(names) > 1 and (not entry.shape or entry.shape[0] % len(names)):
            raise InputError(f"{entry.path}: tensor {entry.name} does not stack {len(names)} of one size")
        size = entry.size // len(names)
        for number, name in enumerate(names):
            start = entry.start + number * size
            shape = (entry.shape[0] // len(names), *entry.shape[1:]) if entry.shape else ()
            found[name] = replace(entry, name=name, shape=shape, start=start, stop=start + size)
    return found


def files_in(path: Path) -> list[str]:
    """Return every file of a folder and of the folders in it, by its name with `/`, sorted."""
    found = (file for file in path.rglob("*") if file.is_symlink() or not file.is_dir())
    return sorted(file.relative_to(path).as_posix() for file in found)


def sha256(path: Path) -> str:
    """Return the hex digest of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _weight_files(path: Path, allow_pickle: bool) -> list[Path]:
    wanted = ((WEIGHTS, INDEX), PICKLES[:2]) if allow_pickle else ((WEIGHTS, INDEX),)
    for one, index in wanted:
        if (path / one).exists():
            return [inside(path, one)]
        if (path / index).exists():
            return _shards(path, index)
    if (path / GRAPH).exists():
        raise InputError(
            f"{path} holds a graph for onnxruntime and no weights",
            "take the folder that `convert --to onnx` made it of",
        )
    pickle = next((name for name in PICKLES if (path / name).exists()), None)
    raise InputError(
        f"{path} has no {WEIGHTS}" + (f" (only {pickle}, a pickle, which can run code)" if pickle else ""),
        "`prunecli convert --allow-pickle` reads the tensors of a pytorch_model.bin and nothing else; of others, "
        "load it once where you trust it and save_pretrained() it"
        if pickle
        else "copy the weights into the folder",
    )


def _shards(path: Path, index: str) -> list[Path]:
    weight_map = strict_json.read_object(inside(path, index), max_bytes=50_000_000).get("weight_map")
    names = list(weight_map.values()) if isinstance(weight_map, dict) else []
    if not names or not all(isinstance(name, str) for name in names):
        raise InputError(f"{path / index} has no weight_map of file names")
    return [inside(path, name) for name in sorted(set(names))]


def inside(path: Path, *names: str) -> Path:
    """Return a file of the folder, or of folders in it; refuse a name or a link that leads out.

    Raises:
        InputError: A name is more than a name, or a link leads out of the folder.
    """
    file = path.joinpath(*names)
    bare = all(Path(name).name == name and "\0" not in name for name in names)
    if not bare or not file.resolve().is_relative_to(_root(path)):
        raise InputError(
            f"{path}: {'/'.join(names)!r} leads out of the folder", "copy the file into the folder itself"
        )
    return file


def _root(path: Path) -> Path:
    """Return what a folder's links may point into: itself, or its repository in the hub's cache."""
    real = path.resolve()
    in_cache = real.parent.name == "snapshots" and real.parent.parent.name.startswith("models--")
    return real.parent.parent if in_cache else real
