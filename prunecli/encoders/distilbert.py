"""DistilBERT: BERT without token types and pooler, with names of its own."""

from prunecli.encoders.base import AttentionCore, Family, ModelType, Sublayer

FAMILY = Family(
    model_types=(
        ModelType("distilbert", "DistilBert", "distilbert", "BertTokenizer", ("input_ids", "attention_mask")),
    ),
    layer="transformer.layer.{layer}.",
    attention=Sublayer(
        inputs=("attention.q_lin", "attention.k_lin", "attention.v_lin"),
        output="attention.out_lin",
    ),
    ffn=Sublayer(inputs=("ffn.lin1",), output="ffn.lin2"),
    core=AttentionCore("attention", head_count="n_heads", width="dim"),
    layers_field="n_layers",
    heads_field="n_heads",
    hidden_field="dim",
    intermediate_field="hidden_dim",
)
