"""Options of train-masks and compare that nothing would read are refused, and say what reads them."""

from pathlib import Path
from typing import Any

import pytest

from prunecli.config import CompareConfig, TrainMasksConfig
from prunecli.config.contradictions import ANNEALED, GATES
from prunecli.errors import InputError

OTHER: dict[str, Any] = {
    "num_epochs": 3, "max_steps": 9, "lr": 1e-4, "masks_lr": 0.2, "mask_init": "open", "sparsity_loss": 1.0,
    "gumbel_temp_start": 3.0, "gumbel_temp_end": 0.2, "gumbel_temp_anneal": "constant", "quantization_loss": 0.1,
}  # fmt: skip


def train(**values: Any) -> TrainMasksConfig:
    return TrainMasksConfig.of({"model": "bert", "task": "qqp", **values})


@pytest.mark.parametrize("name", GATES)
def test_gates_options_need_gates(name: str) -> None:
    value = {name: OTHER[name]}
    train(**value)
    with pytest.raises(InputError, match="has no effect: one-shot trains no gates") as caught:
        train(method="one-shot", target_flops=0.5, **value)
    assert f"--{name.replace('_', '-')}" in caught.value.message
    assert str(caught.value.fix).startswith("--recovery-epochs and --recovery-lr are for the model")


@pytest.mark.parametrize("name", ANNEALED)
def test_a_temperature_is_gumbel_sigmoids(name: str) -> None:
    value = {name: OTHER[name]}
    train(method="gumbel-sigmoid", target_flops=0.5, **value)
    with pytest.raises(InputError, match="gates of hard-concrete have no temperature"):
        train(target_flops=0.5, **value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (
            {"method": "taylor", "target_flops": 0.5, "freeze": True},
            "--freeze has no effect: taylor trains no weights",
        ),
        ({"target_flops": 0.5, "sparsity_loss": 1.0}, "--sparsity-loss has no effect: a target says"),
        ({"target_flops": 0.5, "mask_init": "open"}, "--mask-init has no effect: a target says"),
        ({"keep_weights": True}, "--keep-weights has no effect: no refit without a target"),
        ({"target_flops": 0.5, "freeze": True, "keep_weights": True}, "--keep-weights has no effect"),
        ({"sweep": "0.5", "teacher": "big"}, "--teacher has no effect: nothing trains"),
        ({"sweep": "0.5", "replace_tokens": 0.3}, "--replace-tokens has no effect: nothing trains"),
        ({"replace_tokens": 0.3}, "--replace-tokens has no effect: nothing is distilled"),
        (
            {"target_flops": 0.5, "distill": "never", "replace_tokens": 0.3},
            "--replace-tokens has no effect: nothing is distilled",
        ),
        ({"recovery_lr": 1e-4}, "--recovery-lr has no effect: there is no recovery"),
        ({"calibration_rows": 64}, "--calibration-rows has no effect: there is no target"),
        ({"round_to": 8}, "--round-to has no effect: there is no target"),
        ({"target_flops": 0.5, "speedup_at": "8x128"}, "--speedup-at has no effect: no time is asked for"),
        (
            {"learn_masks": ["layer"], "target_flops": 0.5, "round_to": 8},
            "--round-to has no effect: layers go",
        ),
        ({"gumbel_temp_anneal": "constant", "gumbel_temp_end": 0.2}, "--gumbel-temp-end has no effect"),
        ({"sweep": "0.5", "gradient_accumulation": 4}, "--gradient-accumulation has no effect: nothing"),
        ({"target_flops": 0.5, "strict": True}, "--strict has no effect: no time is asked for"),
    ],
)
def test_what_is_missing_is_said(options: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said) as caught:
        train(**options)
    assert caught.value.fix


@pytest.mark.parametrize(
    "options",
    [
        {"sweep": "0.5", "teacher": "big", "recovery_epochs": 1, "recovery_lr": 1e-4},
        {"sweep": "0.5", "recovery_epochs": 1, "replace_tokens": 0.3},
        {"target_speedup": 2.0, "strict": True, "speedup_at": "8x128", "round_to": 8},
        {"target_flops": 0.5, "num_epochs": 3, "masks_lr": 0.1, "keep_weights": True},
        {"method": "one-shot", "target_flops": 0.5, "num_epochs": 5},  # the default, written out
        {"method": "one-shot", "target_flops": 0.5, "distill": "never"},
        {"method": "mine", "target_flops": 0.5, "keep_weights": True, "num_epochs": 3},  # who knows
        {"target_flops": 0.5, "sparsity_loss": 1.0, "resume": True},  # begun when that was taken
    ],
)
def test_what_is_read_is_taken(options: dict[str, Any]) -> None:
    assert train(**options).model == "bert"


def test_freezing_leaves_nothing_to_recover_and_one_tracker_is_enough() -> None:
    with pytest.raises(InputError, match="--recovery-epochs trains the weights, but --freeze trains none"):
        train(freeze=True, recovery_epochs=1)
    with pytest.raises(InputError, match="--wandb and --report-to mlflow name two trackers"):
        train(wandb=True, report_to="mlflow")


@pytest.mark.parametrize("methods", ["untrained", "one-shot", "fisher, untrained"])
def test_compare_wants_a_method_that_trains_for_epochs(methods: str) -> None:
    asked = {"model": "bert", "task": "qqp", "methods": methods}
    with pytest.raises(InputError, match="--num-epochs has no effect: none of --methods trains gates"):
        CompareConfig.of({**asked, "num_epochs": 3})
    with pytest.raises(InputError, match="--recovery-lr has no effect"):
        CompareConfig.of({**asked, "recovery_lr": 1e-4})
    made = CompareConfig.of({**asked, "methods": f"{methods},hard-concrete", "num_epochs": 3}).training()
    assert (made.num_epochs, made.out_folder) == (3, Path("runs/bert-qqp-compare"))


@pytest.mark.parametrize("groups", [["all", "hidden"], ["hidden", "ffn_in"]])
def test_hidden_dimensions_go_without_groups_that_pick_among_them(groups: list[str]) -> None:
    with pytest.raises(InputError, match="--learn-masks hidden cannot be joined by ffn_in"):
        TrainMasksConfig.of({"model": "demo", "task": "demo", "learn_masks": groups})
