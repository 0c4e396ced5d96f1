"""Load any checkpoint that prunecli knows, never through a checkpoint's own code or wishes.

Stock checkpoints load with the stock class of their family; folders with a class of ours with prunecli's own copy
of it, after `prunecli.models.shipped` found the folder's modeling file to be the same byte for byte.
"""

import importlib
import sys
import types
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from transformers import PreTrainedConfig, PreTrainedModel, PreTrainedTokenizerBase

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.folder import NEW, Checkpoint
from prunecli.checkpoints.tokenizer_files import SETTINGS
from prunecli.encoders import Encoder, supported_model_types
from prunecli.errors import InputError, UnsupportedModelError, words_of
from prunecli.models import modeling_pruned, pruned, shipped


@dataclass(frozen=True, slots=True)
class Loaded:
    """A model in float32 on the CPU, in evaluation mode.

    Attributes:
        model: The model.
        encoder: Its family's table and sizes.
        head: Its class without the stem.
        new: Parameters that the checkpoint did not have, or that nobody has trained: they start at random.
    """

    model: PreTrainedModel
    encoder: Encoder
    head: str
    new: tuple[str, ...]


def model_class(encoder: Encoder, head: str, cut: bool) -> type[PreTrainedModel]:
    """Return the stock class of a family and head, or the shipped class for a cut one.

    Raises:
        UnsupportedModelError: transformers has no such class.
    """
    stem = encoder.model_type.stem
    stock: type[PreTrainedModel] | None = getattr(transformers, stem + head, None)
    if stock is None:
        raise UnsupportedModelError(
            f"transformers {transformers.__version__} has no {stem}{head}",
            "take another encoder for this task",
        )
    if not cut:
        return stock
    name = f"prunecli_{pruned.MODULE}_{stem}{head}"
    if name not in sys.modules:
        module = types.ModuleType(name)
        module.__file__ = (
            modeling_pruned.__file__
        )  # transformers reads it to see what attention a class can do
        exec(compile(pruned.render(encoder, head), f"<{name}>", "exec"), module.__dict__)
        sys.modules[name] = module
    shipped: type[PreTrainedModel] = getattr(sys.modules[name], f"Pruned{stem}{head}")
    return shipped


def class_around(model_type: str, head: str) -> type[PreTrainedModel]:
    """Return our class of a model around an encoder.

    Raises:
        UnsupportedModelError: It has none with this head.
    """
    row = shipped.AROUND[model_type]
    cls: type[PreTrainedModel] | None = getattr(
        importlib.import_module(f"prunecli.models.{row.module}"), row.stem + head, None
    )
    if cls is None:
        raise UnsupportedModelError(f"there is no {row.stem}{head}", "take another head")
    return cls


def load_model(checkpoint: Checkpoint, head: str | None = None, **changes: Any) -> Loaded:
    """Load a checkpoint in float32.

    Args:
        checkpoint: The folder.
        head: The head to load it with; the checkpoint's own where None. Another head starts at random.
        **changes: Config entries to set (`num_labels`, `id2label`, `problem_type` ...).

    Raises:
        InputError: A tensor does not fit the config, or holds NaN or infinite values.
        UnsupportedModelError: The family or the head has no table.
    """
    encoder = shipped.encoder_of(checkpoint)
    head = head or shipped.head_of(checkpoint)
    cls = _class_of(checkpoint, encoder, head)
    state = _without_head(checkpoint, encoder) if _has_other_head(checkpoint, encoder, head) else None
    model, missing = _from_pretrained(cls, checkpoint, changes, state)
    for name, tensor in model.state_dict().items():
        if tensor.is_floating_point() and tensor.numel() and not _is_finite(tensor):
            raise InputError(
                f"{checkpoint.path}: tensor {name} holds NaN or infinite values", "train it again"
            )
    body = f"{encoder.model_type.prefix}."
    lost = [name for name in missing if (head == "Model" or name.startswith(body)) and "pooler" not in name]
    if lost:
        raise InputError(
            f"{checkpoint.path}: tensor {lost[0]} is missing ({len(lost)} of the encoder's in all)",
            "take the weights that were saved with config.json",
        )
    model.train(False)
    drawn = {name for name in checkpoint.config.get(NEW) or () if name in checkpoint.tensors}
    return Loaded(model, encoder, head, tuple(sorted({*missing, *drawn})))


def _is_finite(tensor: torch.Tensor) -> bool:
    """Say whether a tensor holds numbers only; smallest and largest tell it without a copy."""
    return bool(torch.isfinite(torch.stack(tensor.aminmax())).all())


def load_config(checkpoint: Checkpoint) -> PreTrainedConfig:
    """Return the config that a checkpoint's model would have; its weights are not looked at."""
    cls = _class_of(checkpoint, shipped.encoder_of(checkpoint), shipped.head_of(checkpoint))
    return _config(cls, checkpoint.config)


def _class_of(checkpoint: Checkpoint, encoder: Encoder, head: str) -> type[PreTrainedModel]:
    if shipped.is_around(checkpoint.config):
        return class_around(checkpoint.config["model_type"], head)
    return model_class(encoder, head, pruned.is_pruned(checkpoint.config))


def _has_other_head(checkpoint: Checkpoint, encoder: Encoder, head: str) -> bool:
    """Say whether a checkpoint has a head that is known, and not the wanted one."""
    own = (checkpoint.architecture or "").removeprefix("Pruned").removeprefix(encoder.model_type.stem)
    return own in pruned.AUTO_CLASSES and own not in ("Model", head)


def _without_head(checkpoint: Checkpoint, encoder: Encoder) -> dict[str, torch.Tensor]:
    """Return the encoder's tensors alone.

    Heads of different kinds name their tensors alike: a classifier of texts would be taken for one of words.
    """
    body = f"{encoder.model_type.prefix}."
    tensors = (load_file(path) for path in checkpoint.weight_files)
    return {name: tensor for file in tensors for name, tensor in file.items() if name.startswith(body)}


def _from_pretrained(
    cls: type[PreTrainedModel],
    checkpoint: Checkpoint,
    changes: dict[str, Any],
    state: dict[str, torch.Tensor] | None,
) -> tuple[PreTrainedModel, tuple[str, ...]]:
    """Return the model and the names of the parameters that the checkpoint does not have."""
    try:
        config = _config(cls, checkpoint.config)
        for key, value in changes.items():
            setattr(config, key, value)
        loaded: Any = cls.from_pretrained(
            checkpoint.path if state is None else None,
            state_dict=state,
            config=config,
            dtype=torch.float32,
            local_files_only=True,
            output_loading_info=True,
        )
    except Exception as error:  # a config that makes no sense raises whatever it first breaks
        said = words_of(error)
        raise InputError(
            f"{checkpoint.path}: weights do not fit config.json: {said}",
            "take the config.json that was saved with the weights",
        ) from error
    model, report = loaded
    return model, tuple(sorted(report["missing_keys"]))


def new_model(entries: Mapping[str, Any], encoder: Encoder, head: str) -> PreTrainedModel:
    """Return a stock model with random weights, in evaluation mode."""
    cls = model_class(encoder, head, cut=False)
    model = cls(_config(cls, entries))
    model.train(False)
    return model


def _config(cls: type[PreTrainedModel], entries: Mapping[str, Any]) -> PreTrainedConfig:
    """Return a class's config from what `config.json` holds, less what would point elsewhere."""
    left_out = ("auto_map", "architectures", "dtype", "torch_dtype")
    assert cls.config_class is not None
    config: PreTrainedConfig = cls.config_class.from_dict(
        {key: value for key, value in entries.items() if key not in left_out}
    )
    return config


def longest_input(model: PreTrainedModel, encoder: Encoder) -> int:
    """Return how many tokens the model has positions for."""
    return int(model.config.max_position_embeddings - encoder.model_type.position_offset)


def load_tokenizer(checkpoint: Checkpoint) -> PreTrainedTokenizerBase:
    """Load a checkpoint's tokenizer by its class name, without asking its config for code.

    Raises:
        InputError: There is no tokenizer, or it cannot be read.
    """
    if not checkpoint.tokenizer_files:
        raise InputError(
            f"{checkpoint.path} has no tokenizer", "copy the tokenizer files of the base model into it"
        )
    settings = checkpoint.path / SETTINGS
    said = strict_json.read_object(settings) if settings.is_file() else {}
    name = said.get("tokenizer_class")
    cls = getattr(transformers, str(name or shipped.encoder_of(checkpoint).model_type.tokenizer), None)
    if not (isinstance(cls, type) and issubclass(cls, PreTrainedTokenizerBase)):
        raise InputError(f"{settings}: tokenizer_class {name!r} is none of transformers'")
    files = set(cls.vocab_files_names.values())
    if files and not files.intersection(file.name for file in checkpoint.tokenizer_files):
        # It would be made without a single word.
        raise InputError(
            f"{checkpoint.path} has no vocabulary for its {cls.__name__} ({' or '.join(sorted(files))})",
            "copy the tokenizer files of the base model into it",
        )
    try:
        tokenizer: PreTrainedTokenizerBase = cls.from_pretrained(checkpoint.path, local_files_only=True)
    except Exception as error:  # tokenizers raises plain Exception for broken files
        raise InputError(
            f"{checkpoint.path}: the tokenizer cannot be read: {words_of(error)}",
            f"copy {' and '.join(file.name for file in checkpoint.tokenizer_files)} from the base model once more",
        ) from None
    if "model_input_names" not in said and checkpoint.config.get("model_type") in supported_model_types():
        # As `write_tokenizer` says it: what a class gives by default has changed between versions of transformers.
        tokenizer.model_input_names = list(shipped.encoder_of(checkpoint).model_type.model_inputs)
    return tokenizer
