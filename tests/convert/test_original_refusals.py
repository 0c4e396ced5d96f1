"""Half a checkpoint, a pickle with more than tensors, names that lead away: refused, and nothing is written."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from prunecli.checkpoints.kinds import recognise
from prunecli.errors import InputError, PruneError
from tests.convert.conftest import (
    ORIGINALS,
    Convert,
    Original,
    change,
    expected,
    load,
    run,
)


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
