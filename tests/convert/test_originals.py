"""What was noted under the transformers of their time comes out again, and not what the packages did wrong."""

import pytest
import torch
import transformers

from tests.convert.conftest import (
    ORIGINALS,
    PRUNING_ONLY,
    RERANKING,
    Convert,
    Original,
    change,
    expected,
    load,
    run,
)


@pytest.mark.parametrize("name", RERANKING)
def test_scores_and_pruning_logits_are_those_of_the_package(name: str, convert: Convert) -> None:
    noted = expected(name)
    found = run(load(convert(ORIGINALS / name)), noted)
    torch.testing.assert_close(found.logits, noted["logits"], atol=1e-5, rtol=0)
    torch.testing.assert_close(found.pruning_logits, noted["pruning_logits"], atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", [*PRUNING_ONLY, *RERANKING])
def test_tokens_are_kept_as_by_the_package(name: str, convert: Convert) -> None:
    noted = expected(name)
    model = load(convert(ORIGINALS / name), "TokenClassification")
    torch.testing.assert_close(run(model, noted).logits, noted["pruning_logits"], atol=1e-5, rtol=0)
    assert model.config.id2label == {0: "prune", 1: "keep"}


@pytest.mark.parametrize("name", ["reranking-pruning-modernbert", "open-provence"])
def test_the_last_hidden_state_would_be_another_one(name: str, convert: Convert) -> None:
    """Guard the tests above: with the state that transformers gives today, ModernBERT's pruning is wrong (O5)."""
    noted = expected(name)
    model = load(convert(ORIGINALS / name))
    assert model.config.pruning_config["hidden_state"] == "pre_final_norm"
    with torch.no_grad():
        states = run(model, noted, output_hidden_states=True).hidden_states
        wrong = model.pruning_head(states[-1])
    assert isinstance(states, tuple)  # P7: it was one tensor
    assert (wrong - noted["pruning_logits"]).abs().max() > 0.01


@pytest.mark.parametrize("version", ["5.1.0", "5.23.0"])
def test_a_head_trained_on_the_normed_state_reads_that(
    version: str, original: Original, convert: Convert
) -> None:
    folder = original("reranking-pruning-modernbert")
    change(folder / "ranking_model" / "config.json", transformers_version=version)
    assert load(convert(folder)).config.pruning_config["hidden_state"] == "last_hidden_state"


def test_dropout_of_the_head_survives(convert: Convert) -> None:
    """The package reset it to 0.1 on every load."""
    model = load(convert(ORIGINALS / "reranking-pruning-bert"))
    assert model.pruning_head.dropout.p == 0.2


def test_the_threshold_is_read_as_it_is_misspelled(convert: Convert) -> None:
    assert load(convert(ORIGINALS / "open-provence")).config.pruning_config["default_threshold"] == 0.25


def test_segments_reach_the_model(convert: Convert) -> None:
    """P5: they were swallowed."""
    noted = expected("reranking-pruning-bert")
    out = convert(ORIGINALS / "reranking-pruning-bert")
    segments = torch.tensor([[0] * 4 + [1] * 5] * 2)
    found = run(load(out), noted, token_type_ids=segments).logits
    plain = transformers.AutoModelForSequenceClassification.from_pretrained(
        ORIGINALS / "reranking-pruning-bert" / "ranking_model"
    )
    wanted = run(plain.eval(), noted, token_type_ids=segments).logits
    torch.testing.assert_close(found, wanted, atol=1e-6, rtol=0)
    assert (found - noted["logits"]).abs().max() > 1e-3
