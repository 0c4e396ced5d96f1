"""`apply-masks` plans without torch, writes what a server needs, and carries nothing dangerous over."""

import hashlib
import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.config import ApplyMasksConfig
from prunecli.errors import InputError, MaskError, TargetExistsError
from prunecli.masks import MaskSet, formats
from prunecli.masks.units import GROUPS
from prunecli.operations import apply_masks
from tests import tiny

UNIFORM = MaskSet({"ffn_int": np.array([[1] * 10 + [0] * 38] * 3, dtype=np.float32)})


def config_of(folder: Path) -> dict[str, Any]:
    """Return a folder's `config.json`."""
    found: dict[str, Any] = json.loads((folder / "config.json").read_text())
    return found


@pytest.fixture
def masks(bert: Path, tmp_path: Path) -> Path:
    """Return a folder of uneven masks of the tiny BERT."""
    (tmp_path / "masks").mkdir()
    formats.write(
        tiny.random_masks(tiny.sizes(bert), ("head", "ffn_int"), seed=0), tiny.sizes(bert), tmp_path / "masks"
    )
    return tmp_path / "masks"


def apply(**values: Any) -> apply_masks.ApplyMasksResult:
    """Run the verb."""
    return apply_masks.run(ApplyMasksConfig.of(values))


def test_a_dry_run_writes_nothing_and_says_what_would_be(bert: Path, masks: Path, tmp_path: Path) -> None:
    planned = apply(source=bert, masks=masks, out=tmp_path / "out", dry_run=True)
    assert not (tmp_path / "out").exists()
    done = apply(source=bert, masks=masks, out=tmp_path / "out")
    assert (planned.written, done.written) == (False, True)
    assert (planned.parameters, planned.bytes, planned.heads, planned.neurons) == (
        done.parameters, done.bytes, done.heads, done.neurons,
    )  # fmt: skip
    assert planned.files == tuple(sorted(path.name for path in (tmp_path / "out").iterdir()))
    assert planned.tokens == tiny.TOKENS  # FLOPs are counted at no more than the model takes


def test_a_dry_run_needs_no_torch(bert: Path, masks: Path) -> None:
    script = (
        "import sys; from prunecli.config import ApplyMasksConfig; from prunecli.operations import apply_masks;"
        "apply_masks.run(ApplyMasksConfig.of({'source': sys.argv[1], 'masks': sys.argv[2], 'dry_run': True}));"
        "sys.exit(sorted(set(sys.modules) & {'torch', 'transformers', 'datasets'}))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, bert, masks], capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr.strip()) in {(0, ""), (1, "[]")}


def test_the_weights_are_as_large_as_planned(bert: Path, masks: Path, tmp_path: Path) -> None:
    result = apply(source=bert, masks=masks, out=tmp_path / "out")
    header = 8 + int.from_bytes((tmp_path / "out" / "model.safetensors").read_bytes()[:8], "little")
    assert (tmp_path / "out" / "model.safetensors").stat().st_size == header + result.bytes[1]
    assert result.bytes[1] < result.bytes[0]


def test_always_native_fails_with_the_reason(bert: Path, masks: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskError, match="head units are cut, and a stock bert config cannot say which"):
        apply(source=bert, masks=masks, out=tmp_path / "out", native="always")
    assert not (tmp_path / "out").exists()


def test_a_native_folder_is_a_plain_stock_checkpoint(bert: Path, tmp_path: Path) -> None:
    found = config_of(tiny.cut(bert, UNIFORM, tmp_path / "cut"))
    assert found == {**config_of(bert), "intermediate_size": 10}
    assert not list((tmp_path / "cut").glob("*.py"))


@pytest.mark.parametrize("native", ["auto", "never"])
def test_code_that_the_source_names_is_not_carried_over(native: str, bert: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bert, tmp_path / "source"))
    evil = {"auto_map": {"AutoConfig": "someone/evil--configuration.Config", "AutoModel": "evil.Model"}}
    (source / "config.json").write_text(json.dumps({**config_of(bert), **evil}))
    found = (tiny.cut(source, UNIFORM, tmp_path / "cut", native) / "config.json").read_text()
    assert "evil" not in found


@pytest.mark.parametrize("native", ["auto", "never"])
def test_code_that_the_tokenizer_names_is_not_carried_over(native: str, bert: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bert, tmp_path / "source"))
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings["auto_map"] = {"AutoTokenizer": [None, "someone/evil--tokenizer.Tokenizer"]}
    (source / "tokenizer_config.json").write_text(json.dumps(settings))
    found = (tiny.cut(source, UNIFORM, tmp_path / "cut", native) / "tokenizer_config.json").read_text()
    assert "evil" not in found


def test_a_license_travels_with_the_weights(bert: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bert, tmp_path / "source"))
    (source / "LICENSE").write_text("as you like")
    assert (tiny.cut(source, UNIFORM, tmp_path / "cut") / "LICENSE").read_text() == "as you like"


@pytest.mark.parametrize("name", ["LICENSE", "vocab.txt"])
def test_no_file_from_outside_the_source_is_copied(name: str, bert: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bert, tmp_path / "source"))
    (tmp_path / "secret").write_text("secret")
    (source / name).symlink_to(tmp_path / "secret")
    with pytest.raises(InputError, match="leads out of the folder"):
        tiny.cut(source, UNIFORM, tmp_path / "cut")


def test_the_tokenizer_travels_and_names_its_class(bert: Path, tmp_path: Path) -> None:
    source = Path(shutil.copytree(bert, tmp_path / "source"))
    (source / "tokenizer_config.json").unlink()
    cut = tiny.cut(source, UNIFORM, tmp_path / "cut", "never")
    settings = json.loads((cut / "tokenizer_config.json").read_text())
    assert settings["tokenizer_class"] == "BertTokenizer"
    assert settings["model_input_names"] == ["input_ids", "token_type_ids", "attention_mask"]
    assert (cut / "tokenizer.json").read_bytes() == (bert / "tokenizer.json").read_bytes()


def test_the_record_has_the_sha256_of_each_file(bert: Path, tmp_path: Path) -> None:
    cut = tiny.cut(bert, UNIFORM, tmp_path / "cut", "never")
    record = json.loads((cut / "prunecli.json").read_text())
    files = [path for path in cut.iterdir() if path.name != "prunecli.json"]
    assert record["sha256"] == {path.name: hashlib.sha256(path.read_bytes()).hexdigest() for path in files}


def test_round_to_keeps_widths_multiples(bert: Path, masks: Path, tmp_path: Path) -> None:
    result = apply(source=bert, masks=masks, out=tmp_path / "out", round_to=4, dry_run=True)
    columns = [heads * tiny.sizes(bert).head_size for heads in result.heads]
    assert all(width % 4 == 0 for width in (*columns, *result.neurons))


@pytest.mark.parametrize("asked", [["16", "head=24"], ["head=24", 16], {"ffn_int": 16, "head": 24}])
def test_each_group_has_its_multiple(asked: Any, bert: Path, masks: Path, tmp_path: Path) -> None:
    result = apply(source=bert, masks=masks, round_to=asked, dry_run=True)
    assert {heads for heads in result.heads} <= {3, 4}
    assert all(width % 16 == 0 for width in result.neurons)


def test_two_cuts_are_the_cut_of_both(bert: Path, tmp_path: Path) -> None:
    first, second = (tiny.random_masks(tiny.sizes(bert), (*GROUPS, "layer"), seed) for seed in (2, 10))
    both = MaskSet({group: first.masks[group] * second.masks[group] for group in first.masks})
    assert [int(masks.masks["layer"].sum()) for masks in (first, second, both)] == [2, 2, 1]
    twice = tiny.cut(tiny.cut(bert, first, tmp_path / "once"), second, tmp_path / "twice")
    at_once = tiny.cut(bert, both, tmp_path / "at-once")
    tensors = [read_checkpoint(folder).tensors for folder in (twice, at_once)]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(entry.read() == tensors[1][name].read() for name, entry in tensors[0].items())
    assert config_of(twice) == config_of(at_once)


def test_a_checkpoint_alone_asks_for_masks(bert: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not a run folder") as raised:
        apply(source=bert, out=tmp_path / "out")
    assert "--masks" in str(raised.value.fix)


def test_masks_of_another_model_name_group_shapes_and_model(bert: Path, tmp_path: Path) -> None:
    other = MaskSet({"head": np.ones((12, 12), dtype=np.float32)})
    with pytest.raises(MaskError, match=rf"mask head has shape \[12, 12\], but {bert} needs \[3, 4\]"):
        tiny.cut(bert, other, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_masks_that_remove_everything_are_refused(bert: Path, tmp_path: Path) -> None:
    encoder = tiny.sizes(bert)
    nothing = MaskSet({group: 0 * MaskSet({}).of(group, encoder) for group in ("head", "ffn_int")})
    with pytest.raises(MaskError, match=f"remove every head and every neuron of {bert}"):
        tiny.cut(bert, nothing, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_a_second_cut_that_removes_the_rest_is_refused(bert: Path, tmp_path: Path) -> None:
    encoder = tiny.sizes(bert)
    first, second = (MaskSet({group: 0 * MaskSet({}).of(group, encoder)}) for group in ("head", "ffn_int"))
    once = tiny.cut(bert, first, tmp_path / "once")
    with pytest.raises(MaskError, match=f"remove every head and every neuron of {once}"):
        tiny.cut(once, second, tmp_path / "twice")


def test_a_full_target_is_left_alone(bert: Path, masks: Path, tmp_path: Path) -> None:
    with pytest.raises(TargetExistsError):
        apply(source=bert, masks=masks, out=masks)
    assert (masks / formats.FILE).is_file()


def test_without_a_target_it_asks_for_one(bert: Path, masks: Path) -> None:
    with pytest.raises(InputError, match="needs a folder to write"):
        apply(source=bert, masks=masks)
