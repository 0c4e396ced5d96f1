"""TREC runs: topics and texts come together as records, and what was ranked comes out as a run again."""

import json
from pathlib import Path
from typing import Any

import pytest

from prunecli.config import PredictConfig
from prunecli.errors import InputError
from prunecli.inference.formats.trec import read_run, write_run
from prunecli.operations import predict
from tests import tiny


def test_a_run_becomes_a_record_a_topic(tmp_path: Path) -> None:
    run, topics, texts = tmp_path / "a.trec", tmp_path / "topics.tsv", tmp_path / "docs.jsonl"
    run.write_text("q1 Q0 d2 1 9.5 bm25\nq2 Q0 d9 1 3 bm25\nq3 Q0 d1 1 3 bm25\nq1 Q0 d1 2 9.1 bm25\n")
    topics.write_text("id\ttext\nq1\twas it\nq2\tbad\n")
    with pytest.raises(InputError, match=r"docs\.jsonl does not exist"):
        read_run(str(run), topics, texts)
    texts.write_text('{"id": "d1", "text": "one", "title": "first"}\n{"id": "d2", "text": "two"}\n')
    first, second, third = read_run(str(run), topics, texts)
    documents = [{"id": "d2", "text": "two"}, {"id": "d1", "text": "one", "title": "first"}]
    assert first == {"id": "q1", "query": "was it", "documents": documents}
    assert isinstance(second, InputError) and "'d9'" in second.message
    assert isinstance(third, InputError) and "'q3'" in third.message
    run.write_text("q1 d2 1\n")
    with pytest.raises(InputError, match="line 1 has 3 columns"):
        list(read_run(str(run), topics, texts))


def test_a_run_comes_out_as_a_run_in_the_new_order(tmp_path: Path) -> None:
    folder, run = tiny.save_tiny(tmp_path / "model", "bert", num_labels=1), tmp_path / "a.trec"
    topics, texts, out = tmp_path / "topics.tsv", tmp_path / "docs.jsonl", tmp_path / "b.run"
    run.write_text("q1 Q0 d2 1 9.5 bm25\nq2 Q0 d9 1 3 bm25\nq1 Q0 d1 2 9.1 bm25\n")
    topics.write_text("id\ttext\nq1\twas it good\nq2\tbad\n")
    texts.write_text('{"id": "d1", "text": "we saw it"}\n{"id": "d2", "text": "on monday"}\n')
    files = {"source": str(run), "topics": topics, "collection": texts}

    def config(out: Path, **options: Any) -> PredictConfig:
        asked = {"checkpoint": folder, **files, "kind": "reranking", "device": "cpu", "out": out, **options}
        return PredictConfig.of(asked)

    first, wrong = predict.run(config(tmp_path / "b.jsonl"))
    list(predict.run(config(out)))
    wanted = [("q1", "Q0", one["id"], rank, one["score"]) for rank, one in enumerate(first["results"], 1)]
    rows = [line.split() for line in out.read_text().splitlines()]
    assert [(a, b, c, int(d), float(e)) for a, b, c, d, e, _ in rows] == wanted and "error" in wrong
    assert next(iter(read_run(str(out), topics, texts)))["documents"][0]["id"] == first["results"][0]["id"]
    with pytest.raises(InputError, match="which classification does not read"):
        predict.run(config(tmp_path / "c.trec", kind="classification"))
    with pytest.raises(InputError, match="which only a TREC run has"):
        PredictConfig.of({"checkpoint": folder, "query": "it", "out": out})


def test_scores_fall_with_the_rank(tmp_path: Path) -> None:
    """Programs that read runs sort by score, and break ties in ways of their own."""
    tied = [{"id": name, "score": score} for name, score in (("a", 1.0), ("b", 1.0), ("c", 2.0))]
    (tmp_path / "tied").write_text(json.dumps({"id": 7, "results": tied}) + '\n{"error": "no"}\n')
    write_run(tmp_path / "tied", tmp_path / "tied.run")
    rows = [line.split() for line in (tmp_path / "tied.run").read_text().splitlines()]
    scores = [float(row[4]) for row in rows]
    assert [row[2] for row in rows] == ["a", "b", "c"] and scores[0] > scores[1] > scores[2]
