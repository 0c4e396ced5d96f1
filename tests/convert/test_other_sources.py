"""Provence, XProvence and stock checkpoints, built here: their packages have no old behaviour of their own."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.nn import functional as F

import prunecli
from prunecli.checkpoints.folder import INDEX, WEIGHTS
from prunecli.checkpoints.kinds import kinds
from prunecli.errors import InputError
from prunecli.models import onnx_graph
from prunecli.verification import sources
from prunecli.verification.sources import Written, outputs_of
from tests import tiny
from tests.convert.conftest import ORIGINALS, Convert


def provence(folder: Path, model_type: str) -> tuple[Any, dict[str, Tensor]]:
    """Write a checkpoint of Provence or XProvence, and return the bare encoder and all tensors."""
    model = transformers.AutoModel.from_config(tiny.tiny_config(model_type))
    tiny.randomise(model, seed=2)
    hidden, name = tiny.HIDDEN, {"deberta-v2": "Provence", "xlm-roberta": "XProvence"}[model_type]
    state = {f"{model.base_model_prefix}.{key}": tensor for key, tensor in model.state_dict().items()}
    heads = {"classifier.weight": (1, hidden), "classifier.bias": (1,)}
    heads |= {"token_classifier.weight": (2, hidden), "token_classifier.bias": (2,)}
    if model_type == "deberta-v2":
        heads |= {"pooler.dense.weight": (hidden, hidden), "pooler.dense.bias": (hidden,)}
    state |= {key: torch.randn(shape) for key, shape in heads.items()}
    folder.mkdir()
    save_file(state, folder / WEIGHTS)
    config = {**model.config.to_dict(), "model_type": name, "architectures": [name]}
    config["auto_map"] = {"AutoConfig": f"modeling_{name.lower()}.{name}Config"}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "README.md").write_text("---\nlicense: cc-by-nc-4.0\n---\n")
    tiny.tiny_tokenizer(model_type).save_pretrained(folder)
    return model.eval(), state


@pytest.mark.parametrize("model_type", ["deberta-v2", "xlm-roberta"])
@torch.no_grad()
def test_both_heads_of_provence_are_its_own(model_type: str, tmp_path: Path, convert: Convert) -> None:
    """A port took both heads from `classifier`; it ran, and was wrong."""
    encoder, state = provence(tmp_path / "source", model_type)
    out = convert(tmp_path / "source")
    model, report = transformers.AutoModelForSequenceClassification.from_pretrained(
        out, output_loading_info=True
    )
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    inputs = tiny.tiny_inputs(encoder)
    hidden = encoder(**inputs).last_hidden_state
    pooler, act = ("pooler", F.gelu) if model_type == "deberta-v2" else ("roberta.pooler", torch.tanh)
    pooled = act(F.linear(hidden[:, 0], state[f"{pooler}.dense.weight"], state[f"{pooler}.dense.bias"]))
    found = model.eval()(**inputs)
    score = F.linear(pooled, state["classifier.weight"], state["classifier.bias"])
    keep = F.linear(hidden, state["token_classifier.weight"], state["token_classifier.bias"])
    torch.testing.assert_close(found.logits, score, atol=1e-5, rtol=0)
    torch.testing.assert_close(found.pruning_logits, keep, atol=1e-5, rtol=0)
    assert "license: cc-by-nc-4.0" in (out / "README.md").read_text()

    written = Written(json.loads((out / "config.json").read_text()), load_file(out / WEIGHTS))
    again = outputs_of("provence", tmp_path / "source", None, written, inputs)
    torch.testing.assert_close(again["logits"], score, atol=1e-5, rtol=0)
    torch.testing.assert_close(again["pruning_logits"], keep, atol=1e-5, rtol=0)


def test_provence_without_its_token_head_is_half_a_checkpoint(tmp_path: Path, convert: Convert) -> None:
    _, state = provence(tmp_path / "source", "deberta-v2")
    del state["token_classifier.bias"]
    save_file(state, tmp_path / "source" / WEIGHTS)
    with pytest.raises(InputError, match=r"tensor token_classifier\.bias is missing"):
        convert(tmp_path / "source")


def pickled(folder: Path, shards: int = 1) -> Path:
    """Turn a folder's weights into pickles, as transformers 4 wrote them."""
    state = load_file(folder / WEIGHTS)
    state["bert.embeddings.position_ids"] = torch.arange(tiny.TOKENS)[None]
    (folder / WEIGHTS).unlink()
    if shards == 1:
        torch.save(state, folder / "pytorch_model.bin")
        return folder
    names = [f"pytorch_model-{number:05d}-of-{shards:05d}.bin" for number in range(1, shards + 1)]
    weight_map = {key: names[place % shards] for place, key in enumerate(state)}
    for name in names:
        torch.save({key: state[key] for key, file in weight_map.items() if file == name}, folder / name)
    (folder / "pytorch_model.bin.index.json").write_text(
        json.dumps({"metadata": {}, "weight_map": weight_map})
    )
    return folder


@pytest.mark.parametrize("shards", [1, 3])
def test_a_pickled_checkpoint_becomes_safetensors(shards: int, tmp_path: Path, convert: Convert) -> None:
    dense = tiny.save_tiny(tmp_path / "dense", "bert")
    source = pickled(tiny.save_tiny(tmp_path / "source", "bert"), shards)
    out = convert(source)
    wanted, found = load_file(dense / WEIGHTS), load_file(out / WEIGHTS)
    assert wanted.keys() == found.keys()
    assert all(torch.equal(tensor, found[name]) for name, tensor in wanted.items())
    with pytest.raises(InputError, match="a pickle, which can run code"):
        convert(source, "refused", allow_pickle=False)


def test_shards_become_one_file_and_back(tmp_path: Path, convert: Convert) -> None:
    dense = tiny.save_tiny(tmp_path / "dense", "bert")
    several = convert(dense, "several", max_shard_size="60KB")
    assert (several / INDEX).is_file() and not (several / WEIGHTS).exists()
    one = convert(several, "one")
    assert (one / WEIGHTS).is_file() and not (one / INDEX).exists()
    wanted, found = load_file(dense / WEIGHTS), load_file(one / WEIGHTS)
    assert all(torch.equal(tensor, found[name]) for name, tensor in wanted.items())


@pytest.mark.parametrize("dtype", ["float16", "bfloat16"])
def test_numbers_are_rounded_as_torch_rounds_them(dtype: str, tmp_path: Path, convert: Convert) -> None:
    dense = tiny.save_tiny(tmp_path / "dense", "bert")
    out = convert(dense, dtype=dtype)
    found = load_file(out / WEIGHTS)
    for name, tensor in load_file(dense / WEIGHTS).items():
        assert torch.equal(tensor.to(getattr(torch, dtype)), found[name]), name
    assert json.loads((out / "config.json").read_text())["dtype"] == dtype


@pytest.mark.parametrize(
    ("model_type", "head", "mode"),
    [
        ("bert", "ForSequenceClassification", "reranking_pruning"),
        ("bert", "Model", "pruning_only"),
        ("bert", "ForMaskedLM", "pruning_only"),
        ("modernbert", "Model", "pruning_only"),
        ("distilbert", "ForSequenceClassification", "reranking_pruning"),
        ("roberta", "ForMaskedLM", "pruning_only"),
    ],
)
@torch.no_grad()
def test_a_plain_encoder_gets_a_new_head(
    model_type: str, head: str, mode: str, tmp_path: Path, convert: Convert
) -> None:
    source = tiny.save_tiny(tmp_path / "source", model_type, head)
    out = convert(source, to="pruning-encoder")
    config = json.loads((out / "config.json").read_text())
    assert config["mode"] == mode
    task = "Sequence" if mode == "reranking_pruning" else "Token"
    loader = getattr(transformers, f"AutoModelFor{task}Classification")
    model, report = loader.from_pretrained(out, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    dense = transformers.AutoModel.from_pretrained(source).eval()
    inputs = tiny.tiny_inputs(dense)
    hidden, new = dense(**inputs).last_hidden_state, model.eval().pruning_head.classifier
    found = model(**inputs)
    pruning = found.pruning_logits if task == "Sequence" else found.logits
    torch.testing.assert_close(pruning, new(hidden), atol=1e-5, rtol=0)
    again = convert(source, "again", to="pruning-encoder", seed=1)
    name = "pruning_head.classifier.weight"
    assert not torch.equal(load_file(again / WEIGHTS)[name], load_file(out / WEIGHTS)[name])


@torch.no_grad()
def test_heads_that_transformers_4_removed_are_a_pruned_folder(convert: Convert) -> None:
    source, noted = ORIGINALS / "pruned-heads", load_file(ORIGINALS / "pruned-heads.safetensors")
    inputs = {name: noted[name] for name in ("input_ids", "attention_mask")}
    out = convert(source)
    config = json.loads((out / "config.json").read_text())
    assert config["model_type"] == "pruned_bert" and "pruned_heads" not in config
    torch.testing.assert_close(tiny.load(out)(**inputs).logits, noted["logits"], atol=1e-5, rtol=0)
    again = outputs_of("stock", source, None, Written(config, {}), inputs)
    torch.testing.assert_close(again["logits"], noted["logits"], atol=1e-5, rtol=0)
    with pytest.raises(InputError, match="notes removed heads as transformers 4 did"):
        convert(source, "other", to="pruning-encoder")


def test_every_kind_that_is_read_has_another_reading() -> None:
    folder = Path(sources.__path__[0])
    readings = {file.stem.replace("_", "-") for file in folder.glob("*.py")}
    assert {name for name, kind in kinds().items() if kind.read} <= readings


def test_unknown_kinds_are_named(tmp_path: Path, convert: Convert) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert")
    with pytest.raises(InputError, match="--to 'gguf' is no kind that can be written"):
        convert(source, to="gguf")
    with pytest.raises(InputError, match="--from 'gguf' is no kind that can be read"):
        convert(source, from_="gguf")


def test_a_graph_needs_its_extra_and_has_one_type(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(onnx_graph, "PACKAGES", ("onnxruntime_that_nobody_has", "json"))
    with pytest.raises(InputError, match="needs onnxruntime_that_nobody_has, which is not") as raised:
        prunecli.convert(bert, dry_run=True, to="onnx")
    assert raised.value.fix == "pip install onnxruntime_that_nobody_has json"
    monkeypatch.setattr(onnx_graph, "PACKAGES", ("json",))
    with pytest.raises(InputError, match="--to onnx writes float32, and --dtype is float16"):
        prunecli.convert(bert, dry_run=True, to="onnx", dtype="float16")
    planned = prunecli.convert(bert, dry_run=True, to="onnx")
    assert "model.onnx" in planned.files and "model.safetensors" not in planned.files


def test_what_stands_around_an_encoder_stays_with_it(tmp_path: Path, convert: Convert) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert", "Model")
    modules = [{"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"}]
    modules += [{"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}]
    (source / "modules.json").write_text(json.dumps(modules))
    (source / "1_Pooling").mkdir()
    (source / "1_Pooling" / "config.json").write_text('{"word_embedding_dimension": 32}')
    assert (convert(source) / "1_Pooling" / "config.json").is_file()
    assert not (convert(source, "fresh", to="pruning-encoder") / "modules.json").exists()
