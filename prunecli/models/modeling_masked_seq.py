"""Any encoder of transformers with a head that classifies several positions of a sequence in one forward pass.

Load it with `trust_remote_code=True`; torch and transformers are all it needs.
Shapes: B batch, T tokens, M positions, H hidden, L labels.
"""

import re

from torch import nn
from transformers import AutoConfig, AutoModel
from transformers.dynamic_module_utils import custom_object_save, get_class_from_dynamic_module
from transformers.modeling_outputs import MaskedLMOutput

from .modeling_around import FILES as SHARED  # they travel beside this file
from .modeling_around import NOT_THE_ENCODERS, AroundConfig, AroundModel, taken_by, without_pooler
from .modeling_losses import MULTICLASS, MULTILABEL, check_padding, check_positions, counted, mean_loss
from .modeling_pruned import narrow, resize

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
FILES = (f"{MODULE}.py", *SHARED)
REMOTE = "transformers_modules."  # where transformers imports a folder's Python from, once its user trusts it
LABELS = ("id2label", "label2id", "num_labels", "problem_type")  # they are this head's, and not the encoder's


class MaskedSeqConfig(AroundConfig):
    """What the encoder is, and what the head says.

    task: `multilabel` (any number of labels at a position) or `multiclass` (one of them).
    base_model_attr_name: what the encoder is called in the model; its `model_type` where None.
    base_model_code: classes of an encoder that transformers does not know, in files of the same folder.
    id2label, label2id: names of the labels, whose ids count from 0; either gives the other.
    """

    model_type = "masked_seq"
    left_out = (*NOT_THE_ENCODERS, *LABELS)

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
        self.base_model_code = base_model_code
        super().__init__(base_model_config, base_model_cut, **named_labels(id2label, label2id), **kwargs)
        model_type = self.base_model_config["model_type"]
        self.base_model_attr_name = attribute_name(base_model_attr_name or model_type)

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
    if found in TAKEN or hasattr(AroundModel, found) or not found.isidentifier():
        raise ValueError(f"base_model_attr_name {name!r} is taken: choose another")
    return found


class MaskedSeqModel(AroundModel):
    """Reads the encoder's last hidden state at some positions, and says the labels of each."""

    config_class = MaskedSeqConfig

    def __init__(self, config, encoder=None):
        """Build the model; around `encoder` where one is given, which must be of `config.base_model_config`."""
        asked, cut = self.asked(config), config.cut()
        super().__init__(config)
        if encoder is None:
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
        inputs = {
            "input_ids": input_ids,
            "attention_mask": attention_mask,
            "token_type_ids": token_type_ids,
            "position_ids": position_ids,
            "inputs_embeds": inputs_embeds,
            "output_attentions": output_attentions,
            "output_hidden_states": output_hidden_states,
        }
        output = self.base_model(**taken_by(self.base_model, inputs), return_dict=True)
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

    def save_pretrained(self, save_directory, **kwargs):
        """Save the weights, a config that says where the classes are, and the files with the classes."""
        self.config.auto_map = auto_map(self.config)
        encoder = {"AutoConfig": self.base_model.config, "AutoModel": self.base_model}
        own = {auto: part for auto, part in encoder.items() if type(part).__module__.startswith(REMOTE)}
        self.config.base_model_code = {auto: class_in_file(type(part)) for auto, part in own.items()} or None
        super().save_pretrained(save_directory, **kwargs)
        if not kwargs.get("is_main_process", True):
            return
        self.save_files(save_directory, FILES)
        for part in own.values():  # last: an encoder of prunecli's own brings its own modeling_pruned.py
            custom_object_save(part, save_directory)


def class_in_file(cls):
    """Return where a class stands, as `file.Class`."""
    return f"{cls.__module__.rpartition('.')[2]}.{cls.__name__}"


def auto_map(config):
    """Return where transformers finds the classes: in this file."""
    return {"AutoConfig": f"{MODULE}.MaskedSeqConfig", "AutoModel": f"{MODULE}.MaskedSeqModel"}
