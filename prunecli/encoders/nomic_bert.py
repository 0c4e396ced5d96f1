"""Nomic BERT: rotary positions, a gated feed-forward sublayer, no biases; its files fuse query, key and value."""

from prunecli.encoders.base import Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(
        ModelType(
            "nomic_bert",
            "NomicBert",
            "nomic_bert",
            "BertTokenizer",
            ("input_ids", "token_type_ids", "attention_mask"),
        ),
    ),
    layer="layers.{layer}.",
    attention=Sublayer(
        inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        output="self_attn.o_proj",
        bias=False,
    ),
    ffn=Sublayer(inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj", bias=False),
    stored={
        "emb_ln": ("embeddings.LayerNorm",),
        "encoder.layers": ("layers",),
        "attn.Wqkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attn.out_proj": ("self_attn.o_proj",),
        "mlp.fc11": ("mlp.up_proj",),
        "mlp.fc12": ("mlp.gate_proj",),
        "mlp.fc2": ("mlp.down_proj",),
        "norm1": ("post_attention_layernorm",),
        "norm2": ("post_mlp_layernorm",),
    },
)
