"""GTE: rotary positions, a gated feed-forward sublayer; its files fuse query, key and value, and the two inputs."""

from prunecli.encoders.base import Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(ModelType("gte", "Gte", "gte", "XLMRobertaTokenizer", ("input_ids", "attention_mask")),),
    layer="layers.{layer}.",
    attention=Sublayer(
        inputs=("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        output="self_attn.o_proj",
    ),
    ffn=Sublayer(
        inputs=("mlp.gate_proj", "mlp.up_proj"), output="mlp.down_proj", bias=False, output_bias=True
    ),
    stored={
        "encoder.layer": ("layers",),
        "attention.qkv_proj": ("self_attn.q_proj", "self_attn.k_proj", "self_attn.v_proj"),
        "attention.o_proj": ("self_attn.o_proj",),
        "mlp.up_gate_proj": ("mlp.up_proj", "mlp.gate_proj"),
        "attn_ln": ("post_attention_layernorm",),
        "mlp_ln": ("post_mlp_layernorm",),
        "lm_head.norm": ("lm_head.layer_norm",),
    },
)
