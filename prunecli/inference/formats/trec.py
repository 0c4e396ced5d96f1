"""TREC run files: `topic Q0 document rank score tag` a line.

A run says only ids; the texts come from two files with the fields `id` and `text`, of any format, and `title` where
documents have one. Each topic becomes a record with `id`, `query` and `documents`, wherever its lines stand. Of the
collection, only the texts that the run names are held in memory.
"""

import json
import math
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

from prunecli.errors import InputError
from prunecli.inference.formats.base import Reading, Record, check_readable, decoded

COLUMNS = 6
TAG = "prunecli"
ID_NAMES, TEXT_NAMES = ("id", "_id", "docid", "qid"), ("text", "query", "contents", "passage")
TITLE = "title"


def read_run(run: str, topics: Path, collection: Path) -> Iterator[Reading]:
    """Return a record a topic, in the order of the run.

    Raises:
        InputError: A file is missing, which is said at once, or broken. A text that is missing makes an error of its
            topic.
    """
    for path in (Path(run), topics, collection):
        check_readable(path)
    return _topics(Path(run), topics, collection)


def write_run(lines: Path, target: Path) -> None:
    """Turn predictions in JSONL into a run: a topic's documents, best first; a topic with an error is not in it.

    Programs that read runs sort by score, not by rank: where one does not fall it is set just below the last.
    """
    with lines.open("rb") as file, target.open("w", encoding="utf-8") as run:
        for record in map(json.loads, file):
            last = math.inf
            for rank, result in enumerate(record.get("results", ()), 1):
                last = min(result["score"], math.nextafter(last, -math.inf))
                run.write(f"{record['id']} Q0 {result['id']} {rank} {last!r} {TAG}\n")


def _topics(run: Path, topics: Path, collection: Path) -> Iterator[Reading]:
    names: dict[str, list[str]] = {}
    for topic, name in _lines(run):
        names.setdefault(topic, []).append(name)
    queries = _found(topics, set(names))
    documents = _found(collection, set(chain.from_iterable(names.values())))
    for topic, ranked in names.items():
        missing = next((name for name in ranked if name not in documents), None)
        if topic not in queries:
            yield InputError(f"topic {topic!r} is not in {topics}", "add its text")
        elif missing is not None:
            yield InputError(
                f"document {missing!r} of topic {topic!r} is not in {collection}", "add its text"
            )
        else:
            found = [documents[name] for name in ranked]
            yield {"id": topic, "query": queries[topic]["text"], "documents": found}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    with path.open("rb") as file:
        for number, line in enumerate(file, 1):
            words = decoded(line, number, str(path)).split()
            if words and len(words) != COLUMNS:
                raise InputError(
                    f"{path} line {number} has {len(words)} columns, a TREC run has {COLUMNS}",
                    "write: topic Q0 document rank score tag",
                )
            if words:
                yield words[0], words[2]


def _found(path: Path, wanted: set[str]) -> dict[str, Record]:
    """Read the wanted texts of a file by their ids, as documents with `id`, `text` and perhaps `title`."""
    from prunecli.inference.formats import read_records

    found = {}
    for number, record in enumerate(read_records(str(path)), 1):
        if isinstance(record, InputError):
            raise record
        name = next((str(record[field]) for field in ID_NAMES if field in record), None)
        text = next((record[field] for field in TEXT_NAMES if field in record), None)
        if name is None or not isinstance(text, str):
            raise InputError(
                f"{path} record {number} has no id and text", "give each a field id and a field text"
            )
        if name in wanted:
            title = {TITLE: record[TITLE]} if record.get(TITLE) else {}
            found[name] = {"id": name, "text": text, **title}
    return found
