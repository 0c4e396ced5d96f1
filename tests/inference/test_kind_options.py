"""Options of `predict` that only some kinds read: the others refuse them, by their defaults they are let pass."""

from pathlib import Path
from typing import Any

import pytest

import prunecli
from prunecli.config import PredictConfig
from prunecli.config.predict import CONTEXT, OTHER_KINDS
from prunecli.errors import InputError
from prunecli.fields import config_fields
from prunecli.inference.kinds import KINDS, check_options

FIELDS = {field.name: field for field in config_fields(PredictConfig)}
OF_SOME_KINDS = [name for name, field in FIELDS.items() if field.opt.panel in (CONTEXT, OTHER_KINDS)]
OTHER: dict[str, Any] = {
    "overlap": 0.5,
    "threshold": ("0.1",),
    "top_sentences": 1,
    "budget_tokens": 9,
    "budget_characters": 9,
    "min_sentences": 1,
    "split": "lines",
    "language": "ja",
    "calibrate": Path("examples.jsonl"),
    "compat": "provence",
    "activation": "none",
    "pooling": "cls",
    "mask_token": "<cell>",
    "no_answer": True,
}


@pytest.mark.parametrize("option", OTHER)
def test_an_option_is_taken_by_its_kinds_and_refused_by_the_others(option: str) -> None:
    config = PredictConfig.of({"checkpoint": "folder", "min_sentences": 0, option: OTHER[option]})
    readers = [name for name, kind in KINDS.load_all().items() if option in kind.options]
    assert readers
    for name in KINDS.names():
        if name in readers:
            check_options(name, config)
        else:
            with pytest.raises(
                InputError, match=f"{FIELDS[option].spelled} is for {', '.join(readers)}, .* {name}"
            ):
                check_options(name, config)


def test_every_option_of_the_panels_of_kinds_is_read_by_one() -> None:
    read = {option for kind in KINDS.load_all().values() for option in kind.options}
    assert read == {*OF_SOME_KINDS, "overlap"} == set(OTHER)


def test_predict_says_so_before_the_model_is_loaded() -> None:
    with pytest.raises(
        InputError, match=r"demo.*--threshold is for context-pruning, and this is used for classif"
    ):
        prunecli.predict("demo", [{"text": "good"}], threshold=("0.3",))


def test_a_default_that_is_written_out_is_no_mistake() -> None:
    (record,) = prunecli.predict("demo", [{"text": "good"}], overlap=0.25, split="sentences", device="cpu")
    assert record["label"] == "positive"
