"""TREC run files: `topic Q0 document rank score tag` a line, lines of a topic together.

A run says only ids; the texts come from two files with the fields `id` and `text`, of any format. Each topic becomes a
record with `id`, `query` and `documents`. Of the collection, only the texts that the run names are held in memory.
"""

from collections.abc import Iterator
from itertools import groupby
from operator import itemgetter
from pathlib import Path

from prunecli.errors import InputError
from prunecli.inference.formats.base import Reading, check_readable, decoded

COLUMNS = 6
ID_NAMES, TEXT_NAMES = ("id", "_id", "docid", "qid"), ("text", "query", "contents", "passage")


def read_run(run: str, topics: Path, collection: Path) -> Iterator[Reading]:
    """Return a record a topic, in the order of the run.

    Raises:
        InputError: A file is missing or broken. A text that is missing makes an error of its topic.
    """
    lines = list(_lines(Path(run)))
    queries = _texts(topics, {topic for topic, _ in lines})
    documents = _texts(collection, {document for _, document in lines})
    for topic, group in groupby(lines, key=itemgetter(0)):
        names = [document for _, document in group]
        missing = next((name for name in names if name not in documents), None)
        if topic not in queries:
            yield InputError(f"topic {topic!r} is not in {topics}", "add its text")
        elif missing is not None:
            yield InputError(
                f"document {missing!r} of topic {topic!r} is not in {collection}", "add its text"
            )
        else:
            found = [{"id": name, "text": documents[name]} for name in names]
            yield {"id": topic, "query": queries[topic], "documents": found}


def _lines(path: Path) -> Iterator[tuple[str, str]]:
    check_readable(path)
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


def _texts(path: Path, wanted: set[str]) -> dict[str, str]:
    """Read the wanted texts of a file by their ids."""
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
            found[name] = text
    return found
