"""Which sentences stay, whatever model says it: spans, titles, windows, thresholds, budgets, calibration."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import prunecli
from prunecli.config import PredictConfig
from prunecli.errors import InputError
from prunecli.inference.document_reader import lower_median
from prunecli.inference.selection import Limits, Sentence, selected
from prunecli.inference.sentences import joined, lines_in, sentences_in
from prunecli.inference.thresholds import choose
from prunecli.inference.windows import pieces
from prunecli.models.pruning_encoder import PruningEncoderConfig, PruningEncoderForSequenceClassification
from prunecli.operations import calibrate
from prunecli.operations.predict import Predictor
from tests import tiny

QUERY = "was it good"
TEXT = "the film was good.  we saw it on monday. not bad."
FIRST, SECOND, THIRD = "the film was good.", "we saw it on monday.", "not bad."


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., Path]:
    """Return a function (model_type) -> folder of a tiny PruningEncoder, each saved once."""
    saved: dict[str, Path] = {}

    def made(model_type: str = "bert") -> Path:
        if model_type not in saved:
            path = tmp_path_factory.mktemp(model_type)
            base = tiny.tiny_config(model_type, num_labels=1).to_dict()
            model = PruningEncoderForSequenceClassification(PruningEncoderConfig(base_model_config=base))
            tiny.randomise(model, seed=1)
            model.save_pretrained(path)
            tiny.tiny_tokenizer(model_type).save_pretrained(path)
            saved[model_type] = path
        return saved[model_type]

    return made


def texts_of(document: str, result: dict[str, Any]) -> list[str]:
    return [document[one["start"] : one["end"]] for one in result["sentences"]]


def predicted(folder: Path, *records: dict[str, Any], **options: Any) -> list[dict[str, Any]]:
    return list(prunecli.predict(folder, records, device="cpu", **options))


@pytest.mark.parametrize("document", ["", " \n"])
def test_nothing_is_left_of_nothing(document: str, folder: Callable[..., Path]) -> None:
    (found,) = predicted(folder(), {"query": QUERY, "document": document})
    assert (found["pruned"], found["sentences"], found["tokens"]) == ("", [], 0)
    assert prunecli.PruningEncoder.from_pretrained(folder(), device="cpu").prune(QUERY, document) == ""


@pytest.mark.parametrize("model_type", ["bert", "roberta", "xlm-roberta", "modernbert"])
@torch.no_grad()
def test_spans_are_exact_and_probabilities_are_means_of_tokens(
    model_type: str, folder: Callable[..., Path]
) -> None:
    (found,) = predicted(folder(model_type), {"query": QUERY, "document": TEXT, "id": 7})
    assert texts_of(TEXT, found) == [FIRST, SECOND, THIRD] and found["id"] == 7
    encoder = prunecli.PruningEncoder.from_pretrained(folder(model_type), device="cpu")
    inputs = encoder.tokenizer(QUERY, TEXT, return_tensors="pt")
    output = encoder(**inputs)
    keep = output.pruning_logits[0].softmax(-1)[:, 1].numpy()
    second = [
        keep[place]
        for place, (side, (_, stop)) in enumerate(
            zip(inputs.sequence_ids(0), inputs.encodings[0].offsets, strict=True)
        )
        if side == 1 and len(FIRST) < stop <= len(FIRST) + 2 + len(SECOND) and stop > len(FIRST) + 2
    ]
    assert found["sentences"][1]["probability"] == pytest.approx(np.mean(second), abs=1e-5)
    assert found["score_raw"] == pytest.approx(output.logits.item(), abs=1e-5)
    assert found["score"] == pytest.approx(output.logits.sigmoid().item(), abs=1e-5)


@pytest.mark.parametrize("model_type", ["bert", "xlm-roberta"])
def test_a_title_is_read_and_shifts_no_span(model_type: str, folder: Callable[..., Path]) -> None:
    """O1: probabilities behind a title were those of other tokens."""
    (found,) = predicted(folder(model_type), {"query": QUERY, "document": TEXT, "title": "monday film"})
    assert texts_of(TEXT, found) == [FIRST, SECOND, THIRD]
    encoder = prunecli.PruningEncoder.from_pretrained(folder(model_type), device="cpu")
    (whole,) = encoder.predict_with_pruning([(QUERY, f"monday film\n{TEXT}")])
    behind = len("monday film\n") + len(FIRST) + 2
    own = [one.keep for one in whole.tokens if behind < one.stop <= behind + len(SECOND)]
    assert found["sentences"][1]["probability"] == pytest.approx(np.mean(own), abs=1e-5)
    assert found["score_raw"] == pytest.approx(whole.score, abs=1e-5)


def test_windows_overlap_cover_all_and_judge_each_token_once() -> None:
    for tokens in (0, 1, 10, 11, 25, 100):
        cut = pieces(tokens, 10, 0.3)
        judged = [number for piece in cut for number in range(piece.first, piece.last)]
        assert judged == list(range(tokens))
        for piece in cut:
            assert piece.start <= piece.first and piece.last <= piece.stop <= tokens
            assert piece.stop - piece.start == min(tokens, 10)
            assert piece.first == 0 or piece.first - piece.start >= 1, "what stands before it is in view"


def test_a_long_document_is_whole_and_every_window_has_query_and_title(folder: Callable[..., Path]) -> None:
    document = " ".join([TEXT] * 9)
    predictor = Predictor(folder(), device="cpu", max_length=40)
    record = {"query": "good " * 50, "document": document, "title": "monday"}
    predictions = predictor([record])
    (found,) = list(predictions)
    assert texts_of(document, found) == [FIRST, SECOND, THIRD] * 9
    assert predictions.result().queries_cut == 1
    (rows,) = predictor.kind.encode([predictor.kind.parse(record, ("query", "document"))])
    monday = predictor.runnable.tokenizer.convert_tokens_to_ids("monday")
    for row in rows:
        start = row.aside.start
        assert row.tokens <= 40 and row.inputs["input_ids"][start - 1] == monday
        assert row.inputs["token_type_ids"][start - 1 :] == [1] * (row.tokens - start + 1)


SENTENCES = [
    Sentence(10 * n, 10 * n + 9, p, t, 10 * t)
    for n, (p, t) in enumerate([(0.9, 5), (0.2, 3), (0.6, 8), (0.4, 2)])
]


@pytest.mark.parametrize(
    ("threshold", "limits", "kept"),
    [
        (0.5, Limits(), "x.x."),
        (0.6, Limits(), "x..."),  # over it, not at it
        (0.95, Limits(), "...."),
        (0.95, Limits(least=2), "x.x."),
        (0.1, Limits(top=3), "x.xx"),
        (0.1, Limits(tokens=8), "x..x"),  # the best, then what still fits
        (0.5, Limits(tokens=4), "...."),
        (0.1, Limits(characters=80), "x..x"),
        (0.1, Limits(characters=80, tokens=6), "x..."),
        (0.95, Limits(least=4, tokens=10), "xx.x"),
    ],
)
def test_the_best_stay_within_the_limits(threshold: float, limits: Limits, kept: str) -> None:
    assert "".join(".x"[stays] for stays in selected(SENTENCES, threshold, limits)) == kept


def test_several_thresholds_and_a_budget_for_all_documents(folder: Callable[..., Path]) -> None:
    record = {"query": QUERY, "documents": [TEXT, {"id": "d", "text": FIRST, "title": "a"}, [FIRST, SECOND]]}
    (found,) = predicted(folder(), record, threshold=("0", "1", "0.30000001", "0.30000002"))
    assert sorted(result["index"] for result in found["results"]) == [0, 1, 2]
    scores = [result["score"] for result in found["results"]]
    assert scores == sorted(scores, reverse=True)
    by_index = {result["index"]: result for result in found["results"]}
    pruned = by_index[0]["pruned"]
    assert (pruned["0"], pruned["1"], len(pruned)) == (TEXT, "", 4) and by_index[1]["id"] == "d"
    assert by_index[2]["pruned"]["0"] == f"{FIRST} {SECOND}"
    broken = [{**record, "titles": titles} for titles in (5, "monday")]
    assert all("'titles' holds no list" in wrong["error"] for wrong in predicted(folder(), *broken))
    (found,) = predicted(folder(), record, top_sentences=2)
    kept = [one["kept"] for result in found["results"] for one in result["sentences"]]
    assert sum(kept) == 2 and len(kept) == 6
    (found,) = predicted(folder(), record, budget_tokens=7)
    assert 0 < sum(result["kept_tokens"] for result in found["results"]) <= 7
    longest = len(FIRST) + len(SECOND) + 3
    (found,) = predicted(folder(), record, budget_characters=longest)
    assert 0 < sum(len(result["pruned"]) for result in found["results"]) <= longest


def test_presplit_and_lines_are_kept_as_they_are(folder: Callable[..., Path]) -> None:
    parts = ["not one. two", "  we saw it ", "on monday"]
    (found,) = predicted(folder(), {"query": QUERY, "document": parts}, split="presplit", threshold=("0",))
    assert found["pruned"] == "not one. two  we saw it on monday" and len(found["sentences"]) == 3
    (same,) = predicted(folder(), {"query": QUERY, "sentences": parts}, threshold=("0",))
    assert same["pruned"] == found["pruned"] and len(same["sentences"]) == 3
    text = "good. bad.\n\n  not so\r\nend"
    (found,) = predicted(folder(), {"query": QUERY, "document": text}, split="lines")
    assert texts_of(text, found) == ["good. bad.", "not so", "end"]
    (again,) = predicted(folder(), found, split="lines")  # what it wrote itself is no input
    assert again["sentences"] == found["sentences"]


@pytest.mark.parametrize(
    "text",
    [
        "Dr. Smith saw it, e.g. on Monday.  He left!\n\nNew one?", "猫は座った。犬は「走れ。」と言った。😀 終わり",
        "   ", "", "no end", " \u3000x。\u200b",
    ],
)  # fmt: skip
def test_sentences_cover_all_but_white_space(text: str) -> None:
    spans = sentences_in(text, "en")
    assert all(text[start:stop].strip() == text[start:stop] != "" for start, stop in spans)
    outside = set(range(len(text))) - {place for span in spans for place in range(*span)}
    assert not "".join(text[place] for place in outside).strip()
    assert lines_in(text) == sorted(lines_in(text))


def test_joined_parts_are_found_again() -> None:
    text, spans = joined(["one.", " two", "", "three"])
    assert (text, [text[slice(*span)] for span in spans]) == ("one. two three", ["one.", "two", "", "three"])


def test_the_median_is_the_share_of_provence() -> None:
    random = np.random.default_rng(0)
    for tokens in range(1, 12):
        keep = random.random(tokens).astype(np.float32)
        for threshold in (0.1, 0.5, 0.9):
            assert (lower_median(keep) > threshold) == (np.mean(keep > threshold) > 0.5)


def test_open_provence_takes_the_mean_of_fragments(folder: Callable[..., Path]) -> None:
    """O2: of a sentence in fragments of 16 and 2 tokens, both count alike."""
    sentence = " ".join(["good"] * 17) + "."
    options = {"max_length": 32, "compat": "open-provence", "threshold": ("1",)}
    (theirs,) = predicted(folder(), {"query": "bad", "document": sentence}, **options)
    predictor = Predictor(folder(), device="cpu", **options)
    given = predictor.kind.parse({"query": "bad", "document": sentence}, ("query", "document"))
    ((row,),) = predictor.kind.encode([given])
    assert [len(fragment.ids) for fragment in row.aside.fragments] == [16, 2]
    (output,) = predictor.batcher().forward([row])
    assert output is not None
    keep = output["keep"].numpy()[row.aside.start :]
    expected = (keep[:16].mean() + keep[16:18].mean()) / 2
    assert theirs["sentences"][0]["probability"] == pytest.approx(expected, abs=1e-5)
    assert theirs["score"] == 0.0
    (error,) = predicted(folder(), {"query": "bad", "document": "x", "title": "t"}, compat="open-provence")
    assert "no titles" in error["error"]


def test_the_threshold_with_the_best_f2_is_chosen() -> None:
    choice = choose([0.9, 0.8, 0.7, 0.3, 0.1], [True, False, True, False, False])
    assert choice.threshold == pytest.approx(0.5)
    assert (choice.precision, choice.recall, choice.kept) == (2 / 3, 1.0, 0.6)
    assert choice.f2 == pytest.approx(5 * choice.precision / (4 * choice.precision + 1))
    assert choose([0.4, 0.4], [True, False]).recall == 1.0, "sentences of one probability go together"
    with pytest.raises(InputError, match="no sentence is said to be relevant"):
        choose([0.4], [False])


def test_calibrate_writes_what_threshold_reads(folder: Callable[..., Path], tmp_path: Path) -> None:
    gold, out = tmp_path / "gold.jsonl", tmp_path / "threshold.json"
    said = [
        {"document": TEXT, "relevant": [True, False, False]},
        {"document": TEXT, "relevant": [[0, 5]]},
    ]
    gold.write_text("".join(json.dumps({"query": QUERY, **record}) + "\n" for record in said))
    before = sorted(path.stat().st_mtime_ns for path in folder().iterdir())
    config = PredictConfig.of({"checkpoint": folder(), "calibrate": gold, "out": out, "device": "cpu"})
    result = calibrate.run(config)
    assert (result.sentences, result.relevant, result.records) == (6, 2, 2) and result.recall == 1.0
    record = {"query": QUERY, "document": TEXT}
    (found,) = predicted(folder(), record, threshold=(str(out),))
    (same,) = predicted(folder(), record, threshold=(repr(result.threshold),))
    assert found == same and found["sentences"][0]["kept"]
    assert before == sorted(path.stat().st_mtime_ns for path in folder().iterdir())
    for broken in ([1], 7, [["a", "b"], ["a", "b"]], [[None, 4]], [[0], [0], [0]]):
        gold.write_text(json.dumps({"query": QUERY, "document": TEXT, "relevant": broken}) + "\n")
        with pytest.raises(InputError, match="record 1: field 'relevant' does not say of each of 3"):
            calibrate.run(PredictConfig.of({"checkpoint": folder(), "calibrate": gold, "device": "cpu"}))
