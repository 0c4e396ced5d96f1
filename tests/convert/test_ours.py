"""Folders that prunecli wrote: in other files, refused with the way on, and verified against what they were made of."""

import shutil
from collections.abc import Callable
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file
from typer.testing import CliRunner

import prunecli
from prunecli.checkpoints.cut_keys import CUT_KEYS
from prunecli.checkpoints.folder import INDEX, WEIGHTS, read_checkpoint
from prunecli.checkpoints.kinds import recognise
from prunecli.checkpoints.kinds.base import Reading
from prunecli.cli.app import app
from prunecli.errors import InputError
from prunecli.masks.formats import FILE as MASKS
from prunecli.masks.units import GROUPS
from prunecli.verification import parity
from prunecli.verification.conversion import made_of, source_outputs
from tests import tiny
from tests.convert.conftest import ORIGINALS, Convert
from tests.unit.test_irti_masked_seq import FIXTURE
from tests.unit.test_loading import change_json


@pytest.fixture(scope="module")
def cut(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a pruned folder with its class, its masks and uneven layers, one of them empty."""
    folder = tmp_path_factory.mktemp("cut")
    source = tiny.save_tiny(folder / "source", "bert")
    return tiny.cut(source, tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, empty=True), folder / "cut")


def test_a_pruned_folder_is_proven_in_another_type_and_shards(cut: Path, tmp_path: Path) -> None:
    done = prunecli.convert(cut, tmp_path / "out", dtype="bfloat16", max_shard_size="20KB")
    assert (done.kind, done.to, done.written) == ("pruned", "pruned", True), done.findings
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(done.files) > {MASKS, INDEX}
    dense = load_file(cut / WEIGHTS)
    for name, entry in read_checkpoint(tmp_path / "out").tensors.items():
        wanted = dense[name].bfloat16() if dense[name].is_floating_point() else dense[name]
        assert entry.read() == wanted.contiguous().view(torch.uint8).numpy().tobytes()


AROUND = ("PruningEncoderForSequenceClassification", "PruningEncoderForTokenClassification", "MaskedSeqModel")


NARROW = ("head", "ffn_int", "hidden")
NO_CUT = {key: None if key == "hidden_dimensions" else kind() for key, kind in CUT_KEYS.items()}


@pytest.mark.parametrize(("head", "groups"), [*((head, GROUPS) for head in AROUND), (AROUND[0], NARROW)])
@torch.no_grad()
def test_a_model_around_a_cut_encoder_keeps_its_cut(
    head: str, groups: tuple[str, ...], tmp_path: Path, convert: Convert
) -> None:
    source = tiny.save_tiny(tmp_path / "source", "modernbert", head)
    masks = tiny.random_masks(tiny.sizes(source), groups, seed=0, empty=True)
    pruned = tiny.cut(source, masks, tmp_path / "cut")
    model, written = tiny.load(pruned), convert(pruned, max_shard_size="20KB")
    given = tiny.tiny_inputs(model)
    wanted = tiny.outputs(model, given)
    assert torch.equal(tiny.outputs(tiny.load(written), given), wanted)
    assert (written / MASKS).read_bytes() == (pruned / MASKS).read_bytes()
    save_file(given, tmp_path / "probes")
    kind = recognise(pruned)
    again = source_outputs(read_checkpoint(written), pruned, kind, Reading(), tmp_path / "probes")
    read = tiny.outputs(lambda **inputs: again, given)  # type: ignore[arg-type]
    torch.testing.assert_close(read, wanted, atol=1e-5, rtol=0)
    if head == AROUND[0]:
        ranking = convert(pruned, "ranking", to="ranking-model")
        assert read_checkpoint(ranking).architecture == "PrunedModernBertForSequenceClassification"
        assert torch.equal(tiny.load(ranking)(**given).logits, model(**given).logits)


@pytest.mark.parametrize(
    ("model_type", "head", "groups", "asked"),
    [
        ("distilbert", "ForSequenceClassification", GROUPS, {"to": "pruning-encoder"}),
        ("bert", "Model", GROUPS, {"to": "masked-seq", "num_labels": 2}),
        ("bert", "ForSequenceClassification", NARROW, {"to": "pruning-encoder"}),
        ("bert", "ForTokenClassification", NARROW, {"to": "pruning-encoder"}),
        ("roberta", "ForSequenceClassification", NARROW, {"to": "masked-seq", "num_labels": 2}),
    ],
)
@torch.no_grad()
def test_a_cut_encoder_gets_a_new_head(
    model_type: str,
    head: str,
    groups: tuple[str, ...],
    asked: dict[str, Any],
    tmp_path: Path,
    convert: Convert,
) -> None:
    source = tiny.save_tiny(tmp_path / "source", model_type, head)
    masks = tiny.random_masks(tiny.sizes(source), groups, seed=0, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    out = convert(cut, **asked)
    before, after = tiny.load(cut), tiny.load(tiny.cut(out, masks, tmp_path / "again"))
    given = tiny.tiny_inputs(before)
    wanted, found = (model.base_model(**given).last_hidden_state for model in (before, after))
    assert torch.equal(found, wanted)
    save_file(given, tmp_path / "probes")
    assert made_of(read_checkpoint(out), cut) == "pruned"
    again = source_outputs(read_checkpoint(out), cut, "pruned", Reading(), tmp_path / "probes")
    read = tiny.outputs(lambda **inputs: again, given)  # type: ignore[arg-type]
    torch.testing.assert_close(read, tiny.outputs(after, given), atol=1e-5, rtol=0)


def test_a_pruned_folder_comes_out_of_a_pickle(cut: Path, tmp_path: Path, convert: Convert) -> None:
    source = Path(shutil.copytree(cut, tmp_path / "source"))
    torch.save(load_file(source / WEIGHTS), source / "pytorch_model.bin")
    (source / WEIGHTS).unlink()
    out = convert(source)
    assert (out / "modeling_pruned.py").read_bytes() == (cut / "modeling_pruned.py").read_bytes()
    model = tiny.load(cut)
    given = tiny.tiny_inputs(model)
    assert torch.equal(tiny.outputs(tiny.load(out), given), tiny.outputs(model, given))


@pytest.mark.parametrize(
    ("head", "name", "shape", "said"),
    [
        (
            AROUND[0],
            "pruning_head.classifier.weight",
            (2, 7),
            r"has shape \[2, 7\], but the encoder needs \[2, 32\]",
        ),
        (AROUND[1], "pruning_head.classifier.bias", None, "is missing"),
        (AROUND[2], "head.0.weight", (7, 7), r"has shape \[7, 7\], but the encoder needs \[32, 32\]"),
    ],
)
def test_a_head_that_does_not_fit_is_refused(
    head: str, name: str, shape: tuple[int, ...] | None, said: str, tmp_path: Path
) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert", head)
    tensors = load_file(source / WEIGHTS)
    del tensors[name]
    save_file(
        tensors | ({} if shape is None else {name: torch.zeros(shape)}), source / WEIGHTS, {"format": "pt"}
    )
    with pytest.raises(InputError, match=f"source: tensor {name} {said}"):
        prunecli.convert(source, tmp_path / "out")
    assert not (tmp_path / "out").exists()


# A class, what its config.json then says of a cut, what it is to become, what is said of it.
NO_CUTS: list[tuple[str, dict[str, Any], str, str]] = [
    (
        AROUND[0],
        {"base_model_cut": {"pruned_linears": {}}},
        "ranking-model",
        "no whole cut: gathered_inputs,",
    ),
    (AROUND[2], {"base_model_cut": 3}, "masked-seq", "no whole cut: 3"),
    (
        "Model",
        {"model_type": "pruned_bert", **NO_CUT, "narrowed": []},
        "pruning-encoder",
        r"narrowed \[\] says",
    ),
    (
        "Model",
        {"model_type": "pruned_bert", "pruned_linears": {}},
        "pruned",
        "no whole cut: gathered_inputs,",
    ),
]


@pytest.mark.parametrize(("head", "entries", "to", "said"), NO_CUTS)
def test_half_a_cut_is_refused_by_its_file(
    head: str, entries: dict[str, Any], to: str, said: str, tmp_path: Path
) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert", head)
    change_json(source / "config.json", **entries)
    with pytest.raises(InputError, match=f"source/config.json.* {said}"):
        prunecli.convert(source, to=to, dry_run=True)


def test_a_run_folder_is_to_be_cut_first(tmp_path: Path) -> None:
    (tmp_path / "runs" / "model").mkdir(parents=True)
    (tmp_path / "runs" / "run.json").write_text("{}")
    with pytest.raises(InputError, match="is a run folder of train-masks") as raised:
        prunecli.convert(tmp_path / "runs", dry_run=True)
    assert f"prunecli apply-masks {tmp_path / 'runs'} --out pruned" in str(raised.value.fix)


def test_a_graph_is_no_checkpoint(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    (tmp_path / "model.onnx").touch()
    with pytest.raises(InputError, match="holds a graph for onnxruntime and no weights"):
        prunecli.convert(tmp_path, dry_run=True)


def test_demo_and_mistyped_folders_are_known_to_every_verb(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert prunecli.convert("demo", dry_run=True).kind == "stock"
    (said,) = prunecli.predict("demo", [{"text": "a lovely film"}])
    assert said["label"] == "positive"
    (tmp_path / "pruned-demo").mkdir()
    monkeypatch.chdir(tmp_path)
    for verb in (
        lambda name: prunecli.convert(name, dry_run=True),
        prunecli.verify_automodel,
        lambda name: next(prunecli.predict(name, [])),
    ):
        with pytest.raises(InputError, match="no such folder") as raised:
            verb("./prund-demo")
        assert raised.value.fix == "did you mean pruned-demo?"


@pytest.mark.parametrize("allow_pickle", [False, True])
def test_of_a_hub_id_weights_and_configs_are_fetched_and_no_code(
    allow_pickle: bool, bert: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(name=name, **options)
        return str(bert)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    planned = prunecli.convert("someone/model", dry_run=True, allow_pickle=allow_pickle)
    assert (planned.source, asked["name"]) == (bert, "someone/model")
    wanted = [
        any(fnmatch(file, pattern) for pattern in asked["allow_patterns"])
        for file in ("ranking_model/model.safetensors", "config.json", "modeling_x.py", "pytorch_model.bin")
    ]
    assert wanted == [True, True, False, allow_pickle]


def test_a_converted_original_is_verified_against_it(convert: Convert) -> None:
    source = ORIGINALS / "reranking-pruning-modernbert"
    words = ["verify-automodel", str(convert(source, dtype="float16")), "--against", str(source)]
    done = CliRunner().invoke(app, [*words, "--allow-pickle"])
    assert done.exit_code == 0, done.output
    assert "0 decisions differ" in done.output.replace("\n", " ") or "is proven" in done.output
    with pytest.raises(InputError, match="is a pickle, which can run code"):
        prunecli.verify_automodel(words[1], against=source)
    with pytest.raises(InputError, match="masks cannot gate it"):
        prunecli.verify_automodel(words[1], against=source, masks=source)


def made(convert: Convert, source: Path, **options: Any) -> tuple[str | None, Path]:
    """Convert a folder; return what it is told to be made of, and where it is."""
    out = convert(source, f"{source.name}-{len(options)}", **options)
    return made_of(read_checkpoint(out), source), out


def test_it_is_known_what_a_folder_was_made_of(
    convert: Convert, tiny_checkpoint: Callable[..., Path]
) -> None:
    encoder = tiny_checkpoint("bert", "Model")
    assert made(convert, FIXTURE)[0] == "irti-masked-seq"
    assert made(convert, encoder)[0] is None
    assert made(convert, encoder, to="masked-seq", num_labels=2)[0] == "stock"
    kind, tokens = made(convert, encoder, to="pruning-encoder")
    assert kind == "stock" and made_of(read_checkpoint(tokens), tokens) is None


@pytest.mark.parametrize("name", ["open-provence", "reranking-pruning-bert"])
def test_a_ranking_model_by_itself_is_compared_with_its_source(
    name: str, convert: Convert, tmp_path: Path
) -> None:
    kind, out = made(convert, ORIGINALS / name, to="ranking-model")
    checkpoint, reading = read_checkpoint(out), Reading(allow_pickle=True)
    parity.write_probes(checkpoint, tiny.sizes(out), tmp_path / "probes")
    found = source_outputs(checkpoint, ORIGINALS / name, str(kind), reading, tmp_path / "probes")
    with torch.no_grad():
        wanted = tiny.load(out)(**load_file(tmp_path / "probes")).logits
    assert found.keys() == {"logits"}
    torch.testing.assert_close(found["logits"], wanted, atol=1e-5, rtol=0)
