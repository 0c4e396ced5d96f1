"""Any encoder of transformers with a head that classifies several positions of a sequence in one forward pass.

Load it with `trust_remote_code=True`; torch and transformers are all it needs.
Shapes: B batch, T tokens, M positions, H hidden, L labels.
"""

import inspect
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from transformers import AutoConfig, AutoModel, PretrainedConfig, PreTrainedModel
from transformers.dynamic_module_utils import custom_object_save, get_class_from_dynamic_module
from transformers.modeling_outputs import MaskedLMOutput
from transformers.utils import logging

from .modeling_pruned import narrow, resize  # it travels beside this file

logger = logging.get_logger(__name__)

MULTILABEL, MULTICLASS = "multilabel", "multiclass"
IGNORED = -100  # label of positions that take no part in the loss
HEAD = "head"
TAKEN = (
    HEAD,
    "config",
    "training",
    "num_labels",
    "name_or_path",
    "generation_config",
)  # attributes of the model
HUB = (
    "revision",
    "token",
    "cache_dir",
    "local_files_only",
)  # arguments that say which files of the hub are meant
MODULE = "modeling_masked_seq"
FILES = (f"{MODULE}.py", "modeling_pruned.py")
REMOTE = "transformers_modules."  # where transformers imports a folder's Python from, once its user trusts it
# What the config of the encoder must not decide: code, downloads, number types, the labels of this head.
NOT_THE_ENCODERS = (
    "auto_map", "architectures", "trust_remote_code", "_name_or_path", "name_or_path", "dtype", "torch_dtype",
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
    "_experts_implementation", "quantization_config", "transformers_version", "transformers_weights",
    "id2label", "label2id", "num_labels", "problem_type",
)  # fmt: skip
# Sizes that others look for in the outer config.
SHOWN = ("vocab_size", "hidden_size", "max_position_embeddings", "type_vocab_size", "pad_token_id")


class MaskedSeqConfig(PretrainedConfig):
    """What the encoder is, and what the head says.

    base_model_config: the stock config of the encoder, with its `model_type`.
    base_model_cut: what was cut out of the encoder, as `modeling_pruned.py` explains it; None where nothing was.
    task: `multilabel` (any number of labels at a position) or `multiclass` (one of them).
    base_model_attr_name: what the encoder is called in the model; its `model_type` where None.
    base_model_code: classes of an encoder that transformers does not know, in files of the same folder.
    id2label, label2id: names of the labels, whose ids count from 0; either gives the other.
    """

    model_type = "masked_seq"

    def __init__(
        self,
        base_model_config=None,
        base_model_cut=None,
        task=MULTILABEL,
        base_model_attr_name=None,
        base_model_code=None,
        id2label=None,
        label2id=None,
        **kwargs,
    ):
        if task not in (MULTILABEL, MULTICLASS):
            raise ValueError(f"task {task!r} is neither {MULTILABEL!r} nor {MULTICLASS!r}")
        self.task = task
        self.base_model_config = {
            key: value for key, value in (base_model_config or {}).items() if key not in NOT_THE_ENCODERS
        }
        self.base_model_config.setdefault("model_type", "bert")
        self.base_model_cut = base_model_cut
        kwargs.pop("new_parameters", None)  # said of a head that nobody has trained: who saves this has
        self.base_model_attr_name = attribute_name(
            base_model_attr_name or self.base_model_config["model_type"]
        )
        self.base_model_code = base_model_code
        kwargs = {key: value for key, value in kwargs.items() if key not in SHOWN}
        super().__init__(**named_labels(id2label, label2id), **kwargs)
        self.show(self.base_config())

    @classmethod
    def get_config_dict(cls, folder, **kwargs):
        """Read config.json; where this file runs as a folder's trusted Python, so may its encoder's."""
        entries, rest = super().get_config_dict(folder, **kwargs)
        if entries.get("base_model_code") and __name__.startswith(REMOTE):
            hub = {name: kwargs[name] for name in HUB if kwargs.get(name) is not None}
            register_code(
                entries["base_model_config"]["model_type"], entries["base_model_code"], folder, **hub
            )
        return entries, rest

    def base_config(self):
        """Return the stock config of the encoder."""
        entries = dict(self.base_model_config)
        return AutoConfig.for_model(entries.pop("model_type"), **entries)

    def show(self, base):
        """Repeat the encoder's sizes."""
        for name in SHOWN:
            if hasattr(base, name):
                setattr(self, name, getattr(base, name))


def register_code(model_type, code, folder, **hub):
    """Run the Python of an encoder that stands in a folder, and let the auto classes know its classes.

    code: `AutoConfig` and `AutoModel` as `file.Class`.
    """
    for name in (code["AutoConfig"], code["AutoModel"]):
        if not re.fullmatch(r"\w+\.\w+", name):
            raise ValueError(f"{name!r} is no class in a file of {folder}")
    config_class, model_class = (
        get_class_from_dynamic_module(code[auto], folder, **hub) for auto in ("AutoConfig", "AutoModel")
    )
    AutoConfig.register(model_type, config_class, exist_ok=True)
    AutoModel.register(config_class, model_class, exist_ok=True)


def named_labels(id2label, label2id):
    """Return both, where one is given; refuse ids with gaps and names that are given twice."""
    if id2label is None and label2id is None:
        return {}
    names = {int(id): name for id, name in (id2label or {}).items()}
    ids = {name: int(id) for name, id in (label2id or {}).items()}
    names = names or {id: name for name, id in ids.items()}
    ids = ids or {name: id for id, name in names.items()}
    fit = len(ids) == len(names) and all(ids.get(name) == id for id, name in names.items())
    if not fit or sorted(names) != list(range(len(names))):
        raise ValueError(
            f"id2label {id2label} and label2id {label2id} have to give each id from 0 a name of its own"
        )
    return {"id2label": dict(sorted(names.items())), "label2id": ids}


def attribute_name(name):
    """Return a name that a module can have: lower case, letters, digits and underscores."""
    found = re.sub(r"[^a-z0-9_]+", "_", name.strip().lower())
    found = f"m_{found}" if not found or found[0].isdigit() else found
    if found in TAKEN or hasattr(PreTrainedModel, found) or not found.isidentifier():
        raise ValueError(f"base_model_attr_name {name!r} is taken: choose another")
    return found


class MaskedSeqModel(PreTrainedModel):
    """Reads the encoder's last hidden state at some positions, and says the labels of each."""

    config_class = MaskedSeqConfig
    # The encoder's class decides when it is built; this one stands in nobody's way.
    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flash_attn_2 = _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config, encoder=None):
        """Build the model; around `encoder` where one is given, which must be of `config.base_model_config`."""
        attention = config._attn_implementation  # as it was asked for: the next line resolves it
        super().__init__(config)
        cut = config.base_model_cut and SimpleNamespace(**config.base_model_cut)
        if encoder is None:
            asked = {} if attention is None else {"attn_implementation": attention}
            encoder = without_pooler(AutoModel.from_config, config.base_config(), **asked)
            if cut is not None:
                resize(encoder, cut)
        self.base_model_prefix = config.base_model_attr_name
        self.add_module(self.base_model_prefix, encoder)
        self._no_split_modules = encoder._no_split_modules
        self.num_labels = config.num_labels
        hidden = encoder.config.hidden_size
        self.head = nn.Sequential(
            nn.Linear(hidden, hidden), nn.GELU(), nn.LayerNorm(hidden), nn.Linear(hidden, self.num_labels)
        )
        if cut is not None:
            narrow(self, cut.narrowed_head, cut.hidden_dimensions)
        self.post_init()

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        mask_indices=None,
        labels=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
    ):
        """Return loss and logits [B, M, L].

        mask_indices: whole numbers [B, M], the token of each position, from 0 to T - 1; every token where None.
            Rows with fewer positions are filled up with any of their tokens; the labels say which do not count.
        labels: [B, M, L] of zeros and ones (multilabel; -100 in channel 0 where a position does not count), or
            [B, M] of ids (multiclass; -100 likewise). Where no position counts the loss is 0.
        token_type_ids: left out for encoders without segments.
        """
        if "token_type_ids" not in inspect.signature(self.base_model.forward).parameters:
            token_type_ids = None
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        output = self.base_model(
            **{name: value for name, value in inputs.items() if value is not None}, return_dict=True
        )
        hidden_BMH = output.last_hidden_state
        if mask_indices is not None:
            check_positions(mask_indices, hidden_BMH)
            hidden_BMH = hidden_BMH.gather(1, mask_indices[..., None].expand(-1, -1, hidden_BMH.shape[-1]))
        logits_BML = self.head(hidden_BMH)
        loss, counted_BM = None, None
        if labels is not None:
            counted_BM = counted(labels, logits_BML, self.config.task)
            loss = mean_loss(logits_BML[counted_BM], labels[counted_BM], self.config.task)
        if mask_indices is not None and attention_mask is not None:
            check_padding(mask_indices, attention_mask, counted_BM)
        found = MaskedLMOutput(loss, logits_BML, output.get("hidden_states"), output.get("attentions"))
        as_dict = self.config.return_dict if return_dict is None else return_dict
        return found if as_dict else found.to_tuple()

    def predict_proba(self, logits):
        """Return probabilities: of each label (multilabel), or that sum to 1 at a position (multiclass)."""
        return logits.sigmoid() if self.config.task == MULTILABEL else logits.softmax(-1)

    def get_input_embeddings(self):
        """Return the encoder's token embeddings."""
        return self.base_model.get_input_embeddings()

    def set_input_embeddings(self, value):
        """Replace the encoder's token embeddings."""
        self.base_model.set_input_embeddings(value)

    def resize_token_embeddings(self, *args, **kwargs):
        """Resize the encoder's token embeddings, and say so in the config that is saved."""
        embeddings = self.base_model.resize_token_embeddings(*args, **kwargs)
        self.config.base_model_config["vocab_size"] = self.base_model.config.vocab_size
        self.config.show(self.base_model.config)
        return embeddings

    def save_pretrained(self, save_directory, **kwargs):
        """Save the weights, a config that says where the classes are, and the files with the classes."""
        self.config.auto_map = auto_map(self.config)
        encoder = {"AutoConfig": self.base_model.config, "AutoModel": self.base_model}
        own = {auto: part for auto, part in encoder.items() if type(part).__module__.startswith(REMOTE)}
        self.config.base_model_code = {auto: class_in_file(type(part)) for auto, part in own.items()} or None
        super().save_pretrained(save_directory, **kwargs)
        if not kwargs.get("is_main_process", True):
            return
        for name in FILES:
            source, target = Path(__file__).with_name(name), Path(save_directory) / name
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)
        for part in own.values():  # last: an encoder of prunecli's own brings its own modeling_pruned.py
            custom_object_save(part, save_directory)


def class_in_file(cls):
    """Return where a class stands, as `file.Class`."""
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"


def without_pooler(build, *args, **kwargs):
    """Build the bare encoder; a pooler would have weights that nothing reads."""
    try:
        return build(*args, add_pooling_layer=False, **kwargs)
    except TypeError:  # an encoder that never has one
        return build(*args, **kwargs)


def check_positions(mask_indices, hidden_BTH):
    """Refuse positions of another type or shape, or outside of the sequence."""
    batch, tokens = hidden_BTH.shape[:2]
    if mask_indices.dtype != torch.long:
        raise TypeError(f"mask_indices are {mask_indices.dtype}, but they must be torch.long")
    if mask_indices.dim() != 2 or mask_indices.shape[0] != batch:
        raise ValueError(f"mask_indices have shape {list(mask_indices.shape)}, but they must be [{batch}, M]")
    if torch.compiler.is_compiling() or not mask_indices.numel():
        return
    low, high = mask_indices.min().item(), mask_indices.max().item()
    if low < 0 or high >= tokens:
        raise ValueError(
            f"mask_indices of shape {list(mask_indices.shape)} go from {low} to {high}, but the input has the "
            f"tokens 0 to {tokens - 1}; fill rows up with any of these, and with labels of {IGNORED}"
        )


def counted(labels, logits_BML, task):
    """Return where labels count, as bool [B, M]; refuse labels that make no sense."""
    shape = logits_BML.shape if task == MULTILABEL else logits_BML.shape[:2]
    if labels.shape != shape:
        raise ValueError(
            f"labels have shape {list(labels.shape)}, but for {task} and logits of shape "
            f"{list(logits_BML.shape)} they must be {list(shape)}"
        )
    counted_BM = (labels[..., 0] if task == MULTILABEL else labels) != IGNORED
    if torch.compiler.is_compiling():
        return counted_BM
    real = labels[counted_BM]
    highest = 1 if task == MULTILABEL else logits_BML.shape[-1] - 1
    wrong = real[(real < 0) | (real > highest)]
    if wrong.numel():
        raise ValueError(
            f"labels of shape {list(labels.shape)} hold {wrong[0].item():g}, but for {task} they go from 0 to "
            f"{highest}, or are {IGNORED}{' in channel 0' if task == MULTILABEL else ''} to be ignored"
        )
    return counted_BM


def check_padding(mask_indices, attention_mask, counted_BM):
    """Refuse a labelled position where there is no token; warn of one where nobody says whether it counts."""
    if torch.compiler.is_compiling() or attention_mask.dim() != 2:
        return
    padding_BM = attention_mask.gather(1, mask_indices) == 0
    if counted_BM is None:
        if padding_BM.any():
            logger.warning_once("mask_indices point at padding: the logits there mean nothing")
    elif (padding_BM & counted_BM).any():
        row, column = (padding_BM & counted_BM).nonzero()[0].tolist()
        raise ValueError(
            f"mask_indices[{row}, {column}] is {mask_indices[row, column].item()}, which is padding, but it has "
            f"a label: point at a token, or set the label to {IGNORED}"
        )


def mean_loss(logits_NL, labels, task):
    """Return the mean loss of N labelled positions; 0 where there is none."""
    if task == MULTILABEL:
        total = nn.functional.binary_cross_entropy_with_logits(
            logits_NL, labels.to(logits_NL.dtype), reduction="sum"
        )
        return total / max(logits_NL.numel(), 1)
    return nn.functional.cross_entropy(logits_NL, labels.long(), reduction="sum") / max(len(logits_NL), 1)


def auto_map(config):
    """Return where transformers finds the classes: in this file."""
    return {"AutoConfig": f"{MODULE}.MaskedSeqConfig", "AutoModel": f"{MODULE}.MaskedSeqModel"}
