"""Jina embeddings v3: XLM-RoBERTa with rotary positions; its files fuse query, key and value."""

from prunecli.encoders.base import Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(
        ModelType(
            "jina_embeddings_v3",
            "JinaEmbeddingsV3",
            "roberta",
            "XLMRobertaTokenizer",
            ("input_ids", "attention_mask"),
        ),
    ),
    layer="layers.{layer}.",
    attention=Sublayer(
        inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        output="self_attn.o_proj",
    ),
    ffn=Sublayer(inputs=("mlp.fc1",), output="mlp.fc2"),
    stored={
        "emb_ln": ("embeddings.LayerNorm",),
        "encoder.layers": ("layers",),
        "mixer.Wqkv": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "mixer.out_proj": ("self_attn.o_proj",),
        "norm1": ("post_attention_layernorm",),
        "norm2": ("post_mlp_layernorm",),
    },
)
