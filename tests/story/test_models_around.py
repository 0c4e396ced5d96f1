"""Models around an encoder: train, cut, prove, use; the folders are whole without prunecli."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForSequenceClassification, AutoTokenizer

import prunecli
from prunecli.errors import MaskError, UnsupportedModelError
from prunecli.masks import MaskSet
from prunecli.masks.units import GROUPS
from tests import tiny
from tests.warm_child import run_code

RANDOM = np.random.default_rng(0)
RANKS, KEEPS, MASKED = (
    "PruningEncoderForSequenceClassification", "PruningEncoderForTokenClassification", "MaskedSeqModel",
)  # fmt: skip
HEAD = {RANKS: "pruning_head.classifier.bias", MASKED: "head.3.bias"}

FEW: dict[str, Any] = {"batch_size": 8, "device": "cpu", "max_length": 32}

Save = Callable[..., Path]


def words(count: int) -> list[str]:
    return [str(word) for word in RANDOM.choice(tiny.WORDS, count)]


def documents() -> dict[str, Any]:
    """Return a row with two documents of sentences, those about films relevant."""
    texts = [[" ".join(words(int(RANDOM.integers(2, 6)))) for _ in range(3)] for _ in range(2)]
    relevant = [["film" in text or "it" in text for text in document] for document in texts]
    return {"query": " ".join(words(3)), "sentences": texts, "relevant": relevant}


def positions() -> dict[str, Any]:
    """Return a row with labels for its second and fifth word."""
    text = words(7)
    starts = [len(" ".join(text[:place])) + 1 for place in (1, 4)]
    spans = [[start, start + len(text[place])] for start, place in zip(starts, (1, 4), strict=True)]
    labels = [["long"] if len(text[place]) > 3 else [] for place in (1, 4)]
    labels[0].append("first")
    return {"text": " ".join(text), "spans": spans, "labels": labels}


# Kind of task, family, class, and how masks are found: scores, a refit and recovery; trained gates.
CASES: list[tuple[str, str, str, dict[str, Any]]] = [
    ("context-pruning", "modernbert", RANKS, {"method": "one-shot", "recovery_epochs": 1}),
    ("masked-seq", "bert", MASKED, {"max_steps": 3, "learn_masks": ["hidden", "ffn_int"]}),
]


@pytest.mark.parametrize(("kind", "model_type", "head", "options"), CASES)
def test_masks_are_learned_cut_and_proven(
    kind: str, model_type: str, head: str, options: dict[str, Any], tmp_path: Path
) -> None:
    labels = {"num_labels": 2} if head == MASKED else {}
    source = tiny.save_tiny(tmp_path / "source", model_type, head, **labels)
    rows = [documents() if kind == "context-pruning" else positions() for _ in range(24)]
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = prunecli.train_masks(source, data, out=tmp_path / "run", target_flops=0.5, **options, **FEW)
    assert run.dense is not None and run.dense.keys() == run.masked.keys()
    page = prunecli.compare(
        source, data, out=tmp_path / "page", methods="one-shot,magnitude", targets="0.5", **FEW
    )
    assert page.dense == run.dense[page.metric] and len(page.points) == 2
    cut = prunecli.apply_masks(run.out, out=tmp_path / "cut")
    verdict = prunecli.verify_automodel(cut.out, against=run.out)
    assert verdict.passed, [finding for finding in verdict.findings if finding.status == "fail"]
    for folder in (run.out, cut.out):  # the masked and the cut model score as the training said
        scored = prunecli.evaluate(folder, data, device="cpu")
        assert (scored.kind, scored.max_length) == (kind, 32)
        assert scored.metrics == pytest.approx(run.masked, abs=1e-4)
    if head == RANKS:
        check_scores(cut.out)


def check_scores(folder: Path) -> None:
    """A PruningEncoder that was trained ranks as before, by each way to its score."""
    pairs = [("was it good", "we saw it on monday."), ("was it good", "the film was bad. so bad.")]
    records = [{"query": query, "document": document} for query, document in pairs]
    predicted = list(prunecli.predict(folder, records, device="cpu"))
    model = AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True).eval()
    tokenizer = AutoTokenizer.from_pretrained(folder)
    with torch.no_grad():
        logits = [model(**tokenizer(*pair, return_tensors="pt")).logits[0, -1].item() for pair in pairs]
    assert [record["score_raw"] for record in predicted] == pytest.approx(logits, abs=1e-5)
    encoder = prunecli.PruningEncoder.from_pretrained(folder, device="cpu")
    assert encoder.predict(pairs) == pytest.approx(logits, abs=1e-5)
    scores = prunecli.PruningCrossEncoder(folder, device="cpu").predict(pairs)
    assert scores.reshape(2, -1)[:, -1] == pytest.approx(
        torch.tensor(logits).sigmoid() if scores.ndim == 1 else logits, abs=1e-5
    )


@pytest.mark.parametrize(("kind", "head"), [("context-pruning", RANKS), ("masked-seq", MASKED)])
def test_a_head_that_nobody_trained_is_trained(kind: str, head: str, tmp_path: Path) -> None:
    """As `convert` leaves it: no score of the dense model, no teacher in it, and a mark that goes."""
    labels = {"num_labels": 2} if head == MASKED else {}
    source = tiny.save_tiny(tmp_path / "source", "bert", head, **labels)
    config = json.loads((source / "config.json").read_text())
    (source / "config.json").write_text(json.dumps({**config, "new_parameters": [HEAD[head]]}))
    data = tmp_path / "rows.jsonl"
    rows = [documents() if kind == "context-pruning" else positions() for _ in range(24)]
    data.write_text("".join(json.dumps(row) + "\n" for row in rows))
    planned = prunecli.train_masks(source, data, dry_run=True, max_length=16)
    assert planned.new_head and planned.rows == (21, 3)
    assert (planned.examples > planned.rows) == (kind == "context-pruning")
    with pytest.raises(UnsupportedModelError, match="its predictions say nothing"):
        prunecli.train_masks(source, data, out=tmp_path / "run", target_flops=0.5, method="one-shot")
    run = prunecli.train_masks(
        source, data, out=tmp_path / "run", max_steps=1, target_flops=0.5, device="cpu"
    )
    assert (run.dense, run.new_parameters) == (None, (HEAD[head],))
    assert "new_parameters" not in json.loads((tmp_path / "run" / "model" / "config.json").read_text())


def test_a_task_needs_its_model(bert: Path, tiny_checkpoint: Save, tmp_path: Path) -> None:
    data = tmp_path / "rows.jsonl"
    data.write_text("".join(json.dumps(documents()) + "\n" for _ in range(4)))
    for source in (bert, tiny_checkpoint("bert", MASKED)):
        with pytest.raises(
            UnsupportedModelError, match="context-pruning trains pruning_encoder folders"
        ) as raised:
            prunecli.train_masks(source, data, out=tmp_path / "run")
        assert "--to pruning-encoder" in str(raised.value.fix)


@pytest.mark.parametrize("head", tiny.AROUND)
def test_cutting_twice_is_cutting_at_once(head: str, tiny_checkpoint: Save, tmp_path: Path) -> None:
    source = tiny_checkpoint("bert", head)
    first = tiny.random_masks(tiny.sizes(source), GROUPS, 1, empty=True)  # an attention goes as a whole
    both = tiny.random_masks(tiny.sizes(source), GROUPS, 2)
    both = MaskSet({group: mask * first.masks[group] for group, mask in both.masks.items()})
    both.masks["ffn_int"][1, 0] = both.masks["head"][1, 0] = 1.0
    once = tiny.cut(source, both, tmp_path / "once")
    again = tiny.cut(tiny.cut(source, first, tmp_path / "first"), both, tmp_path / "again")
    files = [
        (folder / name).read_bytes()
        for name in ("config.json", "model.safetensors")
        for folder in (once, again)
    ]
    assert files[0] == files[1] and files[2] == files[3]
    assert (json.loads(files[0])["base_model_cut"]["pruned_linears"]).keys()


def test_what_a_stock_config_can_say_stands_in_the_encoders(tiny_checkpoint: Save, tmp_path: Path) -> None:
    source = tiny_checkpoint("modernbert", RANKS)
    narrow = np.ones((tiny.LAYERS, tiny.INTERMEDIATE), dtype=np.float32)
    narrow[:, 20:] = 0
    cut = tiny.cut(source, MaskSet({"ffn_int": narrow}), tmp_path / "cut")
    config = json.loads((cut / "config.json").read_text())
    assert config["base_model_config"]["intermediate_size"] == 20 and config["base_model_cut"] is None
    assert tiny.load(cut).base_model.layers[0].mlp.Wo.in_features == 20
    with pytest.raises(MaskError, match="a class of its own"):
        tiny.cut(source, MaskSet({"ffn_int": narrow}), tmp_path / "stock", native="always")


def test_words_go_from_the_encoder_inside(tiny_checkpoint: Save, tmp_path: Path) -> None:
    source, texts = tiny_checkpoint("modernbert", RANKS), tmp_path / "texts.txt"
    texts.write_text("the film was good\nwe saw it\n")
    cut = prunecli.apply_masks(source, out=tmp_path / "cut", prune_vocab=(texts,))
    config = json.loads((tmp_path / "cut" / "config.json").read_text())
    assert cut.vocabulary is not None and cut.vocabulary[1] < cut.vocabulary[0]
    assert config["vocab_size"] == config["base_model_config"]["vocab_size"] == cut.vocabulary[1]
    ids = load_file(tmp_path / "cut" / "kept_tokens.safetensors")["ids"]
    smaller, whole = tiny.load(tmp_path / "cut"), tiny.load(source)
    rows = torch.arange(8)[None]
    mask = torch.ones_like(rows)
    found = smaller(rows, attention_mask=mask).logits
    torch.testing.assert_close(found, whole(ids[rows], attention_mask=mask).logits)


@pytest.mark.parametrize(
    ("head", "to"), [("ForSequenceClassification", "pruning-encoder"), (RANKS, "ranking-model")]
)
def test_a_cut_model_gets_a_head_of_ours_and_loses_it(
    head: str, to: str, tiny_checkpoint: Save, tmp_path: Path
) -> None:
    source = tiny_checkpoint("modernbert", head)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, 1, real=True, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    done = prunecli.convert(cut, tmp_path / "out", to=to, dtype="float16")
    assert done.written, done.findings
    assert {path.name for path in (tmp_path / "out").iterdir()} == set(done.files)
    model = tiny.load(tiny.cut(tmp_path / "out", masks, tmp_path / "again"))
    assert type(model).__name__ == {"ranking-model": "PrunedModernBertForSequenceClassification"}.get(
        to, RANKS
    )


CHILD = """
import json
import torch, transformers
from safetensors.torch import load_file, save_file
trust = {"trust_remote_code": True, "local_files_only": True}
for folder in json.loads(sys.argv[1]):
    inputs = load_file(f"{folder}/inputs.st")
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, **trust)
    for auto in (name for name in json.load(open(f"{folder}/config.json"))["auto_map"] if name != "AutoConfig"):
        model = getattr(transformers, auto).from_pretrained(folder, **trust).eval()
        assert type(model).__module__.startswith("transformers_modules."), type(model)
        with torch.no_grad():
            found = {name: value for name, value in model(**inputs).items()}
        save_file(found, f"{folder}/{auto}.st")
        if auto.endswith("Classification"):
            task = "text-classification" if "Sequence" in auto else "token-classification"
            pipeline = transformers.pipeline(task, model=model, tokenizer=tokenizer)
            pipeline("the film was good")
            labels = [1] if "Sequence" in auto else [[-100, 0, 1, -100]]
            rows = [{"input_ids": [2, 7, 8, 3], "attention_mask": [1] * 4, "labels": labels[0]}] * 4
            arguments = transformers.TrainingArguments(
                f"{folder}/{auto}", max_steps=1, report_to=[], use_cpu=True, disable_tqdm=True, save_strategy="no"
            )
            trainer = transformers.Trainer(model, arguments, train_dataset=rows, eval_dataset=rows)
            trainer.train()
            assert "eval_loss" in trainer.evaluate()
            trainer.save_model(f"{folder}/{auto}/saved")
            again = getattr(transformers, auto).from_pretrained(f"{folder}/{auto}/saved", **trust)
            state = again.state_dict()
            assert all(torch.equal(tensor, state[name]) for name, tensor in model.state_dict().items())
"""


def test_cut_folders_load_train_and_reload_without_prunecli(tiny_checkpoint: Save, tmp_path: Path) -> None:
    wanted: dict[Path, Any] = {}
    for model_type, head in (("bert", RANKS), ("modernbert", KEEPS), ("modernbert", MASKED)):
        source = tiny_checkpoint(model_type, head)
        masks = tiny.random_masks(tiny.sizes(source), GROUPS, 3, real=True, empty=True)
        folder = tiny.cut(source, masks, tmp_path / f"{model_type}-{head}")
        model = tiny.load(folder)
        save_file(tiny.tiny_inputs(model), folder / "inputs.st")
        with torch.no_grad():
            wanted[folder] = dict(model(**tiny.tiny_inputs(model)))
    run_code(CHILD, json.dumps([str(folder) for folder in wanted]), tmp_path)
    for folder, outputs in wanted.items():
        own = "AutoModel" + outputs_class(folder)
        found = load_file(folder / f"{own}.st")
        assert found.keys() == outputs.keys()
        for name, tensor in outputs.items():
            torch.testing.assert_close(found[name], tensor, atol=1e-6, rtol=0)
    both = tmp_path / f"bert-{RANKS}"
    scores, tokens = (
        load_file(both / f"AutoModelFor{task}Classification.st") for task in ("Sequence", "Token")
    )
    assert torch.equal(scores["logits"], tokens["ranking_logits"])
    assert torch.equal(scores["pruning_logits"], tokens["logits"])


def outputs_class(folder: Path) -> str:
    """Return what the auto class of a folder's own class is called after `AutoModel`."""
    name: str = json.loads((folder / "config.json").read_text())["architectures"][0]
    return name.removeprefix("PruningEncoder").removeprefix("MaskedSeqModel")
