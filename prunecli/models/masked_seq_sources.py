"""Where a masked-sequence model comes from: a folder with a head, of ours or of irti_custom, or an encoder.

Whether Python of a folder may run is the caller's to say, in `Asked`; nothing that a config says can change it.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModelForMaskedLM, GenerationConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.checkpoints.kinds import irti_masked_seq
from prunecli.checkpoints.source import WANTED, find_model
from prunecli.errors import InputError, UnsupportedModelError, words_of
from prunecli.models import modeling_masked_seq
from prunecli.models.modeling_losses import MULTILABEL
from prunecli.models.modeling_masked_seq import MaskedSeqConfig

TASK = "masked-seq"
HUB = ("revision", "token", "cache_dir", "force_download", "local_files_only")
LEFT_OUT = ("auto_map", "architectures")  # said anew when the model is saved
STRICT = "AutoModelForMaskedLM"


@dataclass(frozen=True, slots=True)
class Asked:
    """What the caller asks for; None where nothing was said. `from_pretrained` explains each."""

    num_labels: int | None
    task: str | None
    trust_remote_code: bool
    strict_mlm_check: bool
    base_model_attr_name: str | None
    id2label: Mapping[int, str] | None
    label2id: Mapping[str, int] | None

    @property
    def labels(self) -> dict[str, Any]:
        """Return `id2label` and `label2id`, empty where none is given.

        Raises:
            ValueError: The ids have gaps, or the two do not say the same.
        """
        found: dict[str, Any] = modeling_masked_seq.named_labels(self.id2label, self.label2id)
        return found


@contextmanager
def said_of(path: Path) -> Iterator[None]:
    """Name the folder in what transformers and the config say of it."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        said = words_of(error)
        raise InputError(f"{path}: {said}") from error


def find(name: str | Path, asked: Asked, options: dict[str, Any]) -> Checkpoint:
    """Return the folder of a path or hub id; what of the options concerns the hub is taken out of them."""
    hub = {key: options.pop(key) for key in HUB if key in options}
    code = {"allow_patterns": [*WANTED, "*.py"]} if asked.trust_remote_code else {}
    return read_checkpoint(find_model(str(name), TASK, **code, **hub))


def has_head(checkpoint: Checkpoint) -> bool:
    """Say whether a folder holds a whole model and not an encoder alone."""
    ours = checkpoint.config.get("model_type") == MaskedSeqConfig.model_type
    return ours or irti_masked_seq.recognises(checkpoint.config)


def read_whole(
    checkpoint: Checkpoint, asked: Asked
) -> tuple[MaskedSeqConfig, dict[str, torch.Tensor] | None]:
    """Return config and weights of a folder with a head; None where transformers reads the weights itself.

    Raises:
        InputError: It was saved with something else than is asked for.
        UnsupportedModelError: The encoder is unknown and its Python is not trusted, or fails the strict check.
    """
    foreign = irti_masked_seq.recognises(checkpoint.config)
    config, state = _irti(checkpoint, asked) if foreign else (_saved(checkpoint, asked), None)
    for name in ("num_labels", "task", "base_model_attr_name"):
        wanted, saved = getattr(asked, name), getattr(config, name)
        if wanted not in (None, saved):
            raise InputError(
                f"{checkpoint.path} was saved with {name} {saved!r}, but {wanted!r} is asked for",
                f"leave {name} out, or start from the base encoder",
            )
    if asked.strict_mlm_check:
        check_mlm(checkpoint, config.base_model_config["model_type"])
    return config, state


def _saved(checkpoint: Checkpoint, asked: Asked) -> MaskedSeqConfig:
    """Return the config of a folder that our class saved."""
    entries = {key: value for key, value in checkpoint.config.items() if key not in LEFT_OUT}
    inside = entries.get("base_model_config")
    if not isinstance(inside, dict):
        raise InputError(
            f"{checkpoint.path / 'config.json'} has no base_model_config", "save the model again"
        )
    _check_known(checkpoint, inside.get("model_type"), entries.get("base_model_code"), asked)
    config: MaskedSeqConfig = MaskedSeqConfig.from_dict(entries)
    names = asked.labels
    if names and len(names["id2label"]) != config.num_labels:
        raise InputError(
            f"{checkpoint.path} was saved with num_labels {config.num_labels}, but {len(names['id2label'])} names are "
            "given",
            "name each label",
        )
    for key, value in names.items():
        setattr(config, key, value)
    return config


def _irti(checkpoint: Checkpoint, asked: Asked) -> tuple[MaskedSeqConfig, dict[str, torch.Tensor]]:
    """Return config and weights of a folder that irti_custom saved."""
    found = irti_masked_seq.read(checkpoint, id2label=asked.labels.get("id2label"))
    files = (load_file(path) for path in checkpoint.weight_files)
    state = {name: tensor for file in files for name, tensor in file.items() if name in found.tensors}
    return irti_config(found), state


def irti_config(found: irti_masked_seq.IrtiMaskedSeq) -> MaskedSeqConfig:
    """Return the config of our class for what an irti checkpoint says.

    Raises:
        UnsupportedModelError: transformers does not know the encoder.
    """
    entries: dict[str, Any] = found.config["base_model_config"]
    if not _is_stock(entries["model_type"]):
        raise UnsupportedModelError(
            f"transformers {transformers.__version__} knows no encoder {entries['model_type']!r}",
            "the checkpoint does not carry its code: train it again from the encoder",
        )
    known = CONFIG_MAPPING[entries["model_type"]]().to_dict()
    generation: Any = GenerationConfig  # transformers 4 wrote its keys into every config
    foreign = generation().to_dict().keys() - known.keys()
    kept = {key: value for key, value in entries.items() if key not in foreign}
    return MaskedSeqConfig(**{**found.config, "base_model_config": kept})


def read_encoder(checkpoint: Checkpoint, asked: Asked) -> tuple[PreTrainedConfig, MaskedSeqConfig]:
    """Return the config of an encoder, and that of a new model on it.

    Raises:
        InputError: The labels are not said, or make no sense.
        UnsupportedModelError: It is no encoder, its Python is not trusted, or it fails the strict check.
    """
    kind = checkpoint.config.get("model_type")
    _check_known(checkpoint, kind, checkpoint.config.get("auto_map"), asked)
    base = AutoConfig.for_model(
        **{key: value for key, value in checkpoint.config.items() if key not in LEFT_OUT}
    )
    if base.is_encoder_decoder or getattr(base, "is_decoder", False) or not hasattr(base, "hidden_size"):
        raise UnsupportedModelError(
            f"{checkpoint.path}: {kind} is no encoder with one width", "take an encoder such as BERT"
        )
    if asked.strict_mlm_check:
        check_mlm(checkpoint, base.model_type)
    names = asked.labels
    count = len(names["id2label"]) if names else asked.num_labels
    if count is None or count < 1 or asked.num_labels not in (None, count):
        raise InputError(
            f"num_labels is {asked.num_labels}, and {len(names.get('id2label', ()))} labels have names",
            "say how many labels a position can have: num_labels=3, or id2label={0: ..., 1: ..., 2: ...}",
        )
    config = MaskedSeqConfig(
        base_model_config=base.to_diff_dict(),
        task=asked.task or MULTILABEL,
        base_model_attr_name=asked.base_model_attr_name,
        **(names or {"num_labels": count}),
    )
    return base, config


def _check_known(checkpoint: Checkpoint, kind: Any, code: Any, asked: Asked) -> None:
    """Make sure that the encoder's classes are known, by running the folder's Python where the caller allows it."""
    if _is_stock(kind):
        return
    if (
        not isinstance(kind, str)
        or not isinstance(code, dict)
        or not {"AutoConfig", "AutoModel"} <= code.keys()
    ):
        raise UnsupportedModelError(
            f"{checkpoint.path}: transformers {transformers.__version__} knows no encoder {kind!r}",
            "take an encoder that it knows, or one that names its own AutoConfig and AutoModel in auto_map",
        )
    if not asked.trust_remote_code:
        raise UnsupportedModelError(
            f"{checkpoint.path}: encoder {kind!r} needs Python that stands in the folder",
            "read it, then say trust_remote_code=True",
        )
    modeling_masked_seq.register_code(kind, code, str(checkpoint.path))


def _is_stock(kind: Any) -> bool:
    """Say whether an encoder is transformers' own, and not one whose Python was allowed before."""
    return kind in CONFIG_MAPPING and not CONFIG_MAPPING[kind].__module__.startswith(
        modeling_masked_seq.REMOTE
    )


def check_mlm(checkpoint: Checkpoint, model_type: str) -> None:
    """Make sure that an encoder has a language model, too.

    Raises:
        UnsupportedModelError: Neither transformers nor the folder's own Python has one.
    """
    known = model_type in CONFIG_MAPPING and CONFIG_MAPPING[model_type] in AutoModelForMaskedLM._model_mapping
    if not known and STRICT not in checkpoint.config.get("auto_map", {}):
        raise UnsupportedModelError(
            f"{checkpoint.path}: {STRICT} knows no {model_type}",
            "leave strict_mlm_check (--strict-mlm-check) out",
        )


def check_whole(checkpoint: Checkpoint, report: Mapping[str, Any]) -> None:
    """Refuse weights that lack some of the model or do not fit: transformers would draw them at random.

    Raises:
        InputError: A tensor is missing, or has another shape than the config says.
    """
    for name, found, implied in sorted(report["mismatched_keys"]):
        raise InputError(
            f"{checkpoint.path}: tensor {name} has shape {list(found)}, config.json says {list(implied)}",
            "take the config.json that was saved with the weights",
        )
    if report["missing_keys"]:
        raise InputError(
            f"{checkpoint.path}: tensor {min(report['missing_keys'])} is missing",
            "take the weights that were saved with config.json",
        )
