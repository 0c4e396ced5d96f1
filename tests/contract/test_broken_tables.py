"""The contract of the tables catches mistakes: each kind of slip in a table fails the test that is meant for it."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from prunecli import encoders
from prunecli.encoders import Family
from tests import tiny
from tests.contract import test_families as contract

Check = Callable[[str], None]

LINEARS = contract.test_each_linear_stands_where_the_table_says_with_that_shape
WHOLE = contract.test_the_table_knows_every_linear_of_a_layer
LAYERS = contract.test_there_are_as_many_layers_as_the_config_says
REPEATS = contract.test_each_layer_is_computed_as_often_as_the_table_says
BIASES = contract.test_the_table_knows_which_linears_have_a_bias
COUNTS = contract.test_the_core_is_the_module_that_counts_heads
CORE = contract.test_the_core_knows_its_width_and_whether_it_can_go
PER_HEAD = contract.test_an_argument_with_an_entry_a_head_is_called_what_the_table_says

WORDS = contract.test_the_word_embeddings_stand_where_the_table_says


def removing(group: str) -> Check:
    """Return the test that removes units of a group by hand."""
    return lambda model_type: contract.test_removing_a_unit_by_hand_is_what_closing_its_gate_does(
        model_type, group
    )


def attention(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: replace(family, attention=replace(family.attention, **changes))


def ffn(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: replace(family, ffn=replace(family.ffn, **changes))


def core(**changes: Any) -> Callable[[Family], Family]:
    return lambda family: replace(family, core=replace(family.core, **changes))  # type: ignore[type-var]


def family(**changes: Any) -> Callable[[Family], Family]:
    return lambda table: replace(table, **changes)


Q, K, V, OUT = (f"attention.{name}" for name in ("self.query", "self.key", "self.value", "output.dense"))

MISTAKES = {
    "a linear's name": ("bert", attention(output="attention.output.dens"), LINEARS),
    "an input's name": ("distilbert", ffn(inputs=("ffn.linear1",)), LINEARS),
    "a linear left out": ("bert", attention(inputs=(Q, K)), WHOLE),
    "query and output swapped": ("bert", attention(inputs=(OUT, K, V), output=Q), removing("head")),
    "feed-forward linears swapped": (
        "bert",
        ffn(inputs=("output.dense",), output="intermediate.dense"),
        LINEARS,
    ),
    "too few blocks in Wqkv": ("modernbert", attention(blocks=2), LINEARS),
    "too few blocks in Wi": ("modernbert", ffn(blocks=1), LINEARS),
    "blocks where none are": ("bert", attention(blocks=3), LINEARS),
    "biases denied": ("bert", ffn(bias=False), BIASES),
    "the place of layers": ("bert", family(layer="encoder.layers.{layer}."), LAYERS),
    "the word embeddings": ("eurobert", family(words="embeddings.word_embeddings"), WORDS),
    "shared layers taken for one": ("albert", family(repeats_field=None), REPEATS),
    "the core's name": ("bert", core(name="attention"), COUNTS),
    "the core's head count": ("deberta-v2", core(head_count="n_heads"), COUNTS),
    "no core": ("mpnet", family(core=None), COUNTS),
    "the core's width": ("deberta-v2", core(width="dim"), CORE),
    "no width": ("bert", core(width=""), CORE),
    "a core that cannot go": ("albert", core(can_go=True), CORE),
    "a core that can go": ("bert", core(can_go=False), CORE),
    "the argument's name": ("mpnet", core(per_head="position_biases"), PER_HEAD),
    "no argument": ("mpnet", core(per_head=None), PER_HEAD),
    "an argument where none is": ("bert", core(per_head="attention_mask"), PER_HEAD),
}


@pytest.mark.parametrize(("model_type", "mistake", "check"), MISTAKES.values(), ids=list(MISTAKES))
def test_a_mistake_in_a_table_is_caught(
    model_type: str, mistake: Callable[[Family], Family], check: Check, monkeypatch: pytest.MonkeyPatch
) -> None:
    check(model_type)
    rows = encoders._families()
    table, *rest = rows[model_type]
    wrong = {**rows, model_type: (mistake(table), *rest)}
    monkeypatch.setattr(encoders, "_families", lambda: wrong)
    with pytest.raises((AssertionError, AttributeError)):
        check(model_type)


def test_every_family_has_its_linears_checked_by_name(monkeypatch: pytest.MonkeyPatch) -> None:
    """Rename each linear of each table in turn, as a new release of transformers might."""
    rows = encoders._families()
    for model_type, (table, *rest) in rows.items():
        for part in ("attention", "ffn"):
            sublayer = getattr(table, part)
            renamed = [replace(sublayer, output=sublayer.output + "_")]
            for number, name in enumerate(sublayer.inputs):
                names = (*sublayer.inputs[:number], name + "_", *sublayer.inputs[number + 1 :])
                renamed.append(replace(sublayer, inputs=names))
            for changed in renamed:
                wrong = {**rows, model_type: (replace(table, **{part: changed}), *rest)}
                monkeypatch.setattr(encoders, "_families", lambda wrong=wrong: wrong)
                with pytest.raises(AttributeError):
                    LINEARS(model_type)
    assert set(rows) == set(tiny.MODEL_TYPES)
