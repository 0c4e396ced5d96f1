"""A verb's config refuses what is out of range, of another type or unknown, and names the option."""

from dataclasses import FrozenInstanceError
from pathlib import Path
from typing import Any

import pytest

from prunecli import methods
from prunecli.config import (
    ApplyMasksConfig,
    BenchmarkConfig,
    EvaluateConfig,
    PredictConfig,
    SelfTestConfig,
    TrainMasksConfig,
    VerifyConfig,
)
from prunecli.config.contradictions import KNOWN_METHODS
from prunecli.config.shared import WIDTHS
from prunecli.errors import InputError
from prunecli.fields import VerbConfig, config_fields, plain
from prunecli.reports import run_record
from prunecli.training.arguments import facts_of

VERBS = (
    TrainMasksConfig,
    ApplyMasksConfig,
    VerifyConfig,
    EvaluateConfig,
    BenchmarkConfig,
    PredictConfig,
    SelfTestConfig,
)


def train(**values: Any) -> TrainMasksConfig:
    """Return a config of `train-masks bert qqp` with changes."""
    return TrainMasksConfig.of({"model": "bert", "task": "qqp", **values})


def test_the_defaults_are_those_of_the_issue() -> None:
    config = train()
    assert config.groups == ("ffn_int",)
    assert (config.method_name, config.gumbel_temp_anneal) == ("gumbel-sigmoid", "linear")
    assert (config.gumbel_temp_start, config.gumbel_temp_end) == (5.0, 0.1)
    assert (config.sparsity_loss, config.quantization_loss) == (0.1, 0.01)
    assert (config.num_epochs, config.lr, config.gates_lr, config.log_loss_every) == (5, 5e-5, 0.01, 5)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"source": "rows.jsonl", "query": "a"}, "FILE rows.jsonl and --query each name an input"),
        ({"source": "rows.jsonl", "calibrate": "gold.jsonl"}, "FILE rows.jsonl and --calibrate each name"),
        ({"query": "a", "calibrate": "gold.jsonl"}, "--query and --calibrate each name an input"),
        ({"calibrate": "gold.jsonl", "out": "t.json", "resume": True}, "--calibrate starts anew"),
    ],
)
def test_predict_reads_one_input(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        PredictConfig.of({"checkpoint": "folder", **options})
    assert caught.value.fix


@pytest.mark.parametrize("target", ["target_flops", "target_params"])
def test_a_target_changes_what_is_usual(target: str) -> None:
    config = train(**{target: 0.3})
    assert config.groups == ("head", "ffn_int")
    assert (config.method_name, config.gates_lr) == ("hard-concrete", 0.05)
    asked = train(**{target: 0.5}, method="gumbel-sigmoid", masks_lr=0.2, learn_masks=["head"])
    assert (asked.method_name, asked.gates_lr) == ("gumbel-sigmoid", 0.2)
    assert asked.groups == ("head",)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("num_epochs", 0, "--num-epochs is 0, but it must be at least 1"),
        ("max_length", 7, "--max-length is 7, but it must be at least 8"),
        ("sparsity_loss", -0.1, "--sparsity-loss is -0.1, but it must be at least 0"),
        ("gumbel_temp_end", 0.0, "--gumbel-temp-end is 0.0, but it must be at least 0.001"),
        ("target_flops", 50, "--target-flops is 50.0, but it must be between 0.01 and 1"),
        ("lr", float("nan"), "--lr is nan, but it must be at least 0"),
        ("seed", -1, "--seed is -1"),
        ("batch_size", 0, "--batch-size is 0"),
    ],
)
def test_a_value_out_of_range_is_named_with_what_is_allowed(name: str, value: Any, said: str) -> None:
    with pytest.raises(InputError, match=said):
        train(**{name: value})


@pytest.mark.parametrize(
    ("name", "value", "hint"),
    [
        ("gumbel_temp_anneal", "liner", "did you mean linear?"),
        ("learn_masks", ["head", "ffn_intt"], "did you mean ffn_int?"),
        ("device", "xyz", None),
        ("report_to", "tensorbord", "did you mean tensorboard?"),
    ],
)
def test_a_choice_that_is_none_names_the_nearest(name: str, value: Any, hint: str | None) -> None:
    with pytest.raises(InputError, match="is not one of") as raised:
        train(**{name: value})
    assert raised.value.fix == hint


@pytest.mark.parametrize(
    ("name", "hint"), [("num_epoch", "did you mean num_epochs?"), ("xyzzy", "known: model, task")]
)
def test_an_unknown_name_is_refused_with_a_hint(name: str, hint: str) -> None:
    with pytest.raises(InputError, match=f"train-masks has no option '{name}'") as raised:
        train(**{name: 1})
    assert str(raised.value.fix).startswith(hint)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("num_epochs", "3"),
        ("num_epochs", 3.0),
        ("num_epochs", True),
        ("lr", "fast"),
        ("lr", True),
        ("freeze", 1),
        ("freeze", "yes"),
        ("model", 3),
        ("data_dir", 3),
        ("learn_masks", 3),
        ("learn_masks", [3]),
    ],
)
def test_a_value_of_another_type_is_refused(name: str, value: Any) -> None:
    with pytest.raises(InputError, match=f"--{name.replace('_', '-')}|{name.upper()}"):
        train(**{name: value})


def test_a_whole_number_does_for_a_fraction_and_a_string_for_a_path() -> None:
    config = train(lr=1, data_dir="data/qqp")
    assert (config.lr, config.data_dir) == (1.0, Path("data/qqp"))
    assert isinstance(config.lr, float)


def apply(round_to: Any) -> ApplyMasksConfig:
    """Return a config of `apply-masks run` with widths to round to."""
    return ApplyMasksConfig.of({"source": "run", "round_to": round_to})


@pytest.mark.parametrize(
    ("asked", "multiples"),
    [
        (32, dict.fromkeys(WIDTHS, 32)),
        ("ffn_int=32", {"ffn_int": 32}),
        (["16", "head=128"], {**dict.fromkeys(WIDTHS, 16), "head": 128}),
        (["head=128", 16], {**dict.fromkeys(WIDTHS, 16), "head": 128}),
        ({"ffn_int": 32, "head": 64}, {"ffn_int": 32, "head": 64}),
        ([], {}),
    ],
)
def test_widths_are_rounded_by_group(asked: Any, multiples: dict[str, int]) -> None:
    assert apply(asked).multiples == multiples


@pytest.mark.parametrize(
    "asked", ["x", "", "0", "-4", "1.5", "=4", "heads=4", "head=", "head=0", "head=x", 0]
)
def test_a_width_that_is_none_says_what_is_allowed(asked: Any) -> None:
    with pytest.raises(InputError, match=f"--round-to '{asked}' is neither N nor GROUP=N") as raised:
        apply(asked)
    assert raised.value.fix == "groups are head, ffn_int, ffn_out, ffn_in, hidden"


@pytest.mark.parametrize(("asked", "what"), [(["8", "16"], "all groups"), (["head=8", "head=16"], "head")])
def test_a_width_said_twice_is_refused(asked: list[str], what: str) -> None:
    with pytest.raises(InputError, match=f"--round-to is given twice for {what}"):
        apply(asked)


def test_one_group_may_come_without_a_list() -> None:
    assert train(learn_masks="head").learn_masks == ("head",)


def test_none_means_the_default() -> None:
    assert train(lr=None, out=None) == train()


def test_a_config_cannot_be_changed() -> None:
    config = train()
    with pytest.raises(FrozenInstanceError):
        config.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("asked", "groups"),
    [
        (["ffn_in", "head"], ("head", "ffn_in")),
        (["head", "head"], ("head",)),
        (["head", "all"], ("head", "ffn_int", "ffn_out", "ffn_in")),
    ],
)
def test_groups_come_in_one_order_and_once(asked: list[str], groups: tuple[str, ...]) -> None:
    assert train(learn_masks=asked).groups == groups


@pytest.mark.parametrize(
    ("model", "task", "name"),
    [
        ("org/bert-base", "data/rows.csv", "bert-base-rows"),
        ("models/minilm-qqp", "qqp", "minilm-qqp"),  # which says the task already
        ("minilm_qqp", "qqp", "minilm_qqp"),
        ("demo", "demo", "demo"),
        ("bert-base", "e.jsonl", "bert-base-e"),
        ("bert-base-uncased", "cased.csv", "bert-base-uncased-cased"),
    ],
)
def test_the_run_folder_is_named_after_model_and_task(model: str, task: str, name: str) -> None:
    asked = {"model": model, "task": task}
    assert TrainMasksConfig.of(asked).out_folder == Path("runs", name)
    assert TrainMasksConfig.of({**asked, "sweep": "0.5"}).out_folder == Path("runs", f"{name}-sweep")
    assert train(out="x").out_folder == Path("x")


def test_what_is_known_of_methods_before_torch_is_what_their_files_say() -> None:
    assert {name: facts_of(methods.get(name)) for name in KNOWN_METHODS} == KNOWN_METHODS


@pytest.mark.parametrize("verb", VERBS)
def test_every_option_has_a_help_of_one_line_that_ends(verb: type[VerbConfig]) -> None:
    for field in config_fields(verb):
        assert field.opt.help.endswith("."), field.name
        assert "\n" not in field.opt.help, field.name


@pytest.mark.parametrize("verb", VERBS)
def test_no_two_options_of_a_verb_share_a_letter(verb: type[VerbConfig]) -> None:
    letters = [field.opt.short for field in config_fields(verb) if field.opt.short]
    assert len(letters) == len(set(letters))


def test_plain_values_are_what_json_knows() -> None:
    assert plain({"a": (Path("x"), 1), 2: [None, {"b": Path("y")}]}) == {
        "a": ["x", 1],
        "2": [None, {"b": "y"}],
    }


def test_the_command_is_what_was_asked_and_not_what_the_process_was_called_with(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("sys.argv", ["serve.py", "--hf-token", "hf_secret"])
    config = train(learn_masks=["head", "ffn_int"], lr=1e-4, freeze=True, out="my run")
    assert config.command == (
        "prunecli train-masks bert qqp --learn-masks head --learn-masks ffn_int --lr 0.0001 --freeze --out 'my run'"
    )
    assert run_record.record(config, config)["command"] == config.command
