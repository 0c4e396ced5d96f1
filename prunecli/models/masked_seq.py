"""`AutoModelForMaskedSeqModeling`: loads what was saved, reads irti checkpoints, puts a new head on any encoder.

The class that travels with the weights is `MaskedSeqModel` in `modeling_masked_seq.py`. Importing this registers it
with AutoConfig and AutoModel, so that saved folders need no remote code here.
"""

import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NoReturn

import torch
from transformers import AutoConfig, AutoModel

from prunecli.errors import PruneError
from prunecli.models import masked_seq_sources as sources
from prunecli.models.modeling_around import without_pooler
from prunecli.models.modeling_losses import MULTILABEL
from prunecli.models.modeling_masked_seq import MaskedSeqConfig, MaskedSeqModel

TOLERANCE = 1e-5


class AutoModelForMaskedSeqModeling:
    """Makes models that classify several positions of a sequence at once; like every auto class, never an object."""

    def __init__(self, *args: Any, **kwargs: Any) -> NoReturn:
        raise PruneError(
            "AutoModelForMaskedSeqModeling cannot be instantiated",
            "call AutoModelForMaskedSeqModeling.from_pretrained(FOLDER_OR_ENCODER, ...)",
        )

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
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
            pretrained_model_name_or_path: A folder that was saved from such a model, by prunecli or irti_custom; or an
                encoder, as a folder or hub id.
            num_labels: Outputs of the head at a position; needed for a new head unless the labels have names.
            task: `multilabel` (of a new head, where nothing is said) or `multiclass`.
            trust_remote_code: Whether an encoder that transformers does not know may run its own Python.
            strict_mlm_check: Whether the encoder has to be one that AutoModelForMaskedLM knows.
            base_model_attr_name: What the encoder is called inside the model; its `model_type` where None.
            id2label: Names of the labels; they replace those of a saved model.
            label2id: The same the other way round; one of the two is enough.
            **kwargs: As for every `from_pretrained`: `dtype`, `attn_implementation`, `revision` ...

        Returns:
            A `MaskedSeqModel` in evaluation mode, with a new head in float32 unless `dtype` says otherwise.

        Raises:
            InputError: The source cannot be read, or was saved with another `num_labels` or `task` than is asked for.
            UnsupportedModelError: The encoder does not fit, or has Python of its own that is not trusted.
            OfflineError: A hub id that is not in the cache, while the hub is out of reach.
        """
        asked = sources.Asked(
            num_labels, task, trust_remote_code, strict_mlm_check, base_model_attr_name, id2label, label2id
        )
        checkpoint = sources.find(pretrained_model_name_or_path, asked, kwargs)
        wanted = kwargs.pop("output_loading_info", False)
        options = {"local_files_only": True, "use_safetensors": True, **kwargs}
        options |= {
            "output_loading_info": True,
            "ignore_mismatched_sizes": True,
        }  # the report is checked below
        with sources.said_of(checkpoint.path):
            if sources.has_head(checkpoint):
                config, state = sources.read_whole(checkpoint, asked)
                path = None if state is not None else checkpoint.path
                loaded: Any = MaskedSeqModel.from_pretrained(path, config=config, state_dict=state, **options)
                model, report = loaded
            else:
                base, config = sources.read_encoder(checkpoint, asked)
                options = {"dtype": torch.float32, **options}
                encoder, report = without_pooler(
                    AutoModel.from_pretrained, checkpoint.path, config=base, **options
                )
                model = MaskedSeqModel(config, encoder=encoder)
                model.head.to(device=encoder.device, dtype=encoder.dtype)
                model.train(False)
        sources.check_whole(checkpoint, report)
        return (model, report) if wanted else model

    @classmethod
    def run_self_test(
        cls, base: str | Path, trust_remote_code: bool = False, task: str = MULTILABEL, num_labels: int = 3
    ) -> float:
        """Put a head on an encoder, compute logits and gradients, save, reload, and compare.

        Returns:
            The largest difference between the logits before and after.

        Raises:
            PruneError: The encoder does not fit, or the reloaded model says something else.
        """
        options: dict[str, Any] = {"trust_remote_code": trust_remote_code}
        model = cls.from_pretrained(base, num_labels=num_labels, task=task, **options)
        ids_BT = torch.arange(2 * 8).view(2, 8) % model.config.vocab_size
        indices_BM = torch.tensor([[1, 5, 6], [2, 3, 7]])
        inputs = {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT), "mask_indices": indices_BM}
        labels = torch.zeros(2, 3, num_labels) if task == MULTILABEL else torch.zeros(2, 3, dtype=torch.long)
        output = model(**inputs, labels=labels)
        output.loss.backward()
        with tempfile.TemporaryDirectory() as folder, torch.no_grad():
            model.save_pretrained(folder)
            again = cls.from_pretrained(folder, **options)
            difference = float((again(**inputs).logits - output.logits).abs().max())
        if output.logits.shape != (2, 3, num_labels) or not difference <= TOLERANCE:
            raise PruneError(
                f"{base}: logits of shape {list(output.logits.shape)}, {difference} apart after a round trip"
            )
        return difference


AutoConfig.register(MaskedSeqConfig.model_type, MaskedSeqConfig, exist_ok=True)
AutoModel.register(MaskedSeqConfig, MaskedSeqModel, exist_ok=True)
