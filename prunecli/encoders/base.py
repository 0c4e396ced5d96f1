"""What a table of an encoder family says: where its heads and neurons live.

A layer of an encoder is two sublayers, attention and feed-forward, of one shape:
linear maps in, units in the middle (heads, neurons), a linear map out.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True)
class Sublayer:
    """The linear maps around one set of units.

    Attributes:
        inputs: Linears whose rows belong to the units, named from the layer (`attention.self.query`).
        output: The linear whose columns belong to the units.
        blocks: How many matrices each input stacks in its rows (3 for a fused qkv, 2 for a gated FFN).
        bias: Whether the linears have biases.
        output_bias: Whether the output has one; None where it is as the inputs are.
    """

    inputs: tuple[str, ...]
    output: str
    blocks: int = 1
    bias: bool = True
    output_bias: bool | None = None

    @property
    def biased(self) -> tuple[str, ...]:
        """Return the linears that have biases."""
        output = self.bias if self.output_bias is None else self.output_bias
        return (*(self.inputs if self.bias else ()), *((self.output,) if output else ()))


@dataclass(frozen=True, slots=True)
class AttentionCore:
    """The module that splits into heads: what it knows of them besides its linears' shapes.

    Attributes:
        name: The module, named from the layer (`attention.self`).
        head_count: Its attribute with the number of heads.
        width: Its attribute with heads x head size; empty where it has none.
        can_go: Whether a layer without heads can do without it: besides the input linears it computes nothing
            that counts, but for the output linear where that stands inside.
        per_head: Name of an argument [batch, heads, ...] that every layer gets alike.
    """

    name: str
    head_count: str = "num_attention_heads"
    width: str = "all_head_size"
    can_go: bool = True
    per_head: str | None = None


@dataclass(frozen=True, slots=True)
class Stream:
    """What stands on the residual stream besides the linears of the sublayers, so that hidden dimensions can go.

    All that reads the stream has to read what a layer norm wrote: then the norms alone decide which dimensions
    there are.

    Attributes:
        embeddings: Tables of vectors that are added up into it, named from the encoder.
        norms: Layer norms outside of layers, named from the encoder.
        layer_norms: Those of each layer, named from the layer.
        readers: By head (`ForSequenceClassification`), the linear that reads the last hidden state, named from the
            whole model.
        widened_by: The linear that makes vectors of the embeddings' own size as wide as the stream. Where the two
            sizes differ, embeddings and outer norms are not on the stream.
        embedding_field: The config key of that size; empty where embeddings are always as wide as the stream.
    """

    embeddings: tuple[str, ...]
    norms: tuple[str, ...]
    layer_norms: tuple[str, ...]
    readers: Mapping[str, str]
    widened_by: str = ""
    embedding_field: str = ""


@dataclass(frozen=True, slots=True)
class ModelType:
    """One `model_type` of a family.

    Attributes:
        name: The `model_type` in `config.json`.
        stem: What its class names begin with (`Bert` in `BertForSequenceClassification`).
        prefix: `base_model_prefix`: what the encoder is called inside a model with a head.
        tokenizer: The tokenizer class that a folder without one gets.
        model_inputs: The tensors that the tokenizer has to give the model.
        position_offset: Position embeddings that no token uses (RoBERTa counts from padding index + 1).
        stream: What else is as wide as the residual stream; None where hidden dimensions cannot go.
    """

    name: str
    stem: str
    prefix: str
    tokenizer: str
    model_inputs: tuple[str, ...]
    position_offset: int = 0
    stream: Stream | None = None


@dataclass(frozen=True, slots=True)
class Family:
    """An encoder architecture: one such table a file, and nothing else in prunecli names a family.

    Attributes:
        model_types: The rows, one a `model_type`.
        layer: Where layer `{layer}` stands inside the encoder, with a trailing dot.
        attention: Its units are the heads.
        ffn: Its units are the intermediate neurons.
        core: The attention module; None where it asks nobody how many heads there are.
        layers_field: The config key of the number of layers; the next three likewise.
        heads_field: Attention heads a layer.
        hidden_field: Width of the residual stream.
        intermediate_field: Neurons of the feed-forward sublayer.
        words: The word embeddings, named from the encoder.
        repeats_field: The config key of how many layers are computed, where fewer are stored (ALBERT).
        stored: What files call modules that transformers renames while loading, and the modules; several where the
            file stacks their rows in one tensor.
        adapt: Makes the table fit one config, where linears come and go with it.
        layers_can_go: Whether the model without one of its layers is the same chain without it.
        layers_alike: Whether a layer computes the same wherever it stands, so that a stock config can have fewer.
    """

    model_types: tuple[ModelType, ...]
    layer: str
    attention: Sublayer
    ffn: Sublayer
    core: AttentionCore | None = None
    layers_field: str = "num_hidden_layers"
    heads_field: str = "num_attention_heads"
    hidden_field: str = "hidden_size"
    intermediate_field: str = "intermediate_size"
    words: str = "embeddings.word_embeddings"
    repeats_field: str | None = None
    stored: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    adapt: "Callable[[Family, Mapping[str, Any]], Family] | None" = None
    layers_can_go: bool = True
    layers_alike: bool = True
