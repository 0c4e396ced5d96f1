"""What was noted under the transformers of their time comes out again, and not what the packages did wrong."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

import prunecli
from prunecli.checkpoints.folder import WEIGHTS
from prunecli.checkpoints.kinds import recognise
from prunecli.errors import InputError, PruneError
from prunecli.models.pruning_encoder import PruningEncoderForSequenceClassification
from tests.convert.conftest import ORIGINALS, Convert, expected

RERANKING = (
    "reranking-pruning-bert",
    "reranking-pruning-modernbert",
    "open-provence",
    "open-provence-trainer",
)
PRUNING_ONLY = ("pruning-only-bert", "pruning-only-modernbert")
FILES = (
    "README.md", "config.json", WEIGHTS, "modeling_pruned.py", "modeling_pruning_encoder.py", "prunecli.json",
    "special_tokens_map.json",
    "tokenizer.json", "tokenizer_config.json",
)  # fmt: skip
INPUTS = ("input_ids", "attention_mask")
Original = Callable[[str], Path]


def load(folder: Path, task: str = "SequenceClassification") -> Any:
    """Load a folder with an auto class: ours is registered, no code of the folder runs."""
    auto = getattr(transformers, f"AutoModelFor{task}")
    model, report = auto.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return model.eval()


@torch.no_grad()
def run(model: Any, noted: dict[str, torch.Tensor], **more: torch.Tensor) -> Any:
    """Run a model on the inputs of a fixture."""
    return model(**{name: noted[name] for name in INPUTS}, **more)


@pytest.mark.parametrize("name", RERANKING)
def test_scores_and_pruning_logits_are_those_of_the_package(name: str, convert: Convert) -> None:
    noted = expected(name)
    found = run(load(convert(ORIGINALS / name)), noted)
    torch.testing.assert_close(found.logits, noted["logits"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.pruning_logits, noted["pruning_logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*PRUNING_ONLY, *RERANKING])
def test_tokens_are_kept_as_by_the_package(name: str, convert: Convert) -> None:
    noted = expected(name)
    model = load(convert(ORIGINALS / name), "TokenClassification")
    torch.testing.assert_close(run(model, noted).logits, noted["pruning_logits"], atol=1e-5, rtol=0)
    assert model.config.id2label == {0: "prune", 1: "keep"}


@pytest.mark.parametrize("name", ["reranking-pruning-modernbert", "open-provence"])
def test_the_last_hidden_state_would_be_another_one(name: str, convert: Convert) -> None:
    """Guard the tests above: with the state that transformers gives today, ModernBERT's pruning is wrong (O5)."""
    noted = expected(name)
    model = load(convert(ORIGINALS / name))
    assert model.config.pruning_config["hidden_state"] == "pre_final_norm"
    with torch.no_grad():
        states = run(model, noted, output_hidden_states=True).hidden_states
        wrong = model.pruning_head(states[-1])
    assert isinstance(states, tuple)  # P7: it was one tensor
    assert (wrong - noted["pruning_logits"]).abs().max() > 0.01


@pytest.mark.parametrize("version", ["5.1.0", "5.23.0"])
def test_a_head_trained_on_the_normed_state_reads_that(
    version: str, original: Original, convert: Convert
) -> None:
    folder = original("reranking-pruning-modernbert")
    change(folder / "ranking_model" / "config.json", transformers_version=version)
    assert load(convert(folder)).config.pruning_config["hidden_state"] == "last_hidden_state"


def change(file: Path, **entries: Any) -> None:
    """Change a JSON file; None takes a key away."""
    value = {**json.loads(file.read_text()), **entries}
    file.write_text(json.dumps({key: item for key, item in value.items() if item is not None}))


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


def test_dropout_of_the_head_survives(convert: Convert) -> None:
    """The package reset it to 0.1 on every load."""
    model = load(convert(ORIGINALS / "reranking-pruning-bert"))
    assert model.pruning_head.dropout.p == 0.2


def test_the_threshold_is_read_as_it_is_misspelled(convert: Convert) -> None:
    assert load(convert(ORIGINALS / "open-provence")).config.pruning_config["default_threshold"] == 0.25


def test_segments_reach_the_model(convert: Convert) -> None:
    """P5: they were swallowed."""
    noted = expected("reranking-pruning-bert")
    out = convert(ORIGINALS / "reranking-pruning-bert")
    segments = torch.tensor([[0] * 4 + [1] * 5] * 2)
    found = run(load(out), noted, token_type_ids=segments).logits
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        ORIGINALS / "reranking-pruning-bert" / "ranking_model"
    )
    wanted = run(plain.eval(), noted, token_type_ids=segments).logits
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert (found - noted["logits"]).abs().max() > 1e-3


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


def cut_off(folder: Path) -> None:
    (folder / "pruning_head" / "pytorch_model.bin").unlink()


def no_model(folder: Path) -> None:
    shutil.rmtree(folder / "ranking_model")


def wide_head(folder: Path) -> None:
    file = folder / "pruning_head" / "pytorch_model.bin"
    torch.save({"classifier.weight": torch.ones(2, 9), "classifier.bias": torch.ones(2)}, file)


def one_score(folder: Path) -> None:
    file = folder / "pruning_head" / "pytorch_model.bin"
    torch.save({"token_scorer.weight": torch.ones(1, 8), "token_scorer.bias": torch.ones(1)}, file)


class _Evil:
    def __reduce__(self) -> tuple[Any, tuple[str]]:
        return os.system, ("touch pwned",)


def evil_head(folder: Path) -> None:
    torch.save({"classifier.weight": _Evil()}, folder / "pruning_head" / "pytorch_model.bin")


def other_mode(folder: Path) -> None:
    change(folder / "pruning_encoder_config.json", mode="summarising")


def link_out(folder: Path) -> None:
    shutil.move(folder / "ranking_model", folder.parent / "elsewhere")
    (folder / "ranking_model").symlink_to(folder.parent / "elsewhere")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        (cut_off, "pruning_head has no model.safetensors"),
        (no_model, "ranking_model/ is missing"),
        (wide_head, r"classifier.weight has shape \[2, 9\], but the encoder needs \[2, 8\]"),
        (one_score, "token_scorer.weight is of no dialect"),
        (evil_head, "holds more than tensors: it names posix.system"),
        (other_mode, "mode 'summarising'"),
        (link_out, "leads out of the folder"),
    ],
)
def test_half_a_checkpoint_is_refused_and_nothing_written(
    damage: Callable[[Path], None], said: str, original: Original, convert: Convert, tmp_path: Path
) -> None:
    folder = original("reranking-pruning-bert")
    damage(folder)
    with pytest.raises(InputError, match=said):
        convert(folder)
    assert not (tmp_path / "converted").exists() and not Path("pwned").exists()


def test_a_pickle_needs_to_be_allowed(convert: Convert) -> None:
    with pytest.raises(InputError, match="is a pickle, which can run code") as raised:
        convert(ORIGINALS / "reranking-pruning-bert", allow_pickle=False)
    assert "--allow-pickle" in str(raised.value.fix)


def test_the_name_of_a_base_model_is_not_followed(original: Original, convert: Convert) -> None:
    """O10: the package fetched it, with trust."""
    folder = original("open-provence")
    base = json.loads((folder / "config.json").read_text())["base_model_config"]
    change(folder / "config.json", base_model_config=None, base_model_name_or_path="../../etc")
    with pytest.raises(InputError, match="leads out of the folder and is not followed"):
        convert(folder)
    (folder.parent / "base").mkdir()
    (folder.parent / "base" / "config.json").write_text(json.dumps(base))
    noted = expected("open-provence")
    found = run(load(convert(folder, base=folder.parent / "base")), noted)
    torch.testing.assert_close(found.pruning_logits, noted["pruning_logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("key", ["attn_implementation", "_attn_implementation_internal", "trust_remote_code"])
def test_no_config_inside_decides_about_code(key: str, original: Original, convert: Convert) -> None:
    folder = original("open-provence")
    base = json.loads((folder / "config.json").read_text())["base_model_config"]
    change(
        folder / "config.json",
        base_model_config={**base, key: "org/kernel", "auto_map": {"AutoModel": "a.B"}},
    )
    text = (convert(folder) / "config.json").read_text()
    assert "org/kernel" not in text and "a.B" not in text


def test_what_is_nothing_known_says_what_was_looked_for(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "gpt2"}')
    with pytest.raises(InputError, match=r"is none of .*open-provence, .*'gpt2'"):
        recognise(tmp_path)
    (tmp_path / "pruning_head").mkdir()
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    with pytest.raises(InputError, match="original-pruning-encoder or stock"):
        recognise(tmp_path)
    assert recognise(tmp_path, "stock") == "stock"


@pytest.mark.parametrize(
    ("file", "entries"),
    [
        ("pruning_encoder_config.json", {"mode": ["reranking_pruning"]}),
        ("pruning_head/config.json", {"classifier_dropout": "much"}),
        ("ranking_model/config.json", {"id2label": {"a": "A"}}),
        ("ranking_model/config.json", {"model_type": ["bert"]}),
        ("ranking_model/config.json", {"hidden_size": -1}),
    ],
)
def test_configs_that_make_no_sense_are_bad_input(
    file: str, entries: dict[str, Any], original: Original, convert: Convert
) -> None:
    folder = original("reranking-pruning-bert")
    change(folder / file, **entries)
    with pytest.raises(PruneError):
        convert(folder)
