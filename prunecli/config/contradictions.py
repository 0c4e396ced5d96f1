"""Options of `train-masks` that cannot stand together, refused before anything is loaded."""

from typing import TYPE_CHECKING

from prunecli.config.shared import PRICED_GROUPS
from prunecli.errors import InputError

if TYPE_CHECKING:
    from prunecli.config.train_masks import TrainMasksConfig


def check(config: "TrainMasksConfig") -> None:
    """Refuse options that contradict each other.

    Raises:
        InputError: It names the options.
    """
    _check_epochs(config)
    _check_target(config)
    _check_sweep(config)
    if config.distill == "never" and config.teacher is not None:
        raise InputError("--teacher and --distill never exclude each other", "drop one of them")


def _check_epochs(config: "TrainMasksConfig") -> None:
    if config.freeze and config.frozen_epochs:
        raise InputError(
            "--frozen-epochs trains the weights under fixed masks, but --freeze trains none",
            "drop one of them",
        )
    if config.frozen_epochs >= config.num_epochs:
        raise InputError(
            f"--frozen-epochs {config.frozen_epochs} leaves none of --num-epochs {config.num_epochs} to learn masks in",
            "raise --num-epochs",
        )
    if config.under_target and config.frozen_epochs:
        raise InputError(
            "--frozen-epochs and a target exclude each other",
            "--recovery-epochs trains the model already cut, which costs less",
        )


def _check_target(config: "TrainMasksConfig") -> None:
    targets = ("target_flops", "target_params", "target_speedup", "sweep", "max_drop")
    given = [f"--{name.replace('_', '-')}" for name in targets if getattr(config, name) is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other", "keep one of them")
    counted = (
        ("hidden",) if config.target_flops or config.target_params else ()
    )  # times are of one width alone
    unpriced = [group for group in config.groups if group not in (*PRICED_GROUPS, *counted)]
    if given and unpriced and config.groups != ("layer",):
        raise InputError(
            f"--learn-masks {unpriced[0]} cannot be learned under a target: what it costs depends on the others",
            f"learn {' and '.join((*PRICED_GROUPS, *counted))}, or layer alone, or drop the target",
        )
    _ = config.speedup_shape  # raises for what is no shape


def _check_sweep(config: "TrainMasksConfig") -> None:
    if config.sweep is None:
        return
    _ = config.shares  # raises for what is no share
    if config.recovery_epochs:
        raise InputError(
            "--sweep is for methods without training, and without --recovery-epochs",
            "train each target of its own with --target-flops",
        )
    if config.resume:
        raise InputError("--sweep cannot --resume: it takes a minute", "start over with --overwrite")
