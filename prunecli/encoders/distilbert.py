"""DistilBERT: BERT without token types and pooler, with names of its own."""

from prunecli.encoders.base import AttentionCore, Family, ModelType, Stream, Sublayer

FAMILY = Family(
    model_types=(
        ModelType(
            "distilbert",
            "DistilBert",
            "distilbert",
            "BertTokenizer",
            ("input_ids", "attention_mask"),
            stream=Stream(
                embeddings=("embeddings.word_embeddings", "embeddings.position_embeddings"),
                norms=("embeddings.LayerNorm",),
                layer_norms=("sa_layer_norm", "output_layer_norm"),
                readers={
                    "ForSequenceClassification": "pre_classifier",
                    "ForMultipleChoice": "pre_classifier",
                    "ForTokenClassification": "classifier",
                    "ForQuestionAnswering": "qa_outputs",
                },
            ),
        ),
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
