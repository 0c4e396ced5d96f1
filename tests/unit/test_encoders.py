"""From a `config.json` to a table with sizes, or to a refusal that says what is supported."""

from typing import Any

import pytest

from prunecli.encoders import check_heads, for_config, module_names, supported_model_types
from prunecli.errors import InputError, UnsupportedModelError
from tests import tiny

BERT = {"model_type": "bert", **tiny.FIELDS}


def test_sizes_come_from_the_config() -> None:
    encoder = for_config(BERT)
    assert (encoder.layers, encoder.heads, encoder.head_size, encoder.hidden, encoder.intermediate) == (
        3,
        4,
        8,
        32,
        48,
    )


def test_the_families_of_the_issue_are_supported() -> None:
    assert {"bert", "camembert", "distilbert", "electra", "roberta", "xlm-roberta"} <= set(
        supported_model_types()
    )


@pytest.mark.parametrize(
    ("model_type", "hint"),
    [("gpt2", ", bert, camembert, "), ("robert", "did you mean roberta?"), (None, "bert")],
)
def test_an_unsupported_model_is_told_what_is_supported(model_type: Any, hint: str) -> None:
    with pytest.raises(UnsupportedModelError, match=f"{model_type!r} is not an encoder") as raised:
        for_config({**BERT, "model_type": model_type})
    assert hint in str(raised.value.fix)


@pytest.mark.parametrize("model_type", [["bert"], {"a": 1}, 3])
def test_a_model_type_that_is_no_name_is_refused(model_type: Any) -> None:
    with pytest.raises(UnsupportedModelError):
        for_config({**BERT, "model_type": model_type})


@pytest.mark.parametrize("key", ["is_decoder", "is_encoder_decoder"])
def test_a_decoder_is_refused(key: str) -> None:
    with pytest.raises(UnsupportedModelError, match="is a decoder"):
        for_config({**BERT, key: True})


@pytest.mark.parametrize("value", [None, 0, -3, 2.0, "3", True])
@pytest.mark.parametrize(
    "field", ["num_hidden_layers", "num_attention_heads", "hidden_size", "intermediate_size"]
)
def test_a_size_that_is_no_positive_whole_number_is_named(field: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"{field} is {value!r}"):
        for_config({**BERT, field: value})


def test_heads_must_divide_the_width() -> None:
    with pytest.raises(InputError, match="hidden_size 32 is not a multiple of num_attention_heads 5"):
        for_config({**BERT, "num_attention_heads": 5})


def test_stacked_rows_are_named_by_the_modules_that_hold_them() -> None:
    found = module_names("nomic_bert", "nomic_bert.encoder.layers.3.attn.Wqkv.weight")
    assert found == [f"nomic_bert.layers.3.self_attn.{name}_proj.weight" for name in "qkv"]
    assert module_names("nomic_bert", found[0]) == found[:1]
    assert module_names("bert", "emb_ln.weight") == ["emb_ln.weight"]


@pytest.mark.parametrize(("entry", "value"), [("num_key_value_heads", 2), ("head_dim", 16)])
def test_heads_that_share_keys_or_have_another_size_cannot_be_pruned(entry: str, value: int) -> None:
    encoder = for_config({**BERT, entry: value})  # it can be run and converted
    with pytest.raises(UnsupportedModelError, match=f"this bert has {entry} {value} in config.json"):
        check_heads(encoder, {entry: value})
    for usual in (None, {"num_key_value_heads": 4, "head_dim": 8}[entry]):
        check_heads(encoder, {entry: usual})


def test_a_strangers_config_cannot_make_us_count_to_a_million() -> None:
    config = {**tiny.tiny_config("bert").to_dict(), "num_hidden_layers": 10**6}
    with pytest.raises(InputError, match="num_hidden_layers 1000000 is more than any encoder has"):
        for_config(config)
