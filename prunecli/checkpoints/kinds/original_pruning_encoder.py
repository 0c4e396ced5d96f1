"""PruningEncoder as its training package wrote it, in folders within the folder; every dialect of that.

    ranking_model/ (mode reranking_pruning) or encoder_model/ (pruning_only): an ordinary checkpoint
    pruning_head/: config.json, and pytorch_model.bin or model.safetensors
    pruning_encoder_config.json, config.json: either may be missing; the tokenizer, also inside the model's folder

Earlier packages wrote the same folders under other class names (`ProvencePruningHead`, `openprovence_head`).
The name of a base model that the configs note is never followed: all weights are here.
"""

from pathlib import Path

from prunecli.checkpoints.folder import (
    TOKENIZER_FILES,
    WEIGHTS,
    Checkpoint,
    inside,
    read_checkpoint,
    read_tensors,
)
from prunecli.checkpoints.kinds.base import Json, Kind, Model, Reading, peek, pick, whole_number
from prunecli.checkpoints.kinds.pruning_encoder import (
    HEAD,
    LAST_HIDDEN_STATE,
    PRUNING_ONLY,
    RERANKING,
    pruning_model,
    state_of_hidden_states,
)
from prunecli.checkpoints.new_heads import with_prefix
from prunecli.checkpoints.safetensors_file import TensorEntry
from prunecli.encoders import for_config
from prunecli.errors import InputError

SETTINGS = "pruning_encoder_config.json"
HEAD_FOLDER, HEAD_PICKLE = "pruning_head", "pytorch_model.bin"
MODEL_FOLDERS = {RERANKING: "ranking_model", PRUNING_ONLY: "encoder_model"}
POOLING = "pooling_weights."  # of a loss that the package never could compute; no forward pass reads it


def _recognises(folder: Path, config: Json) -> bool:
    names = (SETTINGS, HEAD_FOLDER, *MODEL_FOLDERS.values())
    return any((folder / name).exists() for name in names)


def _read(folder: Path, reading: Reading) -> Model:
    """Read the model, the head and the settings from where they stand.

    Raises:
        InputError: A part is missing, or the head does not fit the model.
    """
    settings = {**peek(folder, "config.json"), **peek(folder, SETTINGS)}
    mode = _mode(folder, settings)
    inner = read_checkpoint(_part(folder, MODEL_FOLDERS[mode]), reading.allow_pickle)
    head = peek(_part(folder, HEAD_FOLDER), "config.json")
    tensors, notes = _head_tensors(folder, reading, for_config(inner.config).hidden)
    state, said = (LAST_HIDDEN_STATE, ()) if mode == PRUNING_ONLY else state_of_hidden_states(inner.config)
    stated = settings.get("pruning_config")
    older = stated.get("dropout", 0.1) if isinstance(stated, dict) else 0.1
    pruning = {"classifier_dropout": head.get("classifier_dropout", older), "hidden_state": state}
    body = inner.tensors if mode == RERANKING else with_prefix(inner.tensors, inner.config)
    return pruning_model(
        f"PruningEncoder of its training package, {mode}, {inner.config.get('model_type')}",
        mode, inner.config, pruning, {**body, **tensors}, _tokenizer(folder, inner),
        whole_number(settings.get("max_length")), (*said, *notes, *_about_segments(inner)),
    )  # fmt: skip


def _mode(folder: Path, settings: Json) -> str:
    """Return the mode that the settings state, or that the folders show."""
    there = [mode for mode, name in MODEL_FOLDERS.items() if (folder / name).is_dir()]
    stated = settings.get("mode", there[0] if len(there) == 1 else None)
    if not isinstance(stated, str) or stated not in MODEL_FOLDERS:
        raise InputError(
            f"{folder} is half a PruningEncoder: mode {stated!r} in {SETTINGS}, and no folder "
            f"{' or '.join(MODEL_FOLDERS.values())}",
            "copy the whole checkpoint",
        )
    return stated


def _part(folder: Path, name: str) -> Path:
    part = inside(folder, name)
    if not part.is_dir():
        raise InputError(f"{folder} is half a PruningEncoder: folder {name}/ is missing", "copy it too")
    return part


def _head_tensors(
    folder: Path, reading: Reading, hidden: int
) -> tuple[dict[str, TensorEntry], tuple[str, ...]]:
    """Return the head's tensors by their new names, and what to say about them."""
    part = folder / HEAD_FOLDER
    name = next((name for name in (WEIGHTS, HEAD_PICKLE) if (part / name).exists()), None)
    if name is None:
        raise InputError(f"{part} has no {WEIGHTS} and no {HEAD_PICKLE}", "copy the whole checkpoint")
    file = inside(part, name)
    if name == HEAD_PICKLE and not reading.allow_pickle:
        raise InputError(
            f"{file} is a pickle, which can run code",
            "add --allow-pickle: the tensors in it are read, and nothing else",
        )
    tensors = read_tensors(file)
    unknown = [key for key in tensors if not key.startswith(("classifier.", POOLING))]
    if unknown:
        raise InputError(
            f"{file}: tensor {unknown[0]} is of no dialect that is known; a head has classifier.weight and .bias",
            "take the head that the training package saved",
        )
    names = {f"classifier.{part}": new for part, new in HEAD.items()}
    shapes: dict[str, tuple[int, ...]] = {"classifier.weight": (2, hidden), "classifier.bias": (2,)}
    pooling = any(key.startswith(POOLING) for key in tensors)
    notes = (f"{POOLING}* is left out: no forward pass reads it.",) if pooling else ()
    return pick(tensors, names, shapes, file), notes


def _tokenizer(folder: Path, inner: Checkpoint) -> Path:
    """Return the folder with the tokenizer: the root, or that of the model."""
    return folder if any((folder / name).is_file() for name in TOKENIZER_FILES) else inner.path


def _about_segments(inner: Checkpoint) -> tuple[str, ...]:
    """Say where scores differ from the package's own, which dropped `token_type_ids`."""
    if (whole_number(inner.config.get("type_vocab_size")) or 0) < 2:
        return ()
    return (
        "The package never gave the model its token_type_ids; here they reach it. "
        "Leave them out for the scores that the package gave.",
    )


KIND = Kind("PruningEncoder of its training package", _recognises, _read, becomes="pruning-encoder")
