"""ALBERT: all layers of a group share their weights, so one mask serves the group."""

from prunecli.encoders.base import AttentionCore, Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(
        ModelType(
            "albert", "Albert", "albert", "AlbertTokenizer", ("input_ids", "token_type_ids", "attention_mask")
        ),
    ),
    layer="encoder.albert_layer_groups.{layer}.albert_layers.0.",
    attention=Sublayer(
        inputs=("attention.query", "attention.key", "attention.value"),
        output="attention.dense",
    ),
    ffn=Sublayer(inputs=("ffn",), output="ffn_output"),
    core=AttentionCore("attention", can_go=False),
    layers_field="num_hidden_groups",
    repeats_field="num_hidden_layers",
    layers_can_go=False,  # the others would be computed more often
)
