"""ModernBERT: one fused linear for query, key and value, a gated feed-forward sublayer, rotary positions."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prunecli.encoders.base import AttentionCore, Family, ModelType, Stream, Sublayer


def with_biases(family: Family, config: Mapping[str, Any]) -> Family:
    """Say whether the linears have biases; as a rule they have none."""
    return replace(
        family,
        attention=replace(family.attention, bias=bool(config.get("attention_bias"))),
        ffn=replace(family.ffn, bias=bool(config.get("mlp_bias"))),
    )


FAMILY = Family(
    model_types=(
        ModelType(
            "modernbert",
            "ModernBert",
            "model",
            "PreTrainedTokenizerFast",
            ("input_ids", "attention_mask"),
            stream=Stream(
                embeddings=("embeddings.tok_embeddings",),
                norms=("embeddings.norm", "final_norm"),
                layer_norms=("attn_norm", "mlp_norm"),  # the first layer has no attn_norm
                readers={
                    "ForSequenceClassification": "head.dense",
                    "ForMultipleChoice": "head.dense",
                    "ForTokenClassification": "head.dense",
                    "ForQuestionAnswering": "head.dense",
                },
            ),
        ),
    ),
    layer="layers.{layer}.",
    attention=Sublayer(inputs=("attn.Wqkv",), output="attn.Wo", blocks=3),
    ffn=Sublayer(inputs=("mlp.Wi",), output="mlp.Wo", blocks=2),
    core=AttentionCore("attn", head_count="num_heads"),  # transformers 4 asks for these; 5 reads shapes
    words="embeddings.tok_embeddings",
    adapt=with_biases,
    layers_alike=False,  # each has its kind of attention, and the first has no norm
)
