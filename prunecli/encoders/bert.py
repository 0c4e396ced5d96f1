"""BERT and the encoders that kept its module names."""

from prunecli.encoders.base import AttentionCore, Family, ModelType, Sublayer

_BERT_INPUTS = ("input_ids", "token_type_ids", "attention_mask")
_ROBERTA_INPUTS = ("input_ids", "attention_mask")

FAMILY = Family(
    model_types=(
        ModelType("bert", "Bert", "bert", "BertTokenizer", _BERT_INPUTS),
        ModelType("ernie", "Ernie", "ernie", "BertTokenizer", _BERT_INPUTS),
        ModelType("megatron-bert", "MegatronBert", "bert", "BertTokenizer", _BERT_INPUTS),
        ModelType("rembert", "RemBert", "rembert", "RemBertTokenizer", _BERT_INPUTS),
        ModelType("roformer", "RoFormer", "roformer", "RoFormerTokenizer", _BERT_INPUTS),
        ModelType("electra", "Electra", "electra", "BertTokenizer", _BERT_INPUTS),
        ModelType("roberta", "Roberta", "roberta", "RobertaTokenizer", _ROBERTA_INPUTS, 2),
        ModelType("xlm-roberta", "XLMRoberta", "roberta", "XLMRobertaTokenizer", _ROBERTA_INPUTS, 2),
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
        ModelType("camembert", "Camembert", "roberta", "CamembertTokenizer", _ROBERTA_INPUTS, 2),
    ),
    layer="encoder.layer.{layer}.",
    attention=Sublayer(
        inputs=("attention.self.query", "attention.self.key", "attention.self.value"),
        output="attention.output.dense",
    ),
    ffn=Sublayer(inputs=("intermediate.dense",), output="output.dense"),
    core=AttentionCore("attention.self"),
)
