"""BERT and the encoders that kept its module names."""

from dataclasses import replace

from prunecli.encoders.base import AttentionCore, Family, ModelType, Stream, Sublayer

_BERT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
_ROBERTA_INPUTS = ("input_ids", "attention_mask")

_EMBEDDINGS = (
    "embeddings.word_embeddings",
    "embeddings.position_embeddings",
    "embeddings.token_type_embeddings",
)
_POST_NORMS = ("attention.output.LayerNorm", "output.LayerNorm")
_TOKEN_READERS = {"ForTokenClassification": "classifier", "ForQuestionAnswering": "qa_outputs"}


def _stream(sequence: str, choice: str) -> Stream:
    """Return BERT's stream with the linears that heads of sequences and of multiple choice read it by."""
    readers = {"ForSequenceClassification": sequence, "ForMultipleChoice": choice, **_TOKEN_READERS}
    return Stream(_EMBEDDINGS, ("embeddings.LayerNorm",), _POST_NORMS, readers)


_BERT_STREAM = _stream("bert.pooler.dense", "bert.pooler.dense")
_ROBERTA_STREAM = _stream("classifier.dense", "roberta.pooler.dense")
_ELECTRA_STREAM = replace(
    _stream("classifier.dense", "sequence_summary.summary"),
    widened_by="embeddings_project",
    embedding_field="embedding_size",
)

FAMILY = Family(
    model_types=(
        ModelType("bert", "Bert", "bert", "BertTokenizer", _BERT_INPUTS, stream=_BERT_STREAM),
        ModelType("ernie", "Ernie", "ernie", "BertTokenizer", _BERT_INPUTS),
        ModelType("megatron-bert", "MegatronBert", "bert", "BertTokenizer", _BERT_INPUTS),
        ModelType("rembert", "RemBert", "rembert", "RemBertTokenizer", _BERT_INPUTS),
        ModelType("roformer", "RoFormer", "roformer", "RoFormerTokenizer", _BERT_INPUTS),
        ModelType("electra", "Electra", "electra", "BertTokenizer", _BERT_INPUTS, stream=_ELECTRA_STREAM),
        ModelType("roberta", "Roberta", "roberta", "RobertaTokenizer", _ROBERTA_INPUTS, 2, _ROBERTA_STREAM),
        ModelType(
            "xlm-roberta", "XLMRoberta", "roberta", "XLMRobertaTokenizer", _ROBERTA_INPUTS, 2, _ROBERTA_STREAM
        ),
        ModelType("xlm-roberta-xl", "XLMRobertaXL", "roberta", "XLMRobertaTokenizer", _ROBERTA_INPUTS, 2),
        ModelType("data2vec-text", "Data2VecText", "data2vec_text", "RobertaTokenizer", _ROBERTA_INPUTS, 2),
        ModelType(
            "roberta-prelayernorm",
            "RobertaPreLayerNorm",
            "roberta_prelayernorm",
            "RobertaTokenizer",
            _ROBERTA_INPUTS,
            2,
        ),
        ModelType(
            "camembert", "Camembert", "roberta", "CamembertTokenizer", _ROBERTA_INPUTS, 2, _ROBERTA_STREAM
        ),
    ),
    layer="encoder.layer.{layer}.",
    attention=Sublayer(
        inputs=("attention.self.query", "attention.self.key", "attention.self.value"),
        output="attention.output.dense",
    ),
    ffn=Sublayer(inputs=("intermediate.dense",), output="output.dense"),
    core=AttentionCore("attention.self"),
)
