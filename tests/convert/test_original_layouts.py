"""Every layout that the packages wrote is read, and one flat folder is written, or the ranking model alone."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import prunecli
from prunecli.checkpoints.folder import WEIGHTS
from prunecli.checkpoints.kinds import recognise
from prunecli.errors import InputError
from prunecli.models.pruning_encoder import PruningEncoderForSequenceClassification
from tests.convert.conftest import (
    ORIGINALS,
    PRUNING_ONLY,
    RERANKING,
    Convert,
    Original,
    change,
    expected,
    load,
    run,
)

FILES = (
    "README.md", "config.json", WEIGHTS, "modeling_around.py", "modeling_losses.py", "modeling_pruned.py",
    "modeling_pruning_encoder.py", "prunecli.json",
    "special_tokens_map.json", "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip


def without_auto_model(folder: Path) -> None:
    """Make it what the package wrote before it knew auto classes."""
    (folder / "config.json").unlink()


def first_name(folder: Path) -> None:
    """Make it what the package wrote under its first name: config.json is the later settings file."""
    (folder / "pruning_encoder_config.json").rename(folder / "config.json")


def transitional(folder: Path) -> None:
    """Give it the class names between the two packages, of which auto classes took none."""
    change(
        folder / "config.json",
        architectures=["OpenProvenceEncoderForSequenceClassification"],
        auto_map={"AutoConfig": "modeling_openprovence_encoder.OpenProvenceEncoderConfig"},
    )
    change(folder / "pruning_head" / "config.json", model_type="openprovence_head")


def safe_head(folder: Path) -> None:
    """Give it a head without a pickle."""
    file = folder / "pruning_head" / "pytorch_model.bin"
    save_file(torch.load(file, weights_only=True), file.with_name(WEIGHTS))
    file.unlink()


def nested_tokenizer(folder: Path) -> None:
    """Move the tokenizer to the model."""
    for file in (*folder.glob("tokenizer*"), folder / "special_tokens_map.json"):
        file.rename(folder / "ranking_model" / file.name)


def pickled_model(folder: Path) -> None:
    """Give the ranking model a pickle too."""
    file = folder / "ranking_model" / WEIGHTS
    torch.save(load_file(file), file.with_name("pytorch_model.bin"))
    file.unlink()


DIALECTS = (without_auto_model, first_name, transitional, safe_head, nested_tokenizer, pickled_model)


@pytest.mark.parametrize("dialect", DIALECTS)
def test_every_dialect_gives_the_same(
    dialect: Callable[[Path], None], original: Original, convert: Convert
) -> None:
    folder, noted = original("reranking-pruning-bert"), expected("reranking-pruning-bert")
    dialect(folder)
    assert recognise(folder) == "original-pruning-encoder"
    out = convert(folder)
    torch.testing.assert_close(run(load(out), noted).logits, noted["logits"], atol=1e-5, rtol=0)
    assert (out / "tokenizer.json").is_file()


@pytest.mark.parametrize("name", [*PRUNING_ONLY, *RERANKING])
def test_the_folder_is_flat_and_says_everything(name: str, convert: Convert) -> None:
    """P1, P2, P3, P4, O4, O6: one file of weights, no pickle, no foreign code or path, lengths where they belong."""
    out = convert(ORIGINALS / name)
    files = sorted(path.relative_to(out).as_posix() for path in out.rglob("*"))
    assert files == sorted(FILES)
    text = (out / "config.json").read_text()
    config = json.loads(text)
    assert "max_length" not in text and "training-machine" not in text and "someone/else" not in text
    assert config["model_type"] == "pruning_encoder" and config["vocab_size"] == 32
    assert all(value.startswith("modeling_pruning_encoder.") for value in config["auto_map"].values())
    assert all(value.count(".") == 1 for value in config["auto_map"].values())  # P14
    settings = json.loads((out / "tokenizer_config.json").read_text())
    assert settings["model_max_length"] == 32
    segments = ["token_type_ids"] if "-bert" in name else []
    assert sorted(settings["model_input_names"]) == sorted(["input_ids", "attention_mask", *segments])
    source = (out / "modeling_pruning_encoder.py").read_text()
    assert "import prunecli" not in source and "from prunecli" not in source


def test_pooling_weights_are_left_out_and_said(original: Original, convert: Convert) -> None:
    """P11: their loss raised NameError, and no forward pass reads them."""
    folder = original("reranking-pruning-bert")
    file = folder / "pruning_head" / "pytorch_model.bin"
    state = torch.load(file, weights_only=True)
    torch.save(
        {**state, "pooling_weights.weight": torch.ones(1, 8), "pooling_weights.bias": torch.ones(1)}, file
    )
    result = prunecli.convert(folder, dry_run=True, allow_pickle=True)
    assert any("pooling_weights" in note for note in result.notes)
    assert not any("pooling" in name for name in load_file(convert(folder) / WEIGHTS))


def test_the_ranking_model_comes_out_as_a_stock_folder(convert: Convert) -> None:
    name = "reranking-pruning-bert"
    out = convert(ORIGINALS / name, to="ranking-model")
    model = load(out)
    assert type(model) is transformers.BertForSequenceClassification
    assert not list(out.glob("*.py")) and "auto_map" not in json.loads((out / "config.json").read_text())
    torch.testing.assert_close(run(model, expected(name)).logits, expected(name)["logits"], atol=1e-5, rtol=0)


def test_a_pruning_encoder_without_ranking_has_no_ranking_model(convert: Convert) -> None:
    with pytest.raises(InputError, match="has no ranking model"):
        convert(ORIGINALS / "pruning-only-bert", to="ranking-model")
    with pytest.raises(ValueError, match="has no ranking"):
        PruningEncoderForSequenceClassification.from_pretrained(convert(ORIGINALS / "pruning-only-bert"))


def test_shards_and_types(convert: Convert) -> None:
    name = "reranking-pruning-bert"
    out = convert(ORIGINALS / name, max_shard_size="2KB", dtype="bfloat16")
    assert len(list(out.glob("model-*.safetensors"))) > 1
    model = transformers.AutoModelForSequenceClassification.from_pretrained(out, dtype="auto")
    assert model.dtype == torch.bfloat16
    again = convert(out, "again", max_shard_size="1GB")
    first = {name: tensor for file in out.glob("*.safetensors") for name, tensor in load_file(file).items()}
    second = load_file(again / WEIGHTS)
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)
    dense = load_file(ORIGINALS / name / "ranking_model" / WEIGHTS)
    assert all(torch.equal(tensor.bfloat16(), first[name]) for name, tensor in dense.items())
