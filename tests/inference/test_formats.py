"""Records from files and standard input: formats, and what is said of broken ones."""

import json
import math
import os
import sys
from datetime import datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest

from prunecli.errors import InputError
from prunecli.inference.formats import Reading, read_records
from prunecli.inference.formats.jsonl import line_of
from prunecli.inference.formats.parquet import write_parquet
from prunecli.tasks.files import read_table


def read(folder: Path, name: str, content: bytes) -> list[Reading]:
    (folder / name).write_bytes(content)
    return list(read_records(str(folder / name)))


def piped(path: Path) -> list[Reading]:
    kept = os.dup(0)
    try:
        with path.open("rb") as file:
            os.dup2(file.fileno(), 0)
        return list(read_records("-"))
    finally:
        os.dup2(kept, 0)
        os.close(kept)


def test_jsonl_skips_blank_lines_and_keeps_every_field(tmp_path: Path) -> None:
    lines = '\ufeff{"text": "a\u2028b", "id": [1, null]}\r\n\n{"text": "é"}'
    assert read(tmp_path, "rows.jsonl", lines.encode()) == [
        {"text": "a\u2028b", "id": [1, None]},
        {"text": "é"},
    ]


def test_csv_and_tsv_have_a_header_and_quotes(tmp_path: Path) -> None:
    csv = b'id,text\n1,"two\nlines, one cell"\n\n2,plain\n'
    assert read(tmp_path, "rows.CSV", csv) == [
        {"id": "1", "text": "two\nlines, one cell"},
        {"id": "2", "text": "plain"},
    ]
    assert read(tmp_path, "rows.tsv", b"id\ttext\r\n1\ta, b\r\n") == [{"id": "1", "text": "a, b"}]


def test_parquet_has_a_record_a_row(tmp_path: Path) -> None:
    rows = [{"text": "one", "label": 1}, {"text": "two", "label": None}]
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), tmp_path / "rows.parquet")
    assert list(read_records(str(tmp_path / "rows.parquet"))) == rows
    with pytest.raises(InputError, match=r"cut\.parquet is no Parquet file, or not all of one"):
        read(tmp_path, "cut.parquet", (tmp_path / "rows.parquet").read_bytes()[:40])


def test_a_good_parquet_file_is_not_said_to_be_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise pyarrow.ArrowNotImplementedError("Support for codec 'lzo' not built\nand more")

    (tmp_path / "rows.parquet").write_bytes(b"PAR1 by another program")
    for name in ("ParquetFile", "read_table"):
        monkeypatch.setattr(f"pyarrow.parquet.{name}", fail)
    for reader in (lambda path: list(read_records(str(path))), read_table):
        with pytest.raises(
            InputError, match=r"rows\.parquet cannot be read: Support for codec 'lzo' not built\n"
        ):
            reader(tmp_path / "rows.parquet")


def test_parquet_values_that_json_lacks_are_text_or_null(tmp_path: Path) -> None:
    row = {"at": datetime(2026, 1, 2, 3), "cost": Decimal("1.50"), "raw": b"a\xff", "n": [math.nan, 1.5]}
    pyarrow.parquet.write_table(pyarrow.Table.from_pylist([row]), tmp_path / "rows.parquet")
    (found,) = read_records(str(tmp_path / "rows.parquet"))
    assert isinstance(found, dict) and json.loads(line_of(found)) == {
        "at": "2026-01-02 03:00:00",
        "cost": "1.50",
        "raw": "a\\xff",
        "n": [None, 1.5],
    }


@pytest.mark.parametrize("value", [math.nan, [-math.inf], datetime(2026, 1, 2), {1, 2}])
def test_what_json_has_no_word_for_is_named(value: Any) -> None:
    with pytest.raises(InputError, match="field 'b' cannot be written as JSON"):
        line_of({"a": "\ud83d", "b": value})


@pytest.mark.parametrize("values", [[2**70], [{}], [1, [1]]])
def test_what_no_column_can_hold_is_kept_as_jsonl(values: list[Any], tmp_path: Path) -> None:
    (tmp_path / "rows.jsonl").write_bytes(b"".join(line_of({"a": value}) for value in values))
    with pytest.raises(InputError, match="cannot be written as Parquet") as caught:
        write_parquet(tmp_path / "rows.jsonl", tmp_path / "rows.parquet")
    assert caught.value.fix and "rows.jsonl" in caught.value.fix


def test_a_text_file_has_one_record_a_line_even_where_it_looks_like_json(tmp_path: Path) -> None:
    assert read(tmp_path, "rows.txt", b'{"text": 1}\r\n \nb \n') == [{"text": '{"text": 1}'}, {"text": "b "}]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b'\n {"text": "a"}\n{"text": "b"}\n', [{"text": "a"}, {"text": "b"}]),
        (b"\n  a\nb\n", [{"text": "  a"}, {"text": "b"}]),
        (b"\n\n", []),
        (b"", []),
    ],
)
def test_standard_input_and_unknown_suffixes_are_told_by_their_first_line(
    content: bytes, expected: list[Reading], tmp_path: Path
) -> None:
    assert read(tmp_path, "rows.en", content) == expected
    assert piped(tmp_path / "rows.en") == expected


@pytest.mark.parametrize("content", [b'[{"text": "a"}]', b'[\n {"text": "a"}\n]', b'[ {"text": "a"},\n'])
def test_an_array_on_standard_input_is_no_text(content: bytes, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds one JSON array, not an object a line"):
        read(tmp_path, "rows.en", content)
    assert read(tmp_path, "notes.en", b"[1] a note\n") == [{"text": "[1] a note"}]


@pytest.mark.parametrize("name", ["empty.jsonl", "empty.csv", "empty.tsv", "empty.txt"])
def test_an_empty_file_holds_no_record(name: str, tmp_path: Path) -> None:
    assert read(tmp_path, name, b"") == []


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.jsonl", b'{"text": "a"}\n\n{"text": \n{"text": "b"}\n', "rows.jsonl line 3 is not valid JSON"),
        ("rows.jsonl", b'{"text": "a"}\n["a"]\n{"text": "b"}\n', "line 2 holds a JSON list, not an object"),
        ("rows.jsonl", b'{"text": "a"}\n{"text": "\xff"}\n{"text": "b"}', "line 2 is not UTF-8 text"),
        ("rows.txt", b"a\n\xff\nb\n", "line 2 is not UTF-8 text"),
        ("rows.csv", b"text\na\n2,b,c\nb\n", "line 3 has 3 cells, the header has 1"),
    ],
)
def test_a_broken_line_is_an_error_in_its_place(name: str, content: bytes, said: str, tmp_path: Path) -> None:
    first, error, last = read(tmp_path, name, content)
    assert (first, last) == ({"text": "a"}, {"text": "b"})
    assert isinstance(error, InputError) and said in error.message and error.fix


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("rows.csv", b"text,id,text\n", "column 'text' twice"),
        ("rows.csv", b'text\n"never closed\n', "rows.csv line 2"),
        ("rows.json", b'\n [\n {"text": "a"}\n]\n', "rows.json holds one JSON array"),
        ("rows.jsonl", b'\xef\xbb\xbf[{"text": "a"}]', "rows.jsonl holds one JSON array"),
    ],
)
def test_a_file_that_cannot_be_read_on_is_refused(
    name: str, content: bytes, said: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=said) as caught:
        read(tmp_path, name, content)
    assert caught.value.fix


def test_a_missing_file_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="does not exist"):
        read_records(str(tmp_path / "none.jsonl"))
    with pytest.raises(InputError, match="is a folder"):
        read_records(str(tmp_path))


def test_a_closed_standard_input_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    with pytest.raises(InputError, match="no standard input"):
        read_records("-")


def test_half_a_character_does_not_cost_the_other_rows(tmp_path: Path) -> None:
    rows = [{"text": "\ud83d x", "more": ["\ude00"]}, {"text": "fine", "more": []}]
    (tmp_path / "rows.jsonl").write_bytes(b"".join(map(line_of, rows)))
    write_parquet(tmp_path / "rows.jsonl", tmp_path / "rows.parquet")
    whole = {"text": "\\ud83d x", "more": ["\\ude00"]}
    assert list(read_records(str(tmp_path / "rows.parquet"))) == [whole, rows[1]]
