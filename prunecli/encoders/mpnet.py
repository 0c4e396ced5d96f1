"""MPNet: BERT with a relative position bias, one value a head, that all layers share."""

from prunecli.encoders.base import AttentionCore, Family, ModelType, Stream, Sublayer

STREAM = Stream(
    embeddings=("embeddings.word_embeddings", "embeddings.position_embeddings"),
    norms=("embeddings.LayerNorm",),
    layer_norms=("attention.LayerNorm", "output.LayerNorm"),
    readers={
        "ForSequenceClassification": "classifier.dense",
        "ForMultipleChoice": "mpnet.pooler.dense",
        "ForTokenClassification": "classifier",
        "ForQuestionAnswering": "qa_outputs",
    },
)
FAMILY = Family(
    model_types=(
        ModelType("mpnet", "MPNet", "mpnet", "MPNetTokenizer", ("input_ids", "attention_mask"), 2, STREAM),
    ),
    layer="encoder.layer.{layer}.",
    attention=Sublayer(
        inputs=("attention.attn.q", "attention.attn.k", "attention.attn.v"),
        output="attention.attn.o",
    ),
    ffn=Sublayer(inputs=("intermediate.dense",), output="output.dense"),
    core=AttentionCore("attention.attn", per_head="position_bias"),
)
