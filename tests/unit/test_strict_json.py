"""JSON of strangers is refused where it is not plain JSON."""

from pathlib import Path
from typing import Any

import pytest

from prunecli.checkpoints import strict_json
from prunecli.errors import InputError


def test_an_object_is_read(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_text('{"a": [1, 2.5, null, true, "ä"]}', encoding="utf-8")
    assert strict_json.read_object(tmp_path / "x.json") == {"a": [1, 2.5, None, True, "ä"]}


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"a": 1, "a": 2}', "duplicate key 'a'"),
        ('{"a": {"b": 1, "b": 1}}', "duplicate key 'b'"),
        ('{"a": NaN}', "NaN is not JSON"),
        ('{"a": Infinity}', "Infinity is not JSON"),
        ('{"a": -Infinity}', "-Infinity is not JSON"),
        ('{"a": 1', "not valid JSON"),
        ("", "not valid JSON"),
        ("{'a': 1}", "not valid JSON"),
        ("[1, 2]", "a JSON list, not an object"),
        ('"text"', "a JSON str, not an object"),
        ("3", "a JSON int, not an object"),
        ("null", "a JSON NoneType, not an object"),
        ('{"a": ' + "9" * 5000 + "}", "not valid JSON"),
    ],
)
def test_what_is_not_one_plain_object_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(InputError, match=said) as raised:
        strict_json.parse_object(text, "x.json")
    assert "x.json" in raised.value.message


def nested(depth: int) -> str:
    """Return an object that is nested so deep."""
    return '{"a":' * (depth - 1) + "{}" + "}" * (depth - 1)


def test_nesting_is_allowed_up_to_the_limit() -> None:
    value: Any = strict_json.parse_object(nested(strict_json.MAX_DEPTH - 1), "x.json")
    depth = 1
    while value:
        value, depth = value["a"], depth + 1
    assert depth == strict_json.MAX_DEPTH - 1


@pytest.mark.parametrize("depth", [strict_json.MAX_DEPTH + 1, 900, 100_000])
def test_deeper_nesting_is_refused(depth: int) -> None:
    with pytest.raises(InputError, match="nested more than 64 deep"):
        strict_json.parse_object(nested(depth), "x.json")


def test_a_file_that_is_too_large_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "x.json"
    path.write_text('{"a": "' + "x" * 100 + '"}')
    with pytest.raises(InputError, match="more than the 50 allowed"):
        strict_json.read_object(path, max_bytes=50)


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"absent\.json does not exist"):
        strict_json.read_object(tmp_path / "absent.json")


def test_bytes_that_are_not_utf8_are_refused(tmp_path: Path) -> None:
    (tmp_path / "x.json").write_bytes(b'{"a": "\xff"}')
    with pytest.raises(InputError, match=r"x\.json cannot be read"):
        strict_json.read_object(tmp_path / "x.json")


def test_a_folder_in_place_of_the_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read"):
        strict_json.read_object(tmp_path)


@pytest.mark.parametrize("number", ["1e999", "-1e400"])
def test_numbers_that_no_float_holds_are_refused(number: str) -> None:
    with pytest.raises(InputError, match=f"{number} is too large for a number"):
        strict_json.parse_object(f'{{"a": {number}}}', "x")
