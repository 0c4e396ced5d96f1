"""Options of `train-masks` that cannot stand together, refused before anything is loaded, torch included."""

from typing import TYPE_CHECKING, NamedTuple

from prunecli.config.shared import PRICED_GROUPS
from prunecli.errors import InputError

if TYPE_CHECKING:
    from prunecli.config.train_masks import TrainMasksConfig


TARGETS = ("target_flops", "target_params", "target_speedup", "sweep", "max_drop")  # at most one is given


ANNEALED = ("gumbel_temp_start", "gumbel_temp_end", "gumbel_temp_anneal", "quantization_loss")
GATES = (
    "num_epochs", "max_steps", "lr", "masks_lr", "mask_init", "sparsity_loss", *ANNEALED,
)  # fmt: skip


class MethodFacts(NamedTuple):
    """What options need to know of a method.

    Attributes:
        trains: Whether it trains gates; else it scores units.
        layers: Whether it can also choose layers as a whole.
        anneals: Whether its gates have a temperature and a price of indecision.
    """

    trains: bool
    layers: bool
    anneals: bool = False


# So that nobody waits for torch to be told of a slip. Of a method that is not listed the same is asked once it is
# imported; tests/unit/test_config.py holds this against the files.
KNOWN_METHODS = {
    "fisher": MethodFacts(trains=False, layers=False),
    "gumbel-sigmoid": MethodFacts(trains=True, layers=True, anneals=True),
    "hard-concrete": MethodFacts(trains=True, layers=True),
    "magnitude": MethodFacts(trains=False, layers=True),
    "one-shot": MethodFacts(trains=False, layers=True),
    "random": MethodFacts(trains=False, layers=True),
    "taylor": MethodFacts(trains=False, layers=False),
}


def check(config: "TrainMasksConfig") -> None:
    """Refuse options that contradict each other.

    Raises:
        InputError: It names the options.
    """
    _check_epochs(config)
    _check_target(config)
    _check_sweep(config)
    named = [group for group in ("ffn_in", "ffn_out") if group in config.groups]
    if "hidden" in config.groups and named:
        raise InputError(
            f"--learn-masks hidden cannot be joined by {' and '.join(named)}, which pick among hidden dimensions",
            "add head and ffn_int to it instead",
        )
    if config.method_name in KNOWN_METHODS:
        check_method(config, KNOWN_METHODS[config.method_name])
    if config.wandb and config.report_to not in ("none", "wandb"):
        raise InputError(f"--wandb and --report-to {config.report_to} name two trackers", "drop one of them")
    if config.distill == "never" and config.teacher is not None:
        raise InputError("--teacher and --distill never exclude each other", "drop one of them")


def check_read(config: "TrainMasksConfig") -> None:
    """Refuse options that nothing would read, as the others are.

    Raises:
        InputError: It names the option and why nothing reads it.
    """
    method, epochs, by_target = config.method_name, config.recovery, config.under_target
    distilled = config.distill == "always" or bool(config.teacher)
    distils = distilled or (config.distill == "auto" and (by_target or epochs > 0))
    rules: list[tuple[bool, tuple[str, ...], str, str]] = [
        (by_target, ("mask_init", "sparsity_loss"), "a target says how much goes", "leave it out"),
        (not distils, ("replace_tokens",), "nothing is distilled", "add --distill always, or a target"),
        (not epochs, ("recovery_lr",), "there is no recovery", "add --recovery-epochs N"),
        (not by_target, ("calibration_rows",), "there is no target", "add --target-flops 0.5, for example"),
        (not by_target, ("round_to",), "there is no target", "apply-masks --round-to rounds afterwards"),
        (config.groups == ("layer",), ("round_to",), "layers go as a whole", "leave it out"),
        (
            config.gumbel_temp_anneal == "constant",
            ("gumbel_temp_end",),
            "the temperature is constant",
            "leave it out, or anneal it linearly",
        ),
        (
            not config.target_speedup,
            ("speedup_at", "strict"),
            "no time is asked for",
            "add --target-speedup 2",
        ),
    ]
    if method in KNOWN_METHODS:  # of others it is known once they are imported
        facts = KNOWN_METHODS[method]
        rules = [*_rules_of(method, facts, epochs, distilled), *rules]
        if facts.trains and not config.can_refit_gates:
            reason = "no refit without a target, or with --freeze, --teacher, --distill never or hidden units"
            rules.append((True, ("keep_weights",), reason, "leave it out"))
    changed = {field.name: field.spelled for field in config.changed}
    for holds, names, reason, fix in rules:
        for name in names if holds else ():
            if name in changed:
                raise InputError(f"{changed[name]} has no effect: {reason}", fix)


def _rules_of(
    method: str, facts: MethodFacts, epochs: int, distilled: bool
) -> list[tuple[bool, tuple[str, ...], str, str]]:
    """Return what options of a method would have no effect: whether, which, why, and what to do."""
    taught = ("teacher", "replace_tokens", *(("distill",) if distilled else ()))
    in_steps = ("gradient_accumulation", "log_loss_every")
    return [
        (
            not facts.trains,
            ("freeze",),
            f"{method} trains no weights",
            "--keep-weights leaves out the refit, too",
        ),
        (
            not facts.trains,
            GATES,
            f"{method} trains no gates",
            "--recovery-epochs and --recovery-lr are for the model that it cuts",
        ),
        (not facts.anneals, ANNEALED, f"gates of {method} have no temperature", "gumbel-sigmoid has one"),
        (not facts.trains and not epochs, (*taught, *in_steps), "nothing trains", "add --recovery-epochs N"),
    ]


def check_method(config: "TrainMasksConfig", facts: MethodFacts) -> None:
    """Refuse a method that cannot do what the other options ask of it.

    Raises:
        InputError: It names the method and the option.
    """
    name = f"--method {config.method_name}"
    if config.max_drop is not None and facts.trains:
        raise InputError(
            f"--max-drop is for methods without training, which {config.method_name} is not",
            "run each target separately with --target-flops",
        )
    if facts.trains:
        return
    if not config.under_target:
        raise InputError(f"{name} needs a budget", "add --target-flops 0.5, for example")
    if "hidden" in config.groups:
        raise InputError(f"{name} scores no hidden dimensions", "take a method that trains")
    if "layer" in config.groups and not facts.layers:
        raise InputError(f"{name} scores no layers", "take one-shot, magnitude or a method that trains")


def _check_epochs(config: "TrainMasksConfig") -> None:
    if config.freeze and config.recovery_epochs:
        raise InputError("--recovery-epochs trains the weights, but --freeze trains none", "drop one of them")
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
    given = [f"--{name.replace('_', '-')}" for name in TARGETS if getattr(config, name) is not None]
    if len(given) > 1:
        raise InputError(f"{' and '.join(given)} exclude each other", "keep one of them")
    counted = (
        ("hidden",) if config.target_flops or config.target_params or config.sweep else ()
    )  # times are of one width alone
    unpriced = [group for group in config.groups if group not in (*PRICED_GROUPS, *counted)]
    if config.target_speedup and "hidden" in config.groups:
        raise InputError(
            "--target-speedup cannot price hidden dimensions, whose times are not measured",
            "ask for --target-flops or --target-params",
        )
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
    if config.resume:
        raise InputError("--resume cannot be combined with --sweep", "start over with --overwrite")
