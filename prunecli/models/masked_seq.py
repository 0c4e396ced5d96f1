"""`AutoModelForMaskedSeqModeling` as a library: on any encoder, from what it saved, from irti checkpoints.

The class that travels with the weights, `modeling_masked_seq.py`, only loads. Where a model comes from and whether
code may run is decided here, by the caller alone. Importing this registers the class with AutoConfig and AutoModel.
"""

import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from transformers import AutoConfig, AutoModel, AutoModelForMaskedLM, GenerationConfig, PreTrainedConfig
from transformers.models.auto.configuration_auto import CONFIG_MAPPING

from prunecli.checkpoints.folder import Checkpoint, read_checkpoint
from prunecli.checkpoints.kinds import irti_masked_seq
from prunecli.checkpoints.source import find_model
from prunecli.errors import InputError, PruneError, UnsupportedModelError
from prunecli.models import modeling_masked_seq
from prunecli.models.modeling_masked_seq import MULTILABEL, MaskedSeqConfig, without_pooler

TASK = "masked-seq"
HUB = ("revision", "token", "cache_dir", "force_download", "local_files_only")
LEFT_OUT = ("auto_map", "architectures")  # said anew when the model is saved
TOLERANCE = 1e-5


class AutoModelForMaskedSeqModeling(modeling_masked_seq.AutoModelForMaskedSeqModeling):  # type: ignore[no-untyped-call]
    """Classifies several positions of a sequence at once."""

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: Any,
        *args: Any,
        num_labels: int | None = None,
        task: str | None = None,
        trust_remote_code: bool = False,
        strict_mlm_check: bool = False,
        base_model_attr_name: str | None = None,
        id2label: Mapping[int, str] | None = None,
        label2id: Mapping[str, int] | None = None,
        **kwargs: Any,
    ) -> Any:
        """Load a saved model, or put a new head on an encoder.

        Args:
            pretrained_model_name_or_path: A folder that this class or irti_custom saved; or an encoder, as a folder
                or hub id.
            *args: As for every `from_pretrained`.
            num_labels: Outputs of the head at a position; needed for a new head unless the labels have names.
            task: `multilabel` (for a new head, where nothing is said) or `multiclass`.
            trust_remote_code: Whether an encoder that transformers does not know may run its own Python.
            strict_mlm_check: Whether the encoder has to be one that AutoModelForMaskedLM knows.
            base_model_attr_name: What the encoder is called inside the model; its `model_type` where None.
            id2label: Names of the labels; they replace those of a saved model.
            label2id: The same the other way round; one of the two is enough.
            **kwargs: As for every `from_pretrained`: `dtype`, `attn_implementation`, `revision` ...

        Raises:
            InputError: The source cannot be read, or was saved with another `num_labels` or `task` than is asked for.
            UnsupportedModelError: The encoder does not fit.
            OfflineError: A hub id that is not in the cache, while the hub is out of reach.
        """
        if isinstance(
            kwargs.get("config"), MaskedSeqConfig
        ):  # AutoModel has read the folder's config already
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
        hub = {name: kwargs.pop(name) for name in HUB if name in kwargs}
        checkpoint = read_checkpoint(find_model(str(pretrained_model_name_or_path), TASK, **hub))
        kind = checkpoint.config.get("model_type")
        labels = {"id2label": id2label, "label2id": label2id}
        asked: dict[str, Any] = {
            "num_labels": num_labels,
            "task": task,
            "base_model_attr_name": base_model_attr_name,
        }
        with _said_of(checkpoint.path):
            if kind not in (MaskedSeqConfig.model_type, irti_masked_seq.MODEL_TYPE):
                base = _base_config(checkpoint, trust_remote_code, strict_mlm_check)
                config = _new_config(base, labels, **asked)
                return cls._on_encoder(checkpoint.path, base, config, kwargs)
            config, state = (_irti if kind == irti_masked_seq.MODEL_TYPE else _saved)(checkpoint, labels)
            _check_asked(checkpoint.path, config, asked)
            if strict_mlm_check:
                _check_mlm(checkpoint.path, config.base_config())
            return cls._whole(checkpoint, config, state, kwargs)

    @classmethod
    def _on_encoder(
        cls, path: Path, base: PreTrainedConfig, config: MaskedSeqConfig, options: dict[str, Any]
    ) -> Any:
        """Load an encoder and put a new head on it; in float32 unless the caller says otherwise."""
        wanted = options.pop("output_loading_info", False)
        options = {"dtype": torch.float32, "local_files_only": True, "use_safetensors": True, **options}
        encoder, report = without_pooler(
            AutoModel.from_pretrained, path, config=base, output_loading_info=True, **options
        )
        _check_whole(path, report)
        model = cls(config, encoder=encoder)
        model.head.to(device=encoder.device, dtype=encoder.dtype)
        model.train(False)
        return (model, report) if wanted else model

    @classmethod
    def _whole(
        cls,
        checkpoint: Checkpoint,
        config: MaskedSeqConfig,
        state: dict[str, torch.Tensor] | None,
        options: dict[str, Any],
    ) -> Any:
        """Load encoder and head; nothing of them may be missing."""
        wanted = options.pop("output_loading_info", False)
        loaded: Any = super().from_pretrained(
            checkpoint.path if state is None else None,
            config=config,
            state_dict=state,
            **{"local_files_only": True, "use_safetensors": True, **options},
            output_loading_info=True,
        )
        model, report = loaded
        _check_whole(checkpoint.path, report)
        return (model, report) if wanted else model

    @classmethod
    def run_self_test(
        cls, base: str | Path, trust_remote_code: bool = False, task: str = MULTILABEL, num_labels: int = 3
    ) -> float:
        """Put a head on an encoder, take a training step, save, reload, and compare.

        Returns:
            The largest difference between the logits before and after.

        Raises:
            PruneError: The encoder does not fit, or the reloaded model says something else.
        """
        model = cls.from_pretrained(
            base, num_labels=num_labels, task=task, trust_remote_code=trust_remote_code
        )
        ids_BT = torch.arange(2 * 8).view(2, 8) % model.config.vocab_size
        inputs = {
            "input_ids": ids_BT,
            "attention_mask": torch.ones_like(ids_BT),
            "mask_indices": torch.tensor([[1, 5, 6], [2, 3, 7]]),
        }
        labels = torch.zeros(2, 3, num_labels) if task == MULTILABEL else torch.zeros(2, 3, dtype=torch.long)
        output = model(**inputs, labels=labels)
        output.loss.backward()
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model.save_pretrained(folder)
            again = cls.from_pretrained(folder, trust_remote_code=trust_remote_code)
            difference = float((again(**inputs).logits - output.logits).abs().max())
        if output.logits.shape != (2, 3, num_labels) or not difference <= TOLERANCE:
            raise PruneError(
                f"{base}: logits of shape {list(output.logits.shape)}, {difference} apart after a round trip"
            )
        return difference


@contextmanager
def _said_of(path: Path) -> Iterator[None]:
    """Name the folder in what transformers and the config say of it."""
    try:
        yield
    except (ValueError, OSError, RuntimeError) as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise InputError(f"{path}: {said}") from error


def _saved(
    checkpoint: Checkpoint, labels: Mapping[str, Any]
) -> tuple[MaskedSeqConfig, dict[str, torch.Tensor] | None]:
    """Return the config of a folder that our class saved; transformers reads the weights."""
    given = {} if all(names is None for names in labels.values()) else labels
    entries = {key: value for key, value in checkpoint.config.items() if key not in LEFT_OUT}
    config: MaskedSeqConfig = MaskedSeqConfig.from_dict(entries)
    if given:
        named = modeling_masked_seq.named_labels(**given)
        _check_asked(checkpoint.path, config, {"num_labels": len(named["id2label"])})
        config.id2label, config.label2id = named["id2label"], named["label2id"]
    return config, None


def _irti(
    checkpoint: Checkpoint, labels: Mapping[str, Any]
) -> tuple[MaskedSeqConfig, dict[str, torch.Tensor] | None]:
    """Return config and weights of a folder that irti_custom saved."""
    names = modeling_masked_seq.named_labels(**labels).get("id2label")
    found = irti_masked_seq.read(checkpoint, id2label=names)
    files = (load_file(path) for path in checkpoint.weight_files)
    state = {name: tensor for file in files for name, tensor in file.items() if name in found.tensors}
    return irti_config(found), state


def irti_config(found: irti_masked_seq.IrtiMaskedSeq) -> MaskedSeqConfig:
    """Return the config of our class for what an irti checkpoint says.

    Raises:
        UnsupportedModelError: transformers does not know the encoder.
    """
    entries = dict(found.config["base_model_config"])
    if entries["model_type"] not in CONFIG_MAPPING:
        raise UnsupportedModelError(
            f"transformers {transformers.__version__} knows no encoder {entries['model_type']!r}",
            "the checkpoint needs code of its own, which prunecli does not run",
        )
    known = CONFIG_MAPPING[entries["model_type"]]().to_dict()
    foreign = (
        GenerationConfig().to_dict().keys() - known.keys()
    )  # transformers 4 wrote these into every config
    kept = {key: value for key, value in entries.items() if key not in foreign}
    return MaskedSeqConfig(**{**found.config, "base_model_config": kept})


def _check_whole(path: Path, report: Mapping[str, Any]) -> None:
    """Refuse weights that lack some of the model: transformers would draw them at random."""
    if report["missing_keys"]:
        raise InputError(
            f"{path}: tensor {min(report['missing_keys'])} is missing",
            "take the weights that were saved with config.json",
        )


def _check_asked(path: Path, config: MaskedSeqConfig, asked: Mapping[str, Any]) -> None:
    """Refuse to load a model as something else than it was saved as."""
    for name, value in asked.items():
        saved = getattr(config, name)
        if value is not None and value != saved:
            raise InputError(
                f"{path} was saved with {name} {saved!r}, but {value!r} is asked for",
                f"leave {name} out, or start from the base encoder",
            )


def _base_config(checkpoint: Checkpoint, trust: bool, strict: bool) -> PreTrainedConfig:
    """Return the config of an encoder.

    Raises:
        InputError: It needs code, and the caller did not say that it may run.
        UnsupportedModelError: It is no encoder, or has no masked language model where that is asked for.
    """
    kind, path = checkpoint.config.get("model_type"), checkpoint.path
    if kind not in CONFIG_MAPPING:
        raise UnsupportedModelError(
            f"{path}: transformers {transformers.__version__} knows no encoder {kind!r}",
        )
    entries = {key: value for key, value in checkpoint.config.items() if key not in LEFT_OUT}
    base: PreTrainedConfig = AutoConfig.for_model(**entries)
    if base.is_encoder_decoder or getattr(base, "is_decoder", False) or not hasattr(base, "hidden_size"):
        raise UnsupportedModelError(
            f"{path}: {kind} is no encoder with one width", "take an encoder such as BERT"
        )
    if strict:
        _check_mlm(path, base)
    return base


def _check_mlm(path: Path, base: PreTrainedConfig) -> None:
    if type(base) not in AutoModelForMaskedLM._model_mapping:
        raise UnsupportedModelError(
            f"{path}: AutoModelForMaskedLM knows no {base.model_type}", "leave strict_mlm_check at False"
        )


def _new_config(
    base: PreTrainedConfig,
    labels: Mapping[str, Any],
    num_labels: int | None,
    task: str | None,
    base_model_attr_name: str | None,
) -> MaskedSeqConfig:
    """Return the config of a new model."""
    named = modeling_masked_seq.named_labels(**labels)
    count = len(named["id2label"]) if named else num_labels
    if count is None or count < 1 or num_labels not in (None, count):
        raise InputError(
            f"num_labels is {num_labels}, and {len(named.get('id2label', ()))} labels have names",
            "say how many labels a position can have: num_labels=3, or id2label={0: ..., 1: ..., 2: ...}",
        )
    return MaskedSeqConfig(
        base_model_config=base.to_diff_dict(),
        task=task or MULTILABEL,
        base_model_attr_name=base_model_attr_name,
        **(named or {"num_labels": count}),
    )


AutoConfig.register(MaskedSeqConfig.model_type, MaskedSeqConfig, exist_ok=True)
AutoModel.register(MaskedSeqConfig, AutoModelForMaskedSeqModeling, exist_ok=True)
