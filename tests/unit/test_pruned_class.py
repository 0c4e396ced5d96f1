"""The modeling file that travels: one template, a valid module for each family and head."""

import ast
import warnings
from importlib import resources

import pytest
import transformers

from prunecli.encoders import Encoder
from prunecli.errors import UnsupportedModelError
from prunecli.models.loading import model_class
from prunecli.models.pruned import AUTO_CLASSES, FILE, head_of, render, shipped_config
from tests import tiny

BERT = tiny.table(tiny.tiny_model("bert"))


def encoder(model_type: str) -> Encoder:
    """Return the table of a `model_type`."""
    return tiny.table(tiny.tiny_model(model_type))


def test_the_template_is_the_file_of_bert_byte_for_byte() -> None:
    template = resources.files("prunecli.models").joinpath(FILE).read_text(encoding="utf-8")
    assert render(BERT, tiny.CLASSIFICATION) == template


@pytest.mark.parametrize("head", AUTO_CLASSES)
@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_every_family_and_head_gets_a_class_of_its_own(model_type: str, head: str) -> None:
    if head in tiny.HEADLESS.get(model_type, ()):
        pytest.skip("transformers has no such class")
    table = encoder(model_type)
    stock = getattr(transformers, table.model_type.stem + head)
    shipped = model_class(table, head, cut=True)
    assert shipped.__name__ == f"Pruned{stock.__name__}"
    assert issubclass(shipped, stock)
    assert shipped.config_class is not None
    assert shipped.config_class.model_type == f"pruned_{model_type}"
    assert issubclass(shipped.config_class, stock.config_class)


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_the_file_imports_only_torch_and_transformers(model_type: str) -> None:
    tree = ast.parse(render(encoder(model_type), tiny.QUESTIONS))
    imports = [node for node in ast.walk(tree) if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {
        alias.name if isinstance(node, ast.Import) else str(node.module)
        for node in imports
        for alias in node.names
    }
    assert {name.split(".")[0] for name in names} <= {"inspect", "torch", "transformers", "warnings"}


@pytest.mark.parametrize(
    "architecture", [None, "", "GPT2LMHeadModel", "BertForPreTraining", "BertLMHeadModel", "Bert"]
)
def test_a_class_without_an_auto_class_is_refused(architecture: str | None) -> None:
    with pytest.raises(UnsupportedModelError, match="cannot be pruned") as raised:
        head_of(architecture, BERT)
    assert "BertForSequenceClassification" in str(raised.value.fix)


@pytest.mark.parametrize("name", ["BertForQuestionAnswering", "PrunedBertForQuestionAnswering"])
def test_the_head_of_a_stock_and_of_a_cut_class_is_the_same(name: str) -> None:
    assert head_of(name, BERT) == tiny.QUESTIONS


def test_the_config_names_the_shipped_classes() -> None:
    found = shipped_config(
        {"model_type": "roberta", "hidden_size": 32}, encoder("roberta"), "Model", {"pruned_linears": {}}
    )
    assert found["architectures"] == ["PrunedRobertaModel"]
    assert found["model_type"] == "pruned_roberta"
    assert found["auto_map"] == {
        "AutoConfig": "modeling_pruned.PrunedRobertaConfig",
        "AutoModel": "modeling_pruned.PrunedRobertaModel",
    }


def test_empty_layers_are_built_without_a_warning() -> None:
    cls = model_class(BERT, tiny.CLASSIFICATION, cut=True)
    empty = {"encoder.layer.0.intermediate.dense": [0, 32], "encoder.layer.0.output.dense": [32, 0]}
    assert cls.config_class is not None
    config = cls.config_class(**{**tiny.tiny_config("bert").to_dict(), "pruned_linears": empty})
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        model = cls(config)
    assert model.base_model.encoder.layer[0].output.dense.weight.shape == (32, 0)
