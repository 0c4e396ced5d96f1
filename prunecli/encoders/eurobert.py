"""EuroBERT: rotary positions, RMS norms, a gated feed-forward sublayer in two linears."""

from prunecli.encoders.base import Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(
        ModelType(
            name="eurobert",
            stem="EuroBert",
            prefix="model",
            tokenizer="PreTrainedTokenizerFast",
            model_inputs=("input_ids", "attention_mask"),
        ),
    ),
    layer="layers.{layer}.",
    attention=Sublayer(
        inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        output="self_attn.o_proj",
        bias=False,
    ),
    ffn=Sublayer(inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj", bias=False),
    words="embed_tokens",
)
