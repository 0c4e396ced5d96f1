"""Temperature, freezing, batch order and learning rates follow from the step alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from datasets import Dataset
from transformers import TrainerControl, TrainerState, TrainingArguments

from prunecli import methods
from prunecli.training.callbacks import GateSchedule, ReportProgress, annealed
from prunecli.training.gates import NAME, Gates, attach
from prunecli.training.trainer import LengthSampler, MaskTrainer
from tests import tiny


@pytest.mark.parametrize("kind", ["linear", "exponential"])
def test_the_temperature_goes_from_start_to_end_and_never_rises(kind: str) -> None:
    values = [annealed(kind, 5.0, 0.1, step / 10) for step in range(11)]
    assert values[0] == pytest.approx(5.0)
    assert values[-1] == pytest.approx(0.1)
    assert values == sorted(values, reverse=True)


def test_linear_falls_by_equal_steps_and_exponential_by_equal_factors() -> None:
    linear = [annealed("linear", 5.0, 0.1, share) for share in (0, 0.5, 1)]
    exponential = [annealed("exponential", 5.0, 0.1, share) for share in (0, 0.5, 1)]
    assert linear[1] == pytest.approx((5.0 + 0.1) / 2)
    assert exponential[1] == pytest.approx((5.0 * 0.1) ** 0.5)


def test_constant_stays_at_the_start() -> None:
    assert {annealed("constant", 5.0, 0.1, share) for share in (0, 0.3, 1)} == {5.0}


def gates_at(step: int, frozen_epochs: int, epochs: int = 4, steps: int = 40) -> Gates:
    """Return gates as the schedule leaves them at the beginning of a step."""
    gates = Gates(methods.get("gumbel-sigmoid"), tiny.table(tiny.tiny_model("bert")), ("head",), "open", 0)
    state = TrainerState(global_step=step, max_steps=steps, num_train_epochs=epochs)
    schedule = GateSchedule(gates, "linear", 5.0, 0.1, frozen_epochs)
    schedule.on_step_begin(
        TrainingArguments(report_to="none", num_train_epochs=epochs), state, TrainerControl()
    )
    return gates


@pytest.mark.parametrize(("step", "frozen"), [(0, False), (29, False), (30, True), (39, True)])
def test_the_last_epochs_are_frozen(step: int, frozen: bool) -> None:
    assert gates_at(step, frozen_epochs=1).frozen == frozen


@pytest.mark.parametrize("frozen_epochs", [0, 1])
def test_the_temperature_reaches_its_end_when_learning_ends(frozen_epochs: int) -> None:
    learning = 40 - 10 * frozen_epochs
    assert gates_at(learning // 2, frozen_epochs).temperature == pytest.approx(2.55)
    assert gates_at(learning, frozen_epochs).temperature == pytest.approx(0.1)


def test_without_frozen_epochs_no_step_is_frozen() -> None:
    assert not gates_at(39, frozen_epochs=0).frozen


@pytest.mark.parametrize("frozen_epochs", [4, 9])
def test_when_every_epoch_is_frozen_the_first_step_is(frozen_epochs: int) -> None:
    assert gates_at(0, frozen_epochs).frozen


def test_progress_tells_the_step_with_the_last_loss() -> None:
    said: list[tuple[str, int, int]] = []
    progress = ReportProgress(lambda *args: said.append(args), "accuracy")
    arguments, control = TrainingArguments(report_to="none"), TrainerControl()
    state = TrainerState(global_step=3, max_steps=9)
    progress.on_log(arguments, state, control, logs={"loss": 0.5, "lr": 1.0})
    progress.on_step_end(arguments, state, control)
    assert said == [("training, loss 0.5000", 3, 9)]


LENGTHS = [1 + (7 * number) % 23 for number in range(200)]


def test_the_batch_order_depends_on_seed_and_epoch_only() -> None:
    def order(seed: int, epoch: int) -> list[int]:
        torch.rand(epoch + 1)  # whatever was drawn before
        sampler = LengthSampler(LENGTHS, 8, seed)
        sampler.set_epoch(epoch)
        return list(sampler)

    assert order(0, 1) == order(0, 1)
    assert order(0, 1) != order(0, 2)
    assert order(0, 1) != order(1, 1)


def padded(order: list[int]) -> int:
    """Return the tokens of all batches of 8 once each is padded to its longest row."""
    batches = [[LENGTHS[row] for row in order[start : start + 8]] for start in range(0, len(order), 8)]
    return sum(len(batch) * max(batch) for batch in batches)


def test_every_row_comes_once() -> None:
    assert sorted(LengthSampler(LENGTHS, 8, 0)) == list(range(len(LENGTHS)))


def test_batches_of_like_length_waste_little() -> None:
    grouped, mixed = padded(list(LengthSampler(LENGTHS, 8, 0))), padded(list(range(len(LENGTHS))))
    assert grouped - sum(LENGTHS) < 0.3 * (mixed - sum(LENGTHS))


@pytest.fixture
def trainer(tmp_path: Path) -> MaskTrainer:
    """Return a trainer of a gated tiny BERT; no step is taken."""
    model = tiny.tiny_model("bert")
    gates = Gates(methods.get("gumbel-sigmoid"), tiny.table(model), ("head", "ffn_int"), "randn", 0)
    attach(model, tiny.table(model), gates)
    rows = Dataset.from_dict({"input_ids": [[5, 6, 7]] * 8, "labels": [0] * 8, "length": [3] * 8})
    arguments = TrainingArguments(
        str(tmp_path), learning_rate=1e-3, weight_decay=0.01, report_to="none", use_cpu=True
    )
    return MaskTrainer(
        model,
        arguments,
        gates=gates,
        masks_lr=0.5,
        weights={"sparsity": 2.0, "quantization": 3.0},
        train_dataset=rows,
    )


def test_gates_have_a_learning_rate_of_their_own_and_no_decay(trainer: MaskTrainer) -> None:
    *weights, gates = trainer.create_optimizer().param_groups
    assert trainer.gates is not None
    assert {id(parameter) for parameter in gates["params"]} == {id(p) for p in trainer.gates.parameters()}
    assert (gates["lr"], gates["weight_decay"]) == (0.5, 0.0)
    assert {group["lr"] for group in weights} == {1e-3}


def test_every_parameter_is_trained_exactly_once(trainer: MaskTrainer) -> None:
    groups = trainer.create_optimizer().param_groups
    trained = [id(parameter) for group in groups for parameter in group["params"]]
    assert sorted(trained) == sorted(id(parameter) for parameter in trainer.model.parameters())


def test_weights_warm_up_and_fall_while_gates_keep_their_rate(trainer: MaskTrainer) -> None:
    optimizer = trainer.create_optimizer()
    scheduler = trainer.create_scheduler(100, optimizer)
    rates = []
    for _ in range(101):
        rates.append([group["lr"] for group in optimizer.param_groups])
        optimizer.step()
        scheduler.step()
    weights, gates = [rate[0] for rate in rates], [rate[-1] for rate in rates]
    assert set(gates) == {0.5}
    assert weights[0] < weights[5] == pytest.approx(1e-3)
    assert weights[5:] == sorted(weights[5:], reverse=True)
    assert weights[-1] == 0


def losses(trainer: MaskTrainer) -> tuple[float, float]:
    """Return the trainer's loss and the task's own, for the same noise."""
    inputs = {**tiny.tiny_inputs(trainer.model), "labels": torch.tensor([0, 1])}
    trainer.model.train(False)
    if trainer.gates is not None:
        trainer.gates.train()
    found: list[Any] = []
    for training in (True, False):
        trainer.model.training = training  # the flag alone: dropout stays off
        torch.manual_seed(0)
        found.append(trainer.compute_loss(trainer.model, dict(inputs)).item())
    return found[0], found[1]


def test_the_loss_adds_the_weighted_penalties_while_training(trainer: MaskTrainer) -> None:
    assert trainer.gates is not None
    penalties = trainer.gates.penalties()
    total, task = losses(trainer)
    expected = 2 * penalties["sparsity"].item() + 3 * penalties["quantization"].item()
    assert total - task == pytest.approx(expected, rel=1e-4)


def test_frozen_gates_cost_nothing(trainer: MaskTrainer) -> None:
    assert trainer.gates is not None
    trainer.gates.frozen = True
    total, task = losses(trainer)
    assert total == task


def test_the_log_shows_density_and_temperature(trainer: MaskTrainer) -> None:
    assert trainer.gates is not None
    trainer.log({"loss": 1.0})
    entry = trainer.state.log_history[-1]
    decided = torch.cat([mask.flatten() for mask in trainer.gates.decisions().values()]).float()
    assert entry["density"] == pytest.approx(decided.mean().item())
    assert entry["temperature"] == trainer.gates.temperature
    assert entry.keys() >= {"sparsity", "quantization"}


def test_the_gates_travel_in_the_models_state(trainer: MaskTrainer) -> None:
    assert f"{NAME}.logits.head" in trainer.model.state_dict()


def test_fewer_steps_than_an_epoch_do_not_freeze_from_the_start() -> None:
    gates = Gates(methods.get("gumbel-sigmoid"), tiny.table(tiny.tiny_model("bert")), ("head",), "open", 0)
    schedule = GateSchedule(gates, "linear", 5.0, 0.1, 1)
    asked = TrainingArguments(report_to="none", num_train_epochs=5, max_steps=100)
    state = TrainerState(
        global_step=0, max_steps=100, num_train_epochs=1
    )  # what the Trainer makes of max_steps
    schedule.on_step_begin(asked, state, TrainerControl())
    assert not gates.frozen
    state.global_step = 80
    schedule.on_step_begin(asked, state, TrainerControl())
    assert gates.frozen
