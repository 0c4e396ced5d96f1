"""`prunecli convert` as a user runs it: the proof in the isolated child, exit codes, what comes after."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

import prunecli
from prunecli.checkpoints.folder import WEIGHTS
from prunecli.cli.app import app
from prunecli.errors import InputError
from prunecli.verification import conversion, sources
from tests import tiny
from tests.convert.conftest import ORIGINALS


def test_from_the_package_to_predictions(tmp_path: Path) -> None:
    out = tmp_path / "converted"
    words = ["convert", str(ORIGINALS / "reranking-pruning-modernbert"), str(out), "--allow-pickle", "--json"]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    result = json.loads(done.stdout)
    assert (result["kind"], result["to"], result["written"]) == (
        "original-pruning-encoder", "pruning-encoder", True,
    )  # fmt: skip
    assert {finding["status"] for finding in result["findings"]} == {"pass"}
    assert {path.name for path in out.iterdir()} == set(result["files"])

    before = {path.name: path.read_bytes() for path in out.iterdir()}
    verdict = prunecli.verify_automodel(out, against=out)
    assert verdict.passed, verdict.findings
    assert {path.name: path.read_bytes() for path in out.iterdir()} == before  # P15: a README was written
    code = next(finding for finding in verdict.findings if finding.check == "code")
    assert code.detail.startswith(
        "byte for byte prunecli's own: modeling_pruning_encoder.py, modeling_around.py"
    )

    records = prunecli.predict(out, [{"query": "who wrote it", "document": "ada"}])
    assert isinstance(next(records)["score"], float)

    with (out / "modeling_pruning_encoder.py").open("a") as file:
        file.write("# looks harmless\n")
    with pytest.raises(InputError, match="carries Python that prunecli did not write"):
        prunecli.verify_automodel(out)


def test_a_plain_reranker_gets_a_new_head(tmp_path: Path, tiny_checkpoint: Any) -> None:
    result = prunecli.convert(
        tiny_checkpoint("deberta-v2", dtype="float16"), tmp_path / "out", to="pruning-encoder", seed=3
    )
    assert result.written, result.findings
    weight = load_file(tmp_path / "out" / WEIGHTS)["pruning_head.classifier.weight"]
    assert weight.shape == (2, tiny.HIDDEN) and 0.01 < weight.std() < 0.03
    assert any("has to be trained" in note for note in result.notes)
    config = json.loads((tmp_path / "out" / "config.json").read_text())
    assert config["new_parameters"] == ["pruning_head.classifier.weight", "pruning_head.classifier.bias"]
    with pytest.raises(InputError, match="was never trained"):
        prunecli.PruningEncoder.from_pretrained(tmp_path / "out")


def test_a_folder_that_does_not_equal_its_source_is_1_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = sources.outputs_of

    def other(*args: Any) -> dict[str, torch.Tensor]:
        return {name: tensor + 0.001 for name, tensor in real(*args).items()}

    monkeypatch.setattr(conversion, "outputs_of", other)
    out = tmp_path / "converted"
    done = CliRunner().invoke(app, ["convert", str(ORIGINALS / "open-provence"), str(out), "--json"])
    assert done.exit_code == 1
    result = json.loads(done.stdout)
    assert [item["check"] for item in result["findings"] if item["status"] == "fail"] == ["parity"]
    assert not result["written"] and list(tmp_path.iterdir()) == []
