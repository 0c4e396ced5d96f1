"""A latency table survives its file, is refused when it makes no sense, and gives prices of every width."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.masks.allocation import choose
from prunecli.masks.latency_table import LatencyTable, Setting, SublayerTimes, latency_prices, shapes_of

HEADS = SublayerTimes((0, 1, 2, 3, 4), (0.0, 1.0, 2.0, 2.0, 5.0), (0.0,) * 5, (9.0,) * 5)
NEURONS = SublayerTimes((0, 16, 48), (0.0, 2.0, 6.0), (0.0, 1.5, 5.0), (0.0, 2.5, 7.0))


@pytest.fixture
def table(bert_encoder: Encoder, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> LatencyTable:
    """Return a table of the tiny BERT, whose place is in a cache of its own."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    measured = {"head": "Model", "batch_size": 8, "tokens": 16, "device": "cpu", "threads": 1}
    setting = Setting(**shapes_of(bert_encoder), **measured, torch="2", transformers="5")
    return LatencyTable(setting, {"head": HEADS, "ffn_int": NEURONS}, fixed_ms=3.0, whole_ms=37.0, rounds=7)


def test_a_file_holds_the_table(table: LatencyTable, tmp_path: Path) -> None:
    table.write(table.setting.file)
    assert table.setting.file.is_relative_to(tmp_path / "cache" / "prunecli")
    assert LatencyTable.read(table.setting.file) == table


@pytest.mark.parametrize(
    "change", [{"threads": 2}, {"tokens": 32}, {"torch": "3"}, {"heads": 2}, {"device": "x"}]
)
def test_each_setting_has_a_file_of_its_own(change: dict[str, Any], table: LatencyTable) -> None:
    assert replace(table.setting, **change).file != table.setting.file


def test_prices_lie_on_straight_lines_between_what_was_measured(
    table: LatencyTable, bert_encoder: Encoder
) -> None:
    prices = latency_prices(bert_encoder, table)
    assert prices.unit == "ms"
    assert {group: rows.shape for group, rows in prices.tables.items()} == {
        "head": (3, 5),
        "ffn_int": (3, 49),
    }
    assert prices.tables["head"][2].tolist() == list(HEADS.ms)
    assert prices.tables["ffn_int"][0, [0, 8, 16, 32, 48]].tolist() == [0, 2, 2, 4, 6]
    assert (prices.tables["ffn_int"][0, 1:17] == 2).all()  # one neuron costs what the fewest measured do
    assert prices.dense == table.sum_ms == 3 + 3 * (5 + 6)


def test_layers_that_are_computed_twice_cost_twice(table: LatencyTable, bert_encoder: Encoder) -> None:
    shared = replace(bert_encoder, repeats=2)
    prices = latency_prices(shared, replace(table, setting=replace(table.setting, repeats=2)))
    assert prices.dense == 3 + 2 * 3 * (5 + 6)


def test_masks_can_be_chosen_by_milliseconds(table: LatencyTable, bert_encoder: Encoder) -> None:
    """The fourth head costs as much as three others: it goes first."""
    prices = latency_prices(bert_encoder, table)
    scores = {"head": np.ones((3, 4), np.float32), "ffn_int": np.ones((3, 48), np.float32)}
    masks = choose(scores, prices, budget=prices.dense - 9)
    widths = {group: [int(row.sum()) for row in mask] for group, mask in masks.items()}
    assert prices.of(widths) <= prices.dense - 9
    assert widths == {"head": [3, 3, 3], "ffn_int": [48, 48, 48]}


def test_a_table_of_another_encoder_is_refused(table: LatencyTable, bert_encoder: Encoder) -> None:
    with pytest.raises(InputError, match="intermediate is 48, not 64") as raised:
        latency_prices(replace(bert_encoder, intermediate=64), table)
    assert "--table" in str(raised.value.fix)


Spoil = Callable[[dict[str, Any]], Any]
BROKEN: dict[str, tuple[Spoil, str]] = {
    "no times": (lambda it: it.pop("sublayers"), "'sublayers' is missing"),
    "a group missing": (lambda it: it["sublayers"].pop("head"), "'head' is missing"),
    "an unknown entry": (lambda it: it["setting"].update(colour="red"), "Setting has not the entries"),
    "no setting": (lambda it: it.update(setting=None), "Setting has not the entries"),
    "a list too short": (lambda it: it["sublayers"]["head"]["low"].pop(), "not of one length"),
    "widths that fall": (lambda it: it["sublayers"]["head"]["widths"].reverse(), "do not ascend from 0 to 4"),
    "a width missing": (lambda it: it["setting"].update(intermediate=64), "do not ascend from 0 to 64"),
    "times that fall": (lambda it: it["sublayers"]["ffn_int"].update(ms=[0, 3, 2]), "fall where widths grow"),
    "a time below zero": (lambda it: it["sublayers"]["ffn_int"].update(ms=[-1, 3, 4]), "below zero"),
    "a word for a time": (lambda it: it["sublayers"]["ffn_int"].update(ms=[0, "a", 4]), "not a number"),
    "no time at all": (lambda it: it.update(fixed_ms=0), "no number above zero"),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_file_says_what_is_wrong(name: str, table: LatencyTable, tmp_path: Path) -> None:
    spoil, said = BROKEN[name]
    file = tmp_path / "table.json"
    table.write(file)
    value = json.loads(file.read_text())
    spoil(value)
    file.write_text(json.dumps(value))
    with pytest.raises(InputError, match=said) as raised:
        LatencyTable.read(file)
    assert str(file) in raised.value.message
    assert "--table" in str(raised.value.fix)
