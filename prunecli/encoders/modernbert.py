"""ModernBERT: one fused linear for query, key and value, a gated feed-forward sublayer, rotary positions."""

from prunecli.encoders.base import Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(
        ModelType(
            "modernbert", "ModernBert", "model", "PreTrainedTokenizerFast", ("input_ids", "attention_mask")
        ),
    ),
    layer="layers.{layer}.",
    attention=Sublayer(inputs=("attn.Wqkv",), output="attn.Wo", blocks=3),
    ffn=Sublayer(inputs=("mlp.Wi",), output="mlp.Wo", blocks=2),
)
