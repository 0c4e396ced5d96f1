"""What every error promises: exit code 2, a message that names the culprit, and a way out."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from prunecli import errors
from prunecli.checkpoints.folder import WEIGHTS, read_checkpoint
from prunecli.errors import ExitCode, InputError, MaskError, OfflineError, PruneError, UnsupportedModelError
from prunecli.masks import MaskSet
from prunecli.models.loading import load_model
from prunecli.shrink.plan import plan_cut
from prunecli.tasks import load_task
from tests import tiny

KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, PruneError)]


@pytest.mark.parametrize("kind", KINDS)
def test_every_error_is_bad_input_with_message_and_fix(kind: type[PruneError]) -> None:
    error = kind("x.json is broken", "take another")
    assert (str(error), error.message, error.fix) == ("x.json is broken", "x.json is broken", "take another")
    assert error.exit_code == ExitCode.BAD_INPUT == 2


def test_the_exit_codes_are_those_of_the_design() -> None:
    assert {code.name: code.value for code in ExitCode} == {
        "DONE": 0, "VERDICT_NO": 1, "BAD_INPUT": 2, "INTERNAL": 3, "INTERRUPTED": 130,
    }  # fmt: skip


def use(folder: Path) -> None:
    """Do with a checkpoint what every verb does: read it, load it, plan a cut."""
    checkpoint = read_checkpoint(folder)
    masks = tiny.random_masks(tiny.sizes(folder), ("head", "ffn_int"), seed=0)
    plan_cut(checkpoint, tiny.sizes(folder), masks, MaskSet({}))
    load_model(checkpoint)


def set_config(folder: Path, **entries: Any) -> None:
    """Change `config.json`."""
    path = folder / "config.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **entries}))


def set_tensor(folder: Path, name: str, change: Callable[[torch.Tensor], torch.Tensor]) -> None:
    """Change one tensor of the weights."""
    state = load_file(folder / WEIGHTS)
    state[name] = change(state[name])
    save_file(state, folder / WEIGHTS)


def cut_short(path: Path) -> None:
    """Keep the first half of a file."""
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2])


QUERY = "bert.encoder.layer.0.attention.self.query.weight"
Spoil = Callable[[Path], Any]
CHECKPOINTS: dict[str, tuple[Spoil, type[PruneError], str]] = {
    "no config": (lambda it: (it / "config.json").unlink(), InputError, "config.json"),
    "config cut short": (lambda it: cut_short(it / "config.json"), InputError, "config.json"),
    "no weights": (lambda it: (it / WEIGHTS).unlink(), InputError, WEIGHTS),
    "weights cut short": (lambda it: cut_short(it / WEIGHTS), InputError, WEIGHTS),
    "a decoder": (lambda it: set_config(it, is_decoder=True), UnsupportedModelError, "decoder"),
    "unsupported": (lambda it: set_config(it, model_type="gpt2"), UnsupportedModelError, "gpt2"),
    "unknown head": (lambda it: set_config(it, architectures=["X"]), UnsupportedModelError, "'X'"),
    "another width": (lambda it: set_config(it, hidden_size=64), InputError, "shape"),
    "another depth": (lambda it: set_config(it, num_hidden_layers=4), InputError, "layer.3"),
    "NaN weights": (lambda it: set_tensor(it, QUERY, lambda tensor: tensor * torch.nan), InputError, QUERY),
    "a smaller tensor": (
        lambda it: set_tensor(it, QUERY, lambda tensor: tensor[:8].clone()),
        InputError,
        QUERY,
    ),
}


@pytest.mark.parametrize("kind", CHECKPOINTS)
def test_a_bad_checkpoint_names_the_culprit_and_a_way_out(kind: str, bert: Path, tmp_path: Path) -> None:
    spoil, error, said = CHECKPOINTS[kind]
    folder = Path(shutil.copytree(bert, tmp_path / "checkpoint"))
    spoil(folder)
    with pytest.raises(error) as raised:
        use(folder)
    assert said in raised.value.message
    assert raised.value.fix or str(folder) in raised.value.message


def test_masks_of_another_model_are_refused_before_anything_is_written(bert: Path, tmp_path: Path) -> None:
    other = tiny.save_tiny(tmp_path / "other", "bert", intermediate_size=40)
    masks = tiny.random_masks(tiny.sizes(other), ("ffn_int",), seed=0)
    with pytest.raises(MaskError, match=r"ffn_int.*\[3, 40\].*\[3, 48\]"):
        tiny.cut(bert, masks, tmp_path / "cut")
    assert not (tmp_path / "cut").exists()


def test_the_hub_out_of_reach_is_an_error_of_its_own() -> None:
    with pytest.raises(OfflineError):
        load_task("qqp")
