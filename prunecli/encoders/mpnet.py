"""MPNet: BERT with a relative position bias, one value a head, that all layers share."""

from prunecli.encoders.base import AttentionCore, Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(ModelType("mpnet", "MPNet", "mpnet", "MPNetTokenizer", ("input_ids", "attention_mask"), 2),),
    layer="encoder.layer.{layer}.",
    attention=Sublayer(
        inputs=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        output="attention.attn.o",
    ),
    ffn=Sublayer(inputs=("intermediate.dense",), output="output.dense"),
    core=AttentionCore("attention.attn", per_head="position_bias"),
)
