"""Which fields hold the texts, by known names and by `--fields`."""

from collections.abc import Mapping
from typing import Any

import pytest

from prunecli.config.shared import parse_fields
from prunecli.errors import InputError
from prunecli.inference.text_fields import with_texts
from prunecli.tasks import tasks


def texts(*records: Mapping[str, Any], fields: tuple[str, ...] | None = None) -> list[tuple[str, ...]]:
    return list(with_texts([dict(record) for record in records], fields))


@pytest.mark.parametrize("columns", sorted({task.columns for task in tasks().values()}), ids="+".join)
def test_the_columns_of_every_task_are_known(columns: tuple[str, ...]) -> None:
    record = {"id": "7", "label": 1, **{name: f"text of {name}" for name in reversed(columns)}}
    assert texts(record) == [tuple(f"text of {name}" for name in columns)]


@pytest.mark.parametrize("pair", [("text", "text_pair"), ("query", "document")])
def test_a_pair_goes_before_a_single_field(pair: tuple[str, str]) -> None:
    assert texts({"text": "alone", "sentence": "alone", pair[0]: "a", pair[1]: "b"}) == [("a", "b")]


def test_half_a_pair_is_no_pair() -> None:
    assert texts({"text_pair": "b", "question": "c", "sentence": "a"}) == [("c", "a")]
    assert texts({"text_pair": "b", "sentence": "a"}) == [("a",)]


def test_named_fields_go_before_known_ones() -> None:
    assert texts({"text": "known", "body": "named"}, fields=("body",)) == [("named",)]


def test_the_first_record_decides_for_all() -> None:
    with pytest.raises(InputError, match=r"record 2: no field 'text_pair' \(it has text\)"):
        texts({"text": "a", "text_pair": "b"}, {"text": "a"})
    assert texts({"text": "a"}, {"text": "a", "text_pair": "b"}) == [("a",), ("a",)]


def test_a_mistyped_field_is_answered_with_the_nearest() -> None:
    with pytest.raises(InputError, match=r"no field 'bdy' \(it has id, body\)") as caught:
        texts({"id": 1, "body": "a"}, fields=("bdy",))
    assert caught.value.fix == "did you mean body?"


@pytest.mark.parametrize(
    ("record", "said"),
    [
        ({"id": 1, "body": "a"}, "record 1 has no field with a known name (it has id, body)"),
        ({}, "(it has none)"),
        ({"text": 3}, "record 1: field 'text' holds int, not text"),
        ({"text": "\ud83d"}, "half a character"),
    ],
)
def test_a_record_without_text_is_named_with_a_fix(record: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        texts(record)
    assert said in caught.value.message
    assert caught.value.fix


def test_a_long_list_of_fields_is_cut() -> None:
    with pytest.raises(InputError, match=r"f8, f9 \.\.\.\)"):
        texts({f"f{number}": "" for number in range(50)})


def test_the_option_names_one_field_or_two() -> None:
    assert parse_fields(None) is None
    assert parse_fields("body") == ("body",)
    assert parse_fields("title, body") == ("title", "body")
    for wrong in ("", "a,", "a,b,c"):
        with pytest.raises(InputError, match="one field, or two"):
            parse_fields(wrong)
