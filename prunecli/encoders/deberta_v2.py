"""DeBERTa v2 and v3: content and position attend to each other, through linears that all heads share out."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prunecli.encoders.base import AttentionCore, Family, ModelType, Sublayer

POSITION_KEYS = {"c2p": "attention.self.pos_key_proj", "p2c": "attention.self.pos_query_proj"}


def fitted(family: Family, config: Mapping[str, Any]) -> Family:
    """Make the table fit a config: a convolution after the first layer binds the others to their places."""
    return with_position_linears(replace(family, layers_can_go=not config.get("conv_kernel_size")), config)


def with_position_linears(family: Family, config: Mapping[str, Any]) -> Family:
    """Add the linears of relative positions, where they are not those of the content (`share_att_key`)."""
    if not config.get("relative_attention") or config.get("share_att_key"):
        return family
    own = tuple(name for kind, name in POSITION_KEYS.items() if kind in (config.get("pos_att_type") or ()))
    return replace(family, attention=replace(family.attention, inputs=family.attention.inputs + own))


FAMILY = Family(
    model_types=(
        ModelType(
            "deberta-v2",
            "DebertaV2",
            "deberta",
            "DebertaV2Tokenizer",
            ("input_ids", "token_type_ids", "attention_mask"),
        ),
    ),
    layer="encoder.layer.{layer}.",
    attention=Sublayer(
        inputs=("attention.self.query_proj", "attention.self.key_proj", "attention.self.value_proj"),
        output="attention.output.dense",
    ),
    ffn=Sublayer(inputs=("intermediate.dense",), output="output.dense"),
    core=AttentionCore("attention.self"),
    adapt=fitted,
)
