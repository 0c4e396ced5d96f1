"""What models around an encoder share: its config inside theirs, what was cut out of it, its embeddings, their files.

It travels beside the file with the classes, which says what they are; torch and transformers are all it needs. That
file imports all that travel: transformers 4 copies no others.
"""

import inspect
import shutil
from pathlib import Path
from types import SimpleNamespace

from transformers import AutoConfig, PretrainedConfig, PreTrainedModel

FILES = ("modeling_around.py", "modeling_losses.py", "modeling_pruned.py")
# What the config of the encoder must not decide: code, downloads, types of numbers.
NOT_THE_ENCODERS = (
    "auto_map", "architectures", "trust_remote_code", "_name_or_path", "name_or_path", "dtype", "torch_dtype",
    "attn_implementation", "_attn_implementation", "_attn_implementation_internal", "experts_implementation",
    "_experts_implementation", "quantization_config", "transformers_version", "transformers_weights",
)  # fmt: skip
# Sizes that others look for in the outer config.
SHOWN = ("vocab_size", "hidden_size", "max_position_embeddings", "type_vocab_size", "pad_token_id")


class AroundConfig(PretrainedConfig):
    """A config with that of an encoder inside.

    base_model_config: the stock config of the encoder, with its `model_type`.
    base_model_cut: what was cut out of the encoder, as `modeling_pruned.py` explains it; None where nothing was.
    """

    left_out = NOT_THE_ENCODERS

    def __init__(self, base_model_config=None, base_model_cut=None, **kwargs):
        given = {"model_type": "bert", **(base_model_config or {})}
        self.base_model_config = {key: value for key, value in given.items() if key not in self.left_out}
        self.base_model_cut = base_model_cut
        kwargs.pop("new_parameters", None)  # said of a head that nobody has trained: who saves this has
        super().__init__(**{key: value for key, value in kwargs.items() if key not in SHOWN})
        self.show(self.base_config())

    def base_config(self):
        """Return the stock config of the encoder."""
        entries = dict(self.base_model_config)
        return AutoConfig.for_model(entries.pop("model_type"), **entries)

    def cut(self):
        """Return what was cut out of the encoder, as `modeling_pruned.py` takes it; None where nothing was."""
        return None if self.base_model_cut is None else SimpleNamespace(**self.base_model_cut)

    def show(self, base):
        """Repeat the encoder's sizes."""
        for name in SHOWN:
            if hasattr(base, name):
                setattr(self, name, getattr(base, name))


class AroundModel(PreTrainedModel):
    """A model with an encoder, which `base_model` is once `base_model_prefix` says its name."""

    # The encoder's class decides when it is built; this one stands in nobody's way.
    supports_gradient_checkpointing = True
    _supports_sdpa = _supports_flash_attn = _supports_flash_attn_2 = _supports_flex_attn = True
    _supports_attention_backend = True

    @staticmethod
    def asked(config):
        """Return how attention was asked for; building a model writes into its config how it is done."""
        attention = config._attn_implementation
        return {} if attention is None else {"attn_implementation": attention}

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

    def save_files(self, save_directory, files):
        """Copy files that stand beside this one."""
        for name in files:
            source, target = Path(__file__).with_name(name), Path(save_directory) / name
            if not (target.exists() and target.samefile(source)):
                shutil.copyfile(source, target)


def taken_by(model, inputs):
    """Return the inputs of a forward method without those that are None, and without segments where it takes none."""
    takes = inspect.signature(model.forward).parameters
    return {
        name: value
        for name, value in inputs.items()
        if value is not None and (name != "token_type_ids" or name in takes)
    }


def without_pooler(build, *args, **kwargs):
    """Build the bare encoder; a pooler would have weights that nothing reads."""
    try:
        return build(*args, add_pooling_layer=False, **kwargs)
    except TypeError:  # an encoder that never has one
        return build(*args, **kwargs)
