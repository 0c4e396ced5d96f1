"""An encoder whose linear layers were cut to size by prunecli.

It is the stock class: same modules, same tensor names, same forward. Only the linears that `config.json`
names are smaller. Load it with `trust_remote_code=True`; torch and transformers are all it needs.
"""

import warnings

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification


class PrunedBertConfig(BertConfig):
    """The stock config, and what was cut.

    pruned_linears: [out_features, in_features] of each smaller linear, by its name in the bare encoder.
    gathered_inputs: linears that read only the input features in their buffer `input_index`.
    scattered_outputs: linears that write only the output features in their buffer `output_index`.
    """

    model_type = "pruned_bert"

    def __init__(self, pruned_linears=None, gathered_inputs=None, scattered_outputs=None, **kwargs):
        self.pruned_linears = pruned_linears or {}
        self.gathered_inputs = gathered_inputs or []
        self.scattered_outputs = scattered_outputs or []
        super().__init__(**kwargs)


class GatheredLinear(nn.Linear):
    """Reads only some of its input's features: [..., all] -> [..., in_features] -> [..., out_features]."""

    def __init__(self, in_features, out_features, bias):
        super().__init__(in_features, out_features, bias)
        self.register_buffer("input_index", torch.arange(in_features))

    def forward(self, hidden_states):
        return super().forward(hidden_states.index_select(-1, self.input_index))


class ScatteredLinear(nn.Linear):
    """Writes only some of its output's features; the others are zero: [..., in_features] -> [..., all]."""

    def __init__(self, in_features, out_features, bias, all_features):
        super().__init__(in_features, out_features, bias)
        self.all_features = all_features
        self.register_buffer("output_index", torch.arange(out_features))

    def forward(self, hidden_states):
        kept = super().forward(hidden_states)
        everything = kept.new_zeros(*kept.shape[:-1], self.all_features)
        return everything.index_copy(-1, self.output_index, kept)


def resize_linears(encoder, config):
    """Replace the linears that the config names by ones of the stated shape."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of linears without inputs: empty layers
        _resize_linears(encoder, config)


def _resize_linears(encoder, config):
    for name, (out_features, in_features) in config.pruned_linears.items():
        parent_name, _, child = name.rpartition(".")
        parent = encoder.get_submodule(parent_name)
        stock = getattr(parent, child)
        bias = stock.bias is not None
        if name in config.gathered_inputs:
            smaller = GatheredLinear(in_features, out_features, bias)
        elif name in config.scattered_outputs:
            smaller = ScatteredLinear(in_features, out_features, bias, stock.out_features)
        else:
            smaller = nn.Linear(in_features, out_features, bias)
        setattr(parent, child, smaller)


class PrunedBertForSequenceClassification(BertForSequenceClassification):
    """The stock model with the linears of its encoder resized."""

    config_class = PrunedBertConfig

    def __init__(self, config):
        super().__init__(config)
        resize_linears(self.base_model, config)
        self.post_init()
