"""Every kind but context pruning against the model alone: what is said, where it stands, long texts, bad records."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch
import torch
from transformers import AutoTokenizer, PreTrainedTokenizerBase

import prunecli
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.inference.kinds.question_answering import QuestionAnswering
from prunecli.inference.kinds.token_classification import words_in
from prunecli.inference.windows import Tokens, frames, tokens_of
from prunecli.models.modeling_masked_seq import MaskedSeqConfig, MaskedSeqModel
from tests import tiny

TAGS = {0: "O", 1: "B-PER", 2: "I-PER"}
LONG = " ".join(["the film was good and we saw it on monday."] * 12)
Saved = Callable[..., Path]


@pytest.fixture(scope="module")
def saved(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    """Return a function (model_type, head, changes of the config) -> folder, each saved once."""
    made: dict[str, Path] = {}

    def folder(model_type: str, head: str, **changes: Any) -> Path:
        key = f"{model_type}-{head}-{len(changes)}"
        if key not in made:
            made[key] = tiny.save_tiny(tmp_path_factory.mktemp(key), model_type, head, **changes)
        return made[key]

    return folder


@pytest.fixture(scope="module")
def masked(tmp_path_factory: pytest.TempPathFactory) -> Saved:
    def folder(task: str) -> Path:
        path = tmp_path_factory.mktemp(task)
        base = tiny.tiny_config("bert").to_dict()
        names = {0: "person", 1: "place", 2: "date"}
        model = MaskedSeqModel(MaskedSeqConfig(base, task=task, id2label=names))
        tiny.randomise(model, seed=3)
        model.save_pretrained(path)
        tiny.tiny_tokenizer("bert").save_pretrained(path)
        return path

    return folder


def predicted(folder: Path, *records: Any, **options: Any) -> list[dict[str, Any]]:
    return list(prunecli.predict(folder, records, device="cpu", **options))


@torch.no_grad()
def alone(folder: Path, *texts: str, **options: Any) -> tuple[Any, Any]:
    """Return what transformers' tokenizer makes of texts, and what the model says of it."""
    encoded = AutoTokenizer.from_pretrained(folder)(*texts, return_tensors="pt", **options)
    return encoded, tiny.load(folder)(**encoded)


@pytest.mark.parametrize(
    "model_type", ["bert", "roberta", "xlm-roberta", "modernbert", "deberta-v2", "mpnet"]
)
def test_frames_are_what_the_tokenizer_puts_around(model_type: str) -> None:
    tokenizer = tiny.tiny_tokenizer(model_type)
    query, text = "was it good", " we saw it"
    (pair,) = frames(tokenizer, [query])
    (single,) = frames(tokenizer, None)
    (tokens,) = tokens_of(tokenizer, [text])
    assert dict(pair.row(tokens.ids).inputs) == dict(tokenizer(query, text))
    assert dict(single.row(tokens.ids).inputs) == dict(tokenizer(text))


@pytest.mark.parametrize("labels", [1, 2])
def test_reranking_scores_lists_best_first(saved: Saved, labels: int) -> None:
    folder = saved(
        "bert", tiny.CLASSIFICATION, num_labels=labels, **({"problem_type": None} if labels == 2 else {})
    )
    documents = ["good film", {"id": 9, "text": "bad"}, "monday"]
    (found, one, wrong) = predicted(
        folder, {"query": "was it", "documents": documents}, {"query": "was it", "documents": "bad"},
        {"query": "was it", "documents": [3]}, kind="reranking",
    )  # fmt: skip
    expected = []
    for text in ("good film", "bad", "monday"):
        logits = alone(folder, "was it", text)[1].logits[0]
        expected.append((logits.sigmoid() if labels == 1 else logits.softmax(-1))[-1].item())
    assert [result["index"] for result in found["results"]] == np.argsort(expected)[::-1].tolist()
    assert [result["score"] for result in found["results"]] == pytest.approx(sorted(expected)[::-1], abs=1e-5)
    assert {result["index"]: result.get("id") for result in found["results"]} == {0: None, 1: 9, 2: None}
    assert one["score"] == pytest.approx(expected[1], abs=1e-5) and "holds int" in wrong["error"]


def test_entities_have_exact_spans_in_texts_and_in_words(saved: Saved) -> None:
    folder = saved("bert", "ForTokenClassification", id2label=TAGS, label2id={v: k for k, v in TAGS.items()})
    text = "the film  was good, monday."
    encoded, output = alone(folder, text)
    words = [(0, 3), (4, 8), (10, 13), (14, 18), (18, 19), (20, 26), (26, 27)]
    tokens = [encoded.char_to_token(0, start) for start, _ in words]
    tags = [TAGS[number] for number in output.logits[0, tokens].argmax(-1).tolist()]
    (found, listed) = predicted(
        folder, {"text": text}, {"text": ["the", "film", "was", "good", ",", "monday", "."]}
    )
    assert found["entities"] and len(found["entities"]) == len(listed["entities"])
    for entity, in_words in zip(found["entities"], listed["entities"], strict=True):
        first, last = in_words["start"], in_words["end"]
        assert (entity["start"], entity["end"]) == (words[first][0], words[last - 1][1])
        assert {tag[2:] for tag in tags[first:last]} == {"PER"} and entity["label"] == "PER"
        assert entity["score"] == pytest.approx(in_words["score"], abs=1e-5)
    assert sum(e["end"] - e["start"] for e in listed["entities"]) == sum(tag != "O" for tag in tags)


def test_labels_that_are_no_tags_are_said_of_every_word_also_of_long_texts(saved: Saved) -> None:
    folder = saved("bert", "ForTokenClassification")
    (found, empty) = predicted(folder, {"text": LONG}, {"text": ""})
    assert [LONG[word["start"] : word["end"]] for word in found["words"]] == LONG.replace(".", " .").split()
    assert empty["words"] == []
    wrong, bare = predicted(folder, {"tokens": ["a", " "]}, {"tokens": ["\u200b"]})
    assert "empty word" in wrong["error"] and "knows no character" in bare["error"]


def test_words_are_parted_at_punctuation_and_between_signs() -> None:
    tokenizer = tiny.tiny_tokenizer("xlm-roberta")
    text = "was good. on monday"
    (tokens,) = tokens_of(tokenizer, [text])
    _, spans = words_in(text, tokens)
    assert [text[slice(*span)] for span in spans] == ["was", "good", ".", "on", "monday"]
    bytes_of_signs = Tokens([0] * 6, [(0, 1), (0, 1), (1, 2), (1, 2), (3, 4), (3, 5)], [0, 0, 0, 0, 1, 1])
    assert words_in("日本 ñx", bytes_of_signs) == ([0, 2, 4], [(0, 1), (1, 2), (3, 5)])


@pytest.mark.parametrize("model_type", ["bert", "roberta"])
def test_the_best_span_of_all_windows_answers(saved: Saved, model_type: str) -> None:
    folder = saved(model_type, tiny.QUESTIONS)
    context = "the film was good and we saw it"
    encoded, output = alone(folder, "was it", context)
    spans = [
        (start + end, i, j)
        for i, start in enumerate(output.start_logits[0].tolist())
        for j, end in enumerate(output.end_logits[0].tolist())
        if encoded.sequence_ids(0)[i] == encoded.sequence_ids(0)[j] == 1 and i <= j < i + 30
    ]
    raw, first, last = max(spans)
    expected = context[encoded.encodings[0].offsets[first][0] : encoded.encodings[0].offsets[last][1]]
    (found, longer) = predicted(
        folder, {"question": "was it", "context": context}, {"question": "was it", "context": LONG}
    )
    assert found["answer"] == expected == context[found["start"] : found["end"]]
    assert found["score_raw"] == pytest.approx(raw, abs=1e-5) and 0 < found["score"] <= 1
    assert longer["answer"] == LONG[longer["start"] : longer["end"]] != ""
    null = output.start_logits[0, 0].item() + output.end_logits[0, 0].item()
    (v2,) = predicted(folder, {"question": "was it", "context": context}, no_answer=True)
    assert (v2["answer"] == "") == (null > raw)
    empty = {"question": "was it", "context": " "}
    (none,) = predicted(folder, empty)
    assert [none[name] for name in QuestionAnswering.writes] == ["", None, None, None, None]
    (scored,) = predicted(folder, empty, no_answer=True)
    assert (scored["answer"], scored["start"]) == ("", None) and 0 < scored["score"] <= 1


@pytest.mark.parametrize("task", ["multiclass", "multilabel"])
def test_positions_are_masks_tokens_or_characters(
    masked: Saved, task: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = masked(task)
    text = "[MASK] saw the film on [MASK]"
    records = [
        {"text": text}, {"text": text, "mask_indices": [1, 6]}, {"text": text, "characters": [0, [23, 29]]},
        {"text": text, "spans": [[0, 6], [23, 29]]},
        {"text": text, "mask_indices": [99]}, {"text": "none"}, {"text": text, "characters": [400]},
    ]  # fmt: skip
    first, second, third, fourth, *errors = predicted(folder, *records)
    assert first["positions"] == second["positions"] == third["positions"] == fourth["positions"]
    assert [text[one["start"] : one["end"]] for one in first["positions"]] == ["[MASK]", "[MASK]"]
    model = prunecli.AutoModelForMaskedSeqModeling.from_pretrained(folder)
    encoded = AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")
    with torch.no_grad():
        logits = model(**encoded, mask_indices=torch.tensor([[1, 6]])).logits
    chances = model.predict_proba(logits)[0, 1].tolist()
    said = first["positions"][1]["score"]
    assert said == pytest.approx(
        max(chances)
        if task == "multiclass"
        else dict(zip(model.config.id2label.values(), chances, strict=True)),
        abs=1e-5,
    )
    assert ["99" in errors[0]["error"], "[MASK]" in errors[1]["error"], "400" in errors[2]["error"]] == [
        True
    ] * 3
    monkeypatch.setattr(PreTrainedTokenizerBase, "mask_token", None, raising=False)
    asked, none = predicted(folder, records[1], records[0])
    assert asked["positions"] == second["positions"] and "no mask token" in none["error"]
    (other,) = predicted(folder, {"text": "we saw the film"}, mask_token="film")
    assert (other["positions"][0]["start"], other["positions"][0]["end"]) == (11, 15)


def test_embeddings_are_pooled_as_the_folder_says(saved: Saved) -> None:
    folder = saved("bert", "Model")
    _, output = alone(folder, "we saw the film")
    texts = [{"text": "we saw the film"}, {"text": "good " * 20}]
    mean = predicted(folder, *texts)[0]["embedding"]
    assert mean == pytest.approx(output.last_hidden_state[0].mean(0).tolist(), abs=1e-5)
    cls = predicted(folder, *texts, pooling="cls")[0]["embedding"]
    assert cls == pytest.approx(output.last_hidden_state[0, 0].tolist(), abs=1e-5)


def test_sentence_transformers_files_say_length_pooling_and_normalisation(
    saved: Saved, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved("bert", "Model"), tmp_path / "copy"))
    modules = [
        {"path": path, "type": f"sentence_transformers.models.{name}"}
        for path, name in (("", "Transformer"), ("own", "Pooling"), ("2_Normalize", "Normalize"))
    ]
    (folder / "own").mkdir()
    (folder / "own" / "config.json").write_text('{"pooling_mode_cls_token": true}')
    (folder / "sentence_bert_config.json").write_text('{"max_seq_length": 8}')
    (folder / "modules.json").write_text(json.dumps(modules))
    _, output = alone(folder, LONG, truncation=True, max_length=8)
    first = torch.nn.functional.normalize(output.last_hidden_state[0, 0], dim=0)
    assert predicted(folder, {"text": LONG})[0]["embedding"] == pytest.approx(first.tolist(), abs=1e-5)
    dense = {"path": "3_Dense", "type": "sentence_transformers.models.Dense"}
    (folder / "modules.json").write_text(json.dumps([*modules, dense]))
    linear, (wide,) = torch.nn.Linear(first.shape[0], 3), first.shape
    (folder / "3_Dense").mkdir()
    safetensors.torch.save_model(
        torch.nn.ModuleDict({"linear": linear}), folder / "3_Dense" / "model.safetensors"
    )
    said = {"in_features": wide, "out_features": 3, "activation_function": "torch.nn.modules.activation.Tanh"}
    (folder / "3_Dense" / "config.json").write_text(json.dumps(said))
    expected = linear(first).tanh().tolist()
    assert predicted(folder, {"text": LONG})[0]["embedding"] == pytest.approx(expected, abs=1e-5)
    for wrong, message in (
        ({"in_features": 5}, "does not hold the weights"),
        ({"activation_function": "os.system"}, "no activation"),
    ):
        (folder / "3_Dense" / "config.json").write_text(json.dumps({**said, **wrong}))
        with pytest.raises(InputError, match=message):
            predicted(folder, {"text": LONG})
    (folder / "modules.json").write_text(
        json.dumps([*modules, {**dense, "type": "sentence_transformers.models.WordWeights"}])
    )
    with pytest.raises(InputError, match=r"models\.WordWeights' is none that predict can run"):
        predicted(folder, {"text": LONG})


def test_the_default_prompt_of_sentence_transformers_stands_before_each_text(
    saved: Saved, tmp_path: Path
) -> None:
    folder = Path(shutil.copytree(saved("bert", "Model"), tmp_path / "copy"))
    plain = [{"path": "", "type": "sentence_transformers.models.Transformer"}]
    (folder / "modules.json").write_text(json.dumps(plain))
    expected = [predicted(folder, {"text": text})[0]["embedding"] for text in ("good film", "bad good film")]
    prompts = {"prompts": {"query": "bad "}, "default_prompt_name": "query"}
    (folder / "config_sentence_transformers.json").write_text(json.dumps(prompts))
    assert predicted(folder, {"text": "good film"})[0]["embedding"] == pytest.approx(expected[1], abs=1e-6)
    found = predicted(folder, {"text": "good film"}, pooling="mean")  # of the encoder alone
    assert found[0]["embedding"] == pytest.approx(expected[0], abs=1e-6)
    (folder / "sentence_bert_config.json").write_text('{"do_lower_case": true}')
    found = predicted(folder, {"text": "GOOD film"})
    assert found[0]["embedding"] == pytest.approx(expected[1], abs=1e-6)
    (folder / "1_Pooling").mkdir()
    pooling = {"path": "1_Pooling", "type": "sentence_transformers.models.Pooling"}
    (folder / "modules.json").write_text(json.dumps([*plain, pooling]))
    said = {"pooling_mode_mean_tokens": True, "include_prompt": False}
    (folder / "1_Pooling" / "config.json").write_text(json.dumps(said))
    with pytest.raises(InputError, match="the tokens behind the prompt"):
        predicted(folder, {"text": "good film"})


def test_a_kind_is_insisted_on_only_where_there_is_a_head(saved: Saved, bert: Path) -> None:
    with pytest.raises(InputError, match="cannot be used for embeddings"):
        predicted(bert, kind="embeddings")
    with pytest.raises(InputError, match="--kind 'rerankin' is not known"):
        predicted(bert, kind="rerankin")
    with pytest.raises(UnsupportedModelError, match="predict cannot use"):
        predicted(saved("bert", "ForMultipleChoice"))


@pytest.mark.parametrize(
    "said",
    [
        {"sentence_transformers": {"version": "6.0.0"}},
        {"sbert_ce_default_activation_function": "torch.nn.modules.linear.Identity"},
    ],
)
def test_a_cross_encoder_of_one_label_is_a_reranker(said: dict[str, Any], tmp_path: Path) -> None:
    folder = tiny.save_tiny(tmp_path, "bert", tiny.CLASSIFICATION, num_labels=1, problem_type=None, **said)
    (found,) = predicted(folder, {"query": "was it", "documents": ["good", "bad"]})
    assert len(found["results"]) == 2
