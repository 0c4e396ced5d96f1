"""Checkpoints load in float32 with the class that prunecli knows, or are refused by name."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor

from prunecli.checkpoints.folder import TOKENIZER_FILES, WEIGHTS, read_checkpoint
from prunecli.encoders import for_config, supported_model_types
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.models.loading import load_model, load_tokenizer
from prunecli.models.shipped import is_ours
from prunecli.verification.tokenizer import check_tokenizer
from tests import tiny

QUERY = "bert.encoder.layer.1.attention.self.query.weight"


@pytest.fixture
def copy(bert: Path, tmp_path: Path) -> Path:
    """Return a copy of the tiny BERT that may be written into."""
    return Path(shutil.copytree(bert, tmp_path / "copy"))


def change_tensors(folder: Path, **tensors: Tensor | None) -> None:
    """Replace tensors of a checkpoint, or remove those that are None."""
    state: dict[str, Tensor | None] = {**load_file(folder / WEIGHTS), **tensors}
    save_file({name: tensor for name, tensor in state.items() if tensor is not None}, folder / WEIGHTS)


def change_json(file: Path, **entries: Any) -> None:
    """Set entries of a JSON file."""
    file.write_text(json.dumps({**json.loads(file.read_text()), **entries}))


@pytest.mark.parametrize(("model_type", "head"), tiny.MODELS)
def test_a_stock_checkpoint_loads_as_it_was_saved(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    loaded = load_model(read_checkpoint(tiny_checkpoint(model_type, head)))
    original = tiny.tiny_model(model_type, head)
    assert type(loaded.model) is type(original)
    assert (loaded.head, loaded.new, loaded.model.training) == (head, (), False)
    assert all(
        torch.equal(tensor, original.state_dict()[name]) for name, tensor in loaded.model.state_dict().items()
    )


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64"])
def test_every_type_loads_in_float32(dtype: str, tiny_checkpoint: Callable[..., Path]) -> None:
    model = load_model(read_checkpoint(tiny_checkpoint("bert", tiny.CLASSIFICATION, dtype))).model
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_a_head_that_transformers_has_not_is_refused(tiny_checkpoint: Callable[..., Path]) -> None:
    with pytest.raises(UnsupportedModelError, match="has no EuroBertForQuestionAnswering"):
        load_model(read_checkpoint(tiny_checkpoint("eurobert")), tiny.QUESTIONS)


def test_a_missing_head_is_reported_as_new(bert: Path) -> None:
    loaded = load_model(read_checkpoint(bert), tiny.QUESTIONS, num_labels=2)
    assert loaded.new == ("qa_outputs.bias", "qa_outputs.weight")


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_weights_that_are_no_numbers_are_named(bad: float, copy: Path) -> None:
    weight = load_file(copy / WEIGHTS)[QUERY]
    weight[3, 5] = bad
    change_tensors(copy, **{QUERY: weight})
    with pytest.raises(InputError, match=f"tensor {QUERY} holds NaN"):
        load_model(read_checkpoint(copy))


@pytest.mark.parametrize("name", [QUERY, "bert.embeddings.word_embeddings.weight"])
def test_a_missing_tensor_of_the_encoder_is_named(name: str, copy: Path) -> None:
    change_tensors(copy, **{name: None})
    with pytest.raises(InputError, match=f"tensor {name} is missing"):
        load_model(read_checkpoint(copy))


def test_a_missing_tensor_of_a_bare_encoder_is_named(tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path, "bert", "Model")
    change_tensors(folder, **{QUERY.removeprefix("bert."): None})
    with pytest.raises(InputError, match=f"tensor {QUERY.removeprefix('bert.')} is missing"):
        load_model(read_checkpoint(folder))


def test_a_missing_pooler_is_a_new_head(copy: Path) -> None:
    change_tensors(copy, **{"bert.pooler.dense.weight": None, "bert.pooler.dense.bias": None})
    assert load_model(read_checkpoint(copy)).new == ("bert.pooler.dense.bias", "bert.pooler.dense.weight")


def test_a_tensor_of_another_shape_is_refused(copy: Path) -> None:
    change_tensors(copy, **{QUERY: torch.zeros(16, 32)})
    with pytest.raises(InputError, match=r"copy: weights do not fit config\.json"):
        load_model(read_checkpoint(copy))


@pytest.mark.parametrize(
    "entries",
    [
        {"vocab_size": "many"},
        {"max_position_embeddings": None},
        {"layer_norm_eps": "small"},
        {"id2label": {"a": "b"}},
        {"id2label": ["a", "b"]},
        {"hidden_act": "no-such-function"},
        {"vocab_size": -1},
    ],
)
def test_config_entries_of_the_wrong_type_are_refused(entries: dict[str, Any], copy: Path) -> None:
    change_json(copy / "config.json", **entries)
    with pytest.raises(InputError, match="copy"):
        load_model(read_checkpoint(copy))


def test_code_that_a_checkpoint_names_is_never_run(copy: Path, tmp_path: Path) -> None:
    (copy / "modeling_evil.py").write_text(f"open({str(tmp_path / 'boom')!r}, 'w')")
    change_json(copy / "config.json", auto_map={"AutoModelForSequenceClassification": "modeling_evil.Evil"})
    change_json(copy / "tokenizer_config.json", auto_map={"AutoTokenizer": [None, "modeling_evil.Evil"]})
    load_model(read_checkpoint(copy))
    load_tokenizer(read_checkpoint(copy))
    assert not (tmp_path / "boom").exists()


@pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)
def test_the_tokenizer_is_the_one_that_was_saved(
    model_type: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    text = "the film was good"
    loaded = load_tokenizer(read_checkpoint(tiny_checkpoint(model_type)))
    words = tiny.tiny_tokenizer(model_type)(text, add_special_tokens=False)["input_ids"]
    assert loaded(text)["input_ids"] == [loaded.cls_token_id, *words, loaded.sep_token_id]
    assert loaded(text)["input_ids"].count(loaded.unk_token_id) == 0


def test_a_tokenizer_without_a_named_class_is_the_familys(copy: Path) -> None:
    settings = json.loads((copy / "tokenizer_config.json").read_text())
    settings.pop("tokenizer_class")
    (copy / "tokenizer_config.json").write_text(json.dumps(settings))
    assert type(load_tokenizer(read_checkpoint(copy))).__name__ == "BertTokenizer"


@pytest.mark.parametrize("name", ["NoSuchTokenizer", "BertModel", "os", 3])
def test_a_tokenizer_class_that_is_none_is_refused(name: Any, copy: Path) -> None:
    change_json(copy / "tokenizer_config.json", tokenizer_class=name)
    with pytest.raises(InputError, match="tokenizer_class"):
        load_tokenizer(read_checkpoint(copy))


def test_a_broken_tokenizer_is_named(copy: Path) -> None:
    (copy / "tokenizer.json").write_text('{"model": 3}')
    with pytest.raises(InputError, match="copy: the tokenizer cannot be read"):
        load_tokenizer(read_checkpoint(copy))


def test_a_checkpoint_without_a_tokenizer_says_so(copy: Path) -> None:
    for name in ("tokenizer.json", "tokenizer_config.json"):
        (copy / name).unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        load_tokenizer(read_checkpoint(copy))


@pytest.mark.parametrize(("model_type", "head"), tiny.MODELS)
def test_a_folder_that_we_cut_is_ours_until_a_byte_changes(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    source = tiny_checkpoint(model_type, head)
    cut = tiny.cut(source, tiny.random_masks(tiny.sizes(source), ("head",), seed=0), tmp_path / "cut")
    assert is_ours(read_checkpoint(cut))
    with (cut / "modeling_pruned.py").open("a") as file:
        file.write(" ")
    assert not is_ours(read_checkpoint(cut))


def test_a_cut_folder_of_a_tampered_shape_is_refused(bert: Path, tmp_path: Path) -> None:
    cut = tiny.cut(bert, tiny.random_masks(tiny.sizes(bert), ("ffn_int",), seed=0), tmp_path / "cut")
    config = json.loads((cut / "config.json").read_text())
    config["pruned_linears"]["encoder.layer.0.intermediate.dense"] = [1, 32]
    (cut / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="weights do not fit"):
        load_model(read_checkpoint(cut))


@pytest.mark.parametrize(
    "linears",
    [[], {"no.such.linear": [1, 1]}, {"encoder.layer.0": [1, 1]}, {"encoder.layer.0.output.dense": 3}],
)
def test_a_cut_folder_that_names_no_linear_is_refused(linears: Any, bert: Path, tmp_path: Path) -> None:
    cut = tiny.cut(bert, tiny.random_masks(tiny.sizes(bert), ("ffn_int",), seed=0), tmp_path / "cut")
    change_json(cut / "config.json", pruned_linears=linears)
    with pytest.raises(InputError, match="cut"):
        load_model(read_checkpoint(cut))


@pytest.mark.parametrize("family", supported_model_types())
def test_every_file_that_a_familys_tokenizer_reads_is_known(family: str) -> None:
    cls = getattr(transformers, for_config(tiny.tiny_config(family).to_dict()).model_type.tokenizer)
    assert set(cls.vocab_files_names.values()) <= set(TOKENIZER_FILES)


def test_a_tokenizer_without_a_vocabulary_is_refused(bert: Path, tmp_path: Path) -> None:
    folder = Path(shutil.copytree(bert, tmp_path / "copy"))
    (folder / "tokenizer.json").unlink()
    with pytest.raises(InputError, match=r"has no vocabulary for its \w+ \(tokenizer.json"):
        load_tokenizer(read_checkpoint(folder))
    assert check_tokenizer(read_checkpoint(folder)).status == "fail"
    (folder / "vocab.txt").write_text("[PAD]\n[UNK]\n[CLS]\n[SEP]\n[MASK]\ngood\n")
    assert check_tokenizer(read_checkpoint(folder)).status == "skip"
