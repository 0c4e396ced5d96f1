"""An encoder whose linear layers were cut to size by prunecli.

It is the stock class: same modules, same tensor names, same forward. Only the linears that `config.json`
names are smaller. Load it with `trust_remote_code=True`; torch and transformers are all it needs.
"""

import inspect
import warnings

import torch
from torch import nn
from transformers import BertConfig, BertForSequenceClassification


class PrunedBertConfig(BertConfig):
    """The stock config, and what was cut.

    pruned_linears: [out_features, in_features] of each smaller linear, by its name in the bare encoder.
    gathered_inputs: linears that read only the input features in their buffer `input_index`.
    scattered_outputs: linears that write only the output features in their buffer `output_index`.
    module_attributes: attributes of modules that count heads, by module and name.
    kept_heads: the argument with an entry a head, and the heads that are left, by attention modules that get one.
    without_heads: attention modules that have no head left, and the name of their output linear where they hold it.
    without_layers: layers that are gone; the others keep their names.
    hidden_dimensions: how many dimensions the residual stream has left, where some are gone.
    narrowed: which dimension of a weight they are, 0 or 1, by embeddings, norms and the like in the bare encoder.
    narrowed_head: the same by linears of the whole model that read what the encoder writes.
    """

    model_type = "pruned_bert"

    def __init__(
        self,
        pruned_linears=None,
        gathered_inputs=None,
        scattered_outputs=None,
        module_attributes=None,
        kept_heads=None,
        without_heads=None,
        without_layers=None,
        hidden_dimensions=None,
        narrowed=None,
        narrowed_head=None,
        **kwargs,
    ):
        self.pruned_linears = pruned_linears or {}
        self.gathered_inputs = gathered_inputs or []
        self.scattered_outputs = scattered_outputs or []
        self.module_attributes = module_attributes or {}
        self.kept_heads = kept_heads or {}
        self.without_heads = without_heads or {}
        self.without_layers = without_layers or []
        self.hidden_dimensions = hidden_dimensions
        self.narrowed = narrowed or {}
        self.narrowed_head = narrowed_head or {}
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


class NoHeads(nn.Module):
    """Stands in for an attention that has no head left: [..., all] -> [..., 0], or what the output makes of it."""

    def __init__(self, attention, output):
        super().__init__()
        self.output = output
        if output:
            self.add_module(output, attention.get_submodule(output))

    def forward(self, hidden_states=None, *args, query=None, **kwargs):
        nothing = (query if hidden_states is None else hidden_states)[..., :0]  # query: DistilBERT before 5.0
        return (self.get_submodule(self.output)(nothing) if self.output else nothing), None


class SelectHeads:
    """A pre-hook that picks the kept heads from an argument [batch, heads, ...]."""

    def __init__(self, name, position, heads):
        self.name, self.position, self.heads = name, position, heads

    def __call__(self, module, args, kwargs):
        if self.name in kwargs:
            kwargs = {**kwargs, self.name: kwargs[self.name][:, self.heads]}
        elif len(args) > self.position and args[self.position] is not None:
            args = (*args[: self.position], args[self.position][:, self.heads], *args[self.position + 1 :])
        return args, kwargs


def resize(encoder, config):
    """Cut a stock encoder to the sizes that the config states."""
    for name in config.without_layers:
        parent_name, _, child = name.rpartition(".")
        delattr(encoder.get_submodule(parent_name), child)
    for name, output in config.without_heads.items():
        parent_name, _, child = name.rpartition(".")
        setattr(encoder.get_submodule(parent_name), child, NoHeads(encoder.get_submodule(name), output))
    for name, attributes in config.module_attributes.items():
        for attribute, value in attributes.items():
            setattr(encoder.get_submodule(name), attribute, value)
    for name, (argument, heads) in config.kept_heads.items():
        attention = encoder.get_submodule(name)
        position = list(inspect.signature(attention.forward).parameters).index(argument)
        attention.register_forward_pre_hook(SelectHeads(argument, position, heads), with_kwargs=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # torch warns of linears without inputs: empty layers
        resize_linears(encoder, config)
    narrow(encoder, config.narrowed, config.hidden_dimensions)


def narrow(model, sides, size):
    """Leave modules so many hidden dimensions; `sides` says which dimension of a module's weight they are."""
    for name, dim in sides.items():
        module = model.get_submodule(name)
        for key, parameter in list(module.named_parameters(recurse=False)):
            if parameter.dim() > dim:  # the bias of a linear that reads the stream stays whole
                setattr(module, key, nn.Parameter(parameter.detach().narrow(dim, 0, size).clone()))
        if isinstance(module, nn.LayerNorm):
            module.normalized_shape = (size,)
        elif isinstance(module, nn.Embedding):
            module.embedding_dim = size
        elif isinstance(module, nn.Linear):
            module.out_features, module.in_features = module.weight.shape


def resize_linears(encoder, config):
    """Replace the linears that the config names by ones of the stated shape."""
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
        resize(self.base_model, config)
        narrow(self, config.narrowed_head, config.hidden_dimensions)
        self.post_init()
