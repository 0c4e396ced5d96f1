"""A reranker that also says which tokens of a document to keep for a query (PruningEncoder, OpenProvence, Provence).

Any encoder that transformers knows, with its own classification head for the score and one linear on top of its
tokens for keep or prune. Tensors have the names of the stock model, plus `pruning_head.classifier`.
Load it with `trust_remote_code=True`; torch and transformers are all it needs.
"""

import contextvars
import inspect
import shutil
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace

import torch
from torch import nn
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    PretrainedConfig,
    PreTrainedModel,
)
from transformers.modeling_outputs import ModelOutput, SequenceClassifierOutput, TokenClassifierOutput

from .modeling_pruned import narrow, resize  # it travels beside this file

RERANKING, PRUNING_ONLY = "reranking_pruning", "pruning_only"
PRUNE, KEEP = 0, 1
PRUNING_LABELS = {PRUNE: "prune", KEEP: "keep"}
IGNORED = -100  # label of tokens without one
# States that the pruning head can read: the encoder's output, or what goes into its last norm.
LAST_HIDDEN_STATE, PRE_FINAL_NORM = "last_hidden_state", "pre_final_norm"
FINAL_NORM = "final_norm"
# What a config must not decide: code, downloads, types of numbers.
NOT_THE_BASES = (
    "auto_map", "architectures", "trust_remote_code", "_name_or_path", "name_or_path", "dtype", "torch_dtype",
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
    "_experts_implementation", "quantization_config", "transformers_version",
)  # fmt: skip
# Sizes that others look for in the outer config.
SHOWN = ("vocab_size", "hidden_size", "max_position_embeddings", "type_vocab_size", "pad_token_id")


class PruningEncoderConfig(PretrainedConfig):
    """What the encoder is, and what stands on it.

    mode: `reranking_pruning` (a score and keep or prune for each token) or `pruning_only`.
    base_model_config: the stock config of the encoder, with its `model_type`.
    base_model_cut: what was cut out of the encoder, as `modeling_pruned.py` explains it; None where nothing was.
    pruning_config: `classifier_dropout`, `hidden_state` (which state the pruning head reads), `default_threshold`.
    """

    model_type = "pruning_encoder"
    # A list: Trainer adds to it. Its metrics then get the same from this class as from a stock one.
    keys_to_ignore_at_inference = ["pruning_logits", "ranking_logits"]  # noqa: RUF012

    def __init__(
        self, mode=RERANKING, base_model_config=None, base_model_cut=None, pruning_config=None, **kwargs
    ):
        if mode not in (RERANKING, PRUNING_ONLY):
            raise ValueError(f"mode {mode!r} is neither {RERANKING!r} nor {PRUNING_ONLY!r}")
        self.mode = mode
        self.base_model_config = {
            key: value for key, value in (base_model_config or {}).items() if key not in NOT_THE_BASES
        }
        self.base_model_config.setdefault("model_type", "bert")
        self.base_model_cut = base_model_cut
        kwargs.pop("new_parameters", None)  # said of a head that nobody has trained: who saves this has
        self.pruning_config = {
            "classifier_dropout": 0.1,
            "hidden_state": LAST_HIDDEN_STATE,
            "default_threshold": None,
            **(pruning_config or {}),
        }
        base = self.base_config()
        for name in SHOWN:
            kwargs.pop(name, None)
            if hasattr(base, name):
                setattr(self, name, getattr(base, name))
        if "id2label" not in kwargs and "num_labels" not in kwargs:
            kwargs["id2label"] = base.id2label if mode == RERANKING else PRUNING_LABELS
            kwargs["label2id"] = {name: number for number, name in kwargs["id2label"].items()}
        super().__init__(pad_token_id=getattr(base, "pad_token_id", None), **kwargs)

    def base_config(self):
        """Return the stock config of the encoder."""
        entries = dict(self.base_model_config)
        return AutoConfig.for_model(entries.pop("model_type"), **entries)


@dataclass
class PruningEncoderOutput(ModelOutput):
    """ranking_logits [batch, labels] (None where the mode has no ranking), pruning_logits [batch, tokens, 2]."""

    ranking_logits: torch.FloatTensor | None = None
    pruning_logits: torch.FloatTensor | None = None
    hidden_states: tuple[torch.FloatTensor, ...] | None = None
    attentions: tuple[torch.FloatTensor, ...] | None = None


@dataclass
class PruningSequenceOutput(SequenceClassifierOutput):
    """The stock output, and pruning_logits [batch, tokens, 2]."""

    pruning_logits: torch.FloatTensor | None = None


@dataclass
class PruningTokenOutput(TokenClassifierOutput):
    """The stock output, whose logits are the pruning logits, and ranking_logits [batch, labels]."""

    ranking_logits: torch.FloatTensor | None = None


# The state that the pruning head reads, on its way from the hook to the head. A context variable and not an
# attribute: two threads may run one model, and a copy of a model must not write into the first.
_state = contextvars.ContextVar("state", default=None)


def _take_output(module, args, output):
    _state.set(output[0])


def _take_input(module, args):
    _state.set(args[0])


class PruningHead(nn.Module):
    """Keep or prune: [batch, tokens, hidden] -> [batch, tokens, 2]."""

    def __init__(self, hidden_size, dropout):
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.classifier = nn.Linear(hidden_size, len(PRUNING_LABELS))

    def forward(self, hidden_states):
        return self.classifier(self.dropout(hidden_states))


class PruningEncoderModel(PreTrainedModel):
    """The stock model and the pruning head; `forward` returns the logits of both."""

    config_class = PruningEncoderConfig
    # The stock class decides when it is built; this one stands in nobody's way.
    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flash_attn_2 = _supports_flex_attn = True
    _supports_attention_backend = True

    def __init__(self, config):
        asked = (
            {}
            if config._attn_implementation is None
            else {"attn_implementation": config._attn_implementation}
        )
        super().__init__(config)
        base = config.base_config()
        if config.mode == RERANKING:
            stock = AutoModelForSequenceClassification.from_config(base, **asked)
            # One set of modules, seen as the stock model and as this one: names in files are the stock ones, and
            # whoever replaces a module here (adapters, pruning) has replaced it there.
            self.__dict__["_modules"] = stock._modules
        else:
            stock = _without_pooler(base, asked)
            self.add_module(stock.base_model_prefix, stock)
        self.__dict__["stock"] = stock
        # What the stock class took: a second model of this config must not ask for what it cannot do.
        self.config._attn_implementation_internal = stock.config._attn_implementation
        self.base_model_prefix = stock.base_model_prefix
        self._no_split_modules = stock._no_split_modules
        self.pruning_head = PruningHead(base.hidden_size, config.pruning_config["classifier_dropout"])
        if config.base_model_cut is not None:
            cut = SimpleNamespace(**config.base_model_cut)
            resize(stock.base_model, cut)
            narrow(self, cut.narrowed_head, cut.hidden_dimensions)
        self._hook_state()
        self.post_init()

    def _hook_state(self):
        """Take the state that the head was trained on: `hidden_states[-1]` is another one in other transformers."""
        wanted = self.config.pruning_config["hidden_state"]
        if wanted == LAST_HIDDEN_STATE:
            self.base_model.register_forward_hook(_take_output)
        elif wanted == PRE_FINAL_NORM and hasattr(self.base_model, FINAL_NORM):
            getattr(self.base_model, FINAL_NORM).register_forward_pre_hook(_take_input)
        else:
            raise ValueError(f"{type(self.base_model).__name__} has no hidden state {wanted!r}")

    def _init_weights(self, module):
        if module is self.pruning_head.classifier:
            nn.init.normal_(module.weight, std=0.02)
            nn.init.zeros_(module.bias)
        else:
            self.stock._init_weights(module)

    def _run(self, inputs):
        """Return the stock model's output and the pruning logits.

        Args:
            inputs: Arguments of the forward method; None and segments of models without them are left out.
        """
        takes = inspect.signature(self.stock.forward).parameters
        if "token_type_ids" not in takes:
            inputs = {**inputs, "token_type_ids": None}
        output = self.stock(
            **{name: value for name, value in inputs.items() if value is not None}, return_dict=True
        )
        state = _state.get()
        _state.set(None)
        return output, self.pruning_head(state.to(self.pruning_head.classifier.weight.dtype))

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        position_ids=None,
        inputs_embeds=None,
        output_attentions=None,
        output_hidden_states=None,
        return_dict=None,
    ):
        output, pruning_logits = self._run(
            {
                "input_ids": input_ids,
                "attention_mask": attention_mask,
                "token_type_ids": token_type_ids,
                "position_ids": position_ids,
                "inputs_embeds": inputs_embeds,
                "output_attentions": output_attentions,
                "output_hidden_states": output_hidden_states,
            }
        )
        found = PruningEncoderOutput(
            ranking_logits=output.get("logits"),
            pruning_logits=pruning_logits,
            hidden_states=output.get("hidden_states"),
            attentions=output.get("attentions"),
        )
        return found.to_tuple() if return_dict is False else found

    def resize_token_embeddings(self, *args, **kwargs):
        embeddings = super().resize_token_embeddings(*args, **kwargs)
        self.config.base_model_config["vocab_size"] = self.config.vocab_size = embeddings.num_embeddings
        self.stock.config.vocab_size = embeddings.num_embeddings
        return embeddings

    def get_input_embeddings(self):
        return self.base_model.get_input_embeddings()

    def set_input_embeddings(self, value):
        self.base_model.set_input_embeddings(value)

    def save_pretrained(self, save_directory, **kwargs):
        """Save the weights, a config that says where the classes are, and the files with the classes."""
        self.config.auto_map = auto_map(self.config.to_dict())
        super().save_pretrained(save_directory, **kwargs)
        if kwargs.get("is_main_process", True):
            for name in FILES:
                source, target = Path(__file__).with_name(name), Path(save_directory) / name
                if not (target.exists() and target.samefile(source)):
                    shutil.copyfile(source, target)


class PruningEncoderForSequenceClassification(PruningEncoderModel):
    """Scores query and document; `pruning_logits` stand beside the score."""

    def __init__(self, config):
        if config.mode != RERANKING:
            raise ValueError(f"mode {config.mode!r} has no ranking: load it for token classification")
        base = config.base_config()
        if config.id2label == PRUNING_LABELS:  # saved by the class below
            config.id2label, config.label2id = base.id2label, base.label2id
        labels = {"id2label": config.id2label, "label2id": config.label2id}
        config.base_model_config = {**config.base_model_config, **labels}
        self.num_labels = config.num_labels
        super().__init__(config)

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        labels=None,
        return_dict=None,
        **kwargs,
    ):
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        output, pruning_logits = self._run({**inputs, **kwargs})
        found = PruningSequenceOutput(
            loss=None if labels is None else ranking_loss(output.logits, labels),
            logits=output.logits,
            hidden_states=output.hidden_states,
            attentions=output.attentions,
            pruning_logits=pruning_logits,
        )
        return found.to_tuple() if return_dict is False else found


class PruningEncoderForTokenClassification(PruningEncoderModel):
    """Keep or prune for each token; the score stands beside it where the mode has one."""

    def __init__(self, config):
        config.id2label = dict(PRUNING_LABELS)
        config.label2id = {name: number for number, name in PRUNING_LABELS.items()}
        self.num_labels = len(PRUNING_LABELS)
        super().__init__(config)

    def forward(
        self,
        input_ids=None,
        attention_mask=None,
        token_type_ids=None,
        labels=None,
        return_dict=None,
        relevance=None,
        **kwargs,
    ):
        """Return keep or prune for each token.

        labels: [batch, tokens], 1 where a token is to be kept, -100 where it does not count.
        relevance: [batch], the label of the score, whose loss is added; unused where the mode has none.
        """
        inputs = {"input_ids": input_ids, "attention_mask": attention_mask, "token_type_ids": token_type_ids}
        output, pruning_logits = self._run({**inputs, **kwargs})
        losses = [] if labels is None else [pruning_loss(pruning_logits, labels)]
        if relevance is not None and "logits" in output:
            losses.append(ranking_loss(output.logits, relevance))
        found = PruningTokenOutput(
            loss=sum(losses) if losses else None,
            logits=pruning_logits,
            hidden_states=output.get("hidden_states"),
            attentions=output.get("attentions"),
            ranking_logits=output.get("logits"),
        )
        return found.to_tuple() if return_dict is False else found


def ranking_loss(logits, labels):
    """Binary cross-entropy for one label or labels of the logits' shape, else cross-entropy over the labels."""
    if logits.shape[-1] == 1 or labels.shape == logits.shape:
        return nn.functional.binary_cross_entropy_with_logits(logits, labels.view_as(logits).to(logits.dtype))
    return nn.functional.cross_entropy(logits, labels.view(-1).long())


def pruning_loss(logits, labels):
    """Cross-entropy over the tokens that have a label; 0 where none has one."""
    total = nn.functional.cross_entropy(
        logits.view(-1, logits.shape[-1]), labels.view(-1), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels != IGNORED).sum().clamp(min=1)


def _without_pooler(base, asked):
    """Build the bare encoder; a pooler would have weights that nothing reads."""
    try:
        return AutoModel.from_config(base, add_pooling_layer=False, **asked)
    except TypeError:  # an encoder that never has one
        return AutoModel.from_config(base, **asked)


MODULE = "modeling_pruning_encoder"
FILES = (f"{MODULE}.py", "modeling_pruned.py")


def auto_map(config):
    """Return where transformers finds the classes that a config.json is for: in this file."""
    classes = {
        "AutoConfig": PruningEncoderConfig,
        "AutoModel": PruningEncoderModel,
        "AutoModelForSequenceClassification": PruningEncoderForSequenceClassification,
        "AutoModelForTokenClassification": PruningEncoderForTokenClassification,
    }
    if config["mode"] != RERANKING:
        del classes["AutoModelForSequenceClassification"]
    return {auto: f"{MODULE}.{cls.__name__}" for auto, cls in classes.items()}
