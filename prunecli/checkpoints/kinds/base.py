"""What a kind of checkpoint is, and what reading one gives: a `Model`, in the words of a format that we write."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.cut_keys import check_cut
from prunecli.checkpoints.folder import inside, read_checkpoint
from prunecli.checkpoints.safetensors_file import Declared, TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

Json = dict[str, Any]
Shapes = Mapping[str, tuple[int, ...]]  # of tensors, by their names

# Keys of a config that are no property of the model: they belong to text generation, and transformers 5 refuses to
# save a config with them.
GENERATION_KEYS = ("max_length", "min_length", "top_k", "top_p", "temperature", "num_beams")


@dataclass(frozen=True, slots=True)
class NewTensor:
    """A tensor that the source does not have: it starts at random, or at zero."""

    declared: Declared
    data: bytes


@dataclass(frozen=True, slots=True)
class Model:
    """A checkpoint that was read, and not yet written.

    Attributes:
        says: What was found, in a sentence.
        config: What `config.json` will hold, but for `auto_map`; its `model_type` says the format.
        tensors: Every tensor of the output by its new name, and where its bytes stand.
        tokenizer: The folder with the tokenizer.
        encoder: The stock config of the encoder: `config` itself for a stock model.
        max_length: Tokens that the model was trained with, where the source says so.
        notes: What the user should know: what was left out, what was guessed.
    """

    says: str
    config: Json
    tensors: Mapping[str, TensorEntry | NewTensor]
    tokenizer: Path
    encoder: Json
    max_length: int | None = None
    notes: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Reading:
    """What the user allows and adds.

    Attributes:
        allow_pickle: Whether tensors may come out of a pickle.
        base: Folder with the config of the encoder, for sources that only name one.
        seed: Of what is new.
        num_labels: Labels of a position; None where nothing was said.
        task: `multilabel` or `multiclass`, of positions; None where nothing was said.
        names: Names of a position's labels by number; empty where nothing was said.
    """

    allow_pickle: bool = False
    base: Path | None = None
    seed: int = 0
    num_labels: int | None = None
    task: str | None = None
    names: Mapping[int, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Kind:
    """A kind of checkpoint: each file of this folder has one as `KIND`.

    Attributes:
        title: What people call it.
        recognises: Says whether a folder, with this config.json, is one; None for what can only be written.
        read: Reads a folder; raises `InputError` for half a checkpoint.
        make: Turns a model that was read into this kind; None for what can only be read.
        becomes: The kind that is written where `--to` does not say one.
    """

    title: str
    recognises: Callable[[Path, Json], bool] | None = None
    read: Callable[[Path, Reading], Model] | None = None
    make: Callable[[Model, Reading], Model] | None = None
    becomes: str = "stock"


def peek(folder: Path, *names: str) -> Json:
    """Return the JSON object of a file, or an empty one where there is no such file."""
    return strict_json.read_object(inside(folder, *names)) if folder.joinpath(*names).is_file() else {}


def is_around(model_type: str) -> Callable[[Path, Json], bool]:
    """Return what recognises a folder of ours with a model of this type around an encoder."""

    def recognises(folder: Path, config: Json) -> bool:
        return config.get("model_type") == model_type and "base_model_config" in config

    return recognises


def read_around(
    title: str, key: str, values: tuple[str, ...], heads: Callable[[Json, int], Shapes]
) -> Callable[[Path, Reading], Model]:
    """Return what reads a folder of ours with a model around an encoder: its tensors have their names already.

    Args:
        title: What people call it.
        key: The entry of the config that says what it does.
        values: What that entry may be.
        heads: From the config and the width of the encoder's hidden states to the tensors that stand on it.
    """

    def read(folder: Path, reading: Reading) -> Model:
        checkpoint = read_checkpoint(folder, reading.allow_pickle)
        config = without(checkpoint.config, "auto_map", "transformers_version")
        base, cut = config.get("base_model_config"), config.get("base_model_cut")
        if not isinstance(base, dict) or config.get(key) not in values:
            raise InputError(
                f"{folder / 'config.json'} lacks base_model_config or {key}", "convert or save it again"
            )
        if cut is not None:
            check_cut(cut, folder / "config.json")
        shapes = heads(config, stream_width(base, cut))
        pick(checkpoint.tensors, {name: name for name in shapes}, shapes, folder)
        return Model(f"{title}, {config[key]}", config, checkpoint.tensors, folder, base)

    return read


def stream_width(base: Mapping[str, Any], cut: Mapping[str, Any] | None) -> int:
    """Return how many hidden dimensions a head can read.

    Args:
        base: The stock config of the encoder.
        cut: What was cut out of it; None where nothing was.
    """
    left: int | None = (cut or {}).get("hidden_dimensions")
    return left or for_config(base).hidden


def pick(
    tensors: Mapping[str, TensorEntry],
    wanted: Mapping[str, str],
    shapes: Shapes,
    file: Path,
) -> dict[str, TensorEntry]:
    """Return tensors under new names.

    Args:
        tensors: What there is.
        wanted: The new name of each tensor that has to be there.
        shapes: The shape that it has to have, by its old name.
        file: Where they stand, for messages.

    Raises:
        InputError: One is missing, or has another shape.
    """
    found = {}
    for name, new in wanted.items():
        entry = tensors.get(name)
        if entry is None:
            raise InputError(
                f"{file}: tensor {name} is missing (it has {', '.join(sorted(tensors)[:4])} ...)",
                "take the whole checkpoint that was saved with its config",
            )
        if entry.shape != shapes[name]:
            raise InputError(
                f"{file}: tensor {name} has shape {list(entry.shape)}, but the encoder needs {list(shapes[name])}",
                "take the head that was trained with this encoder",
            )
        found[new] = entry
    return found


def without(config: Mapping[str, Any], *keys: str) -> Json:
    """Return a config without some keys, and without those of text generation."""
    return {key: value for key, value in config.items() if key not in (*keys, *GENERATION_KEYS)}


def whole_number(value: Any) -> int | None:
    """Return a length that a config states, or None where it states none that can be meant."""
    return value if type(value) is int and 0 < value < 1_000_000 else None


def width_of(tensors: Iterable[TensorEntry]) -> str:
    """Return the name that configs have for the type of most values."""
    names = {"F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16"}
    sizes: dict[str, int] = {}
    for entry in tensors:
        if entry.dtype in names:
            sizes[entry.dtype] = sizes.get(entry.dtype, 0) + entry.elements
    return names[max(sizes, key=lambda dtype: sizes[dtype])] if sizes else "float32"
