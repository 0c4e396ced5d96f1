"""The options are a promise: none comes, goes or changes unseen, and each reaches its config."""

import dataclasses
import json
import shlex
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from prunecli.cli.app import VERBS, app
from prunecli.config import ApplyMasksConfig, TrainMasksConfig
from prunecli.config.shared import WIDTHS
from prunecli.errors import InputError
from prunecli.fields import VerbConfig, config_fields
from prunecli.tasks import tasks
from tests.contract import freeze

TRAIN = ("train-masks", "demo", "demo")

# What users of train-masks rely on, name by name; the frozen surface has the rest.
PROMISED = {
    "--learn-masks": [], "--method": None, "--gumbel-temp-start": 5.0,  # None and []: a target changes them
    "--gumbel-temp-end": 0.1, "--gumbel-temp-anneal": "linear", "--sparsity-loss": 0.1,
    "--quantization-loss": 0.01, "--num-epochs": 5, "--masks-lr": None, "--lr": 5e-5, "--report-to": "none",
    "--log-loss-every": 5, "--frozen-epochs": 0, "--freeze": False, "--wandb": False, "--overwrite": False,
    "--resume": False,
}  # fmt: skip
NAMED = (
    "--mask-init", "--batch-size", "--max-length", "--max-steps", "--max-train-samples", "--name", "--out",
    "--seed", "--device", "--dtype", "--data-dir", "--text-columns", "--label-column", "--dry-run",
)  # fmt: skip

Parse = Callable[..., VerbConfig]


class _Parsed(Exception):
    """Carries a config out of the command line before anything runs."""

    def __init__(self, config: VerbConfig) -> None:
        super().__init__(config.verb)
        self.config = config


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Return a function that runs the real command line up to the point where it has a config."""
    make = VerbConfig.of.__func__  # type: ignore[attr-defined]

    def stop(cls: type[VerbConfig], values: Mapping[str, Any]) -> None:
        raise _Parsed(make(cls, values))

    monkeypatch.setattr(VerbConfig, "of", classmethod(stop))

    def run(*words: str, env: Mapping[str, str] | None = None) -> Result:
        return CliRunner().invoke(app, list(words), env=env)

    return run


@pytest.fixture
def parse(invoke: Callable[..., Result]) -> Parse:
    """Return a function from words to the config that they make."""

    def config(*words: str, env: Mapping[str, str] | None = None) -> VerbConfig:
        result = invoke(*words, env=env)
        assert isinstance(result.exception, _Parsed), f"{words}: {result.output or result.exception!r}"
        return result.exception.config

    return config


def test_the_surface_is_the_frozen_one() -> None:
    frozen = json.loads(freeze.SURFACE.read_text(encoding="utf-8"))
    assert freeze.surface() == frozen, "if you mean it: python -m tests.contract.freeze"


def test_the_reference_page_is_up_to_date() -> None:
    assert freeze.PAGE.read_text(encoding="utf-8") == freeze.page(), "python -m tests.contract.freeze"


def test_the_promised_names_and_defaults_are_there() -> None:
    options = freeze.surface()["train-masks"]
    assert {name: options[name]["default"] for name in PROMISED} == PROMISED
    assert set(NAMED) <= options.keys()
    assert (
        options["--learn-masks"]["value"]
        == "head or ffn_int or ffn_out or ffn_in or layer or hidden or all, repeatable"
    )
    assert options["--mask-init"]["value"] == "randn or open"
    assert options["--report-to"]["value"] == "none or tensorboard or wandb or trackio or mlflow"


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.config.verb)
def test_help_shows_every_option_and_every_example(verb: Any) -> None:
    narrow, wide = (
        CliRunner().invoke(app, [verb.config.verb, "--help"], env={"COLUMNS": columns}).stdout
        for columns in ("80", "200")
    )
    missing = [field.spelled for field in freeze.fields(verb) if f" {field.spelled} " not in narrow]
    assert not missing
    assert all(choice in narrow for field in freeze.fields(verb) for choice in field.choices)
    assert all(example in wide for example in verb.examples)


def test_help_names_every_known_task() -> None:
    said = {field.name: field.opt.help for field in config_fields(TrainMasksConfig)}["task"]
    assert set(tasks()) <= set(said.split(", ")) and len(tasks()) == said.count(", ")


EXAMPLES = [example for verb in VERBS for example in verb.examples]


@pytest.mark.parametrize("example", EXAMPLES)
def test_every_example_parses(example: str, parse: Parse) -> None:
    _, verb, *words = shlex.split(example.rpartition("| ")[2])
    assert parse(verb, *words).verb == verb


@pytest.mark.parametrize("verb", VERBS, ids=lambda verb: verb.config.verb)
def test_defaults_of_the_command_line_are_those_of_the_config(verb: Any, parse: Parse) -> None:
    required = [field.name for field in freeze.fields(verb) if freeze.default(verb, field) == freeze.REQUIRED]
    required += ["out"] if verb.config.verb == "convert" else []  # needed where nothing else is said
    assert parse(verb.config.verb, *required) == verb.config(
        **{field.name: field.kind(field.name) for field in freeze.fields(verb) if field.name in required}
    )


SAMPLES = {"--frozen-epochs": "2", "--speedup-at": "2x64", "--sweep": "0.5,0.2"}  # more than a type says
FAST, SHARE = ("--target-speedup", "2"), ("--target-flops", "0.5")
WITH = {
    "--speedup-at": FAST, "--strict": FAST, "--round-to": SHARE, "--calibration-rows": SHARE,
    "--keep-weights": (*SHARE, "--method", "one-shot"), "--replace-tokens": SHARE,
    "--recovery-lr": ("--recovery-epochs", "1"),
}  # fmt: skip


@pytest.mark.parametrize("name", [name for name in freeze.surface()["train-masks"] if name.startswith("--")])
def test_every_option_of_train_masks_reaches_its_field(name: str, parse: Parse) -> None:
    field = next(field for field in freeze.fields(VERBS[0]) if field.spelled == name)
    fraction = "0.25" if (field.opt.minimum or 0) <= 0.25 else "2.5"
    sample = field.choices[-1] if field.choices else {int: "9", float: fraction}.get(field.kind, "x")
    words = [name] if field.kind is bool else [name, SAMPLES.get(name, sample)]
    base = (*TRAIN, *WITH.get(name, ()))  # what it needs to have an effect
    before, after = parse(*base), parse(*base, *words)
    changed = [
        item.name
        for item in dataclasses.fields(after)
        if getattr(before, item.name) != getattr(after, item.name)
    ]
    assert changed == [field.name]


def test_lists_are_repeated_options(parse: Parse) -> None:
    config = parse(*TRAIN, "--learn-masks", "ffn_out", "--learn-masks", "head")
    assert isinstance(config, TrainMasksConfig)
    assert config.learn_masks == ("ffn_out", "head")
    assert config.groups == ("head", "ffn_out")


@pytest.mark.parametrize(
    "text",
    ["round-to: [16, head=32]", "round_to: {ffn_int: 16, ffn_out: 16, ffn_in: 16, hidden: 16, head: 32}"],
)
def test_widths_may_stand_in_a_file_as_list_or_table(text: str, parse: Parse, tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(text)
    in_file = parse("apply-masks", "run", "--config", str(file))
    on_the_line = parse("apply-masks", "run", "--round-to", "16", "--round-to", "head=32")
    assert isinstance(in_file, ApplyMasksConfig) and isinstance(on_the_line, ApplyMasksConfig)
    assert in_file.multiples == on_the_line.multiples == {**dict.fromkeys(WIDTHS, 16), "head": 32}


@pytest.mark.parametrize(
    ("words", "suggestion"),
    [
        (("apply-maks",), "apply-masks"),
        ((*TRAIN, "--num-epoch", "3"), "--num-epochs"),
    ],
)
def test_a_slip_is_answered_with_what_was_meant(words: tuple[str, ...], suggestion: str) -> None:
    result = CliRunner().invoke(app, list(words))
    assert result.exit_code == 2
    assert suggestion in result.stderr
    assert result.stdout == ""


@pytest.mark.parametrize("words", [("--num-epochs", "0"), ("--masks-lr", "-1"), ("--max-length", "7")])
def test_a_value_out_of_range_names_the_option(words: tuple[str, str], invoke: Callable[..., Result]) -> None:
    result = invoke(*TRAIN, *words)
    assert isinstance(result.exception, InputError)
    assert words[0] in result.exception.message


def rate(config: VerbConfig) -> float:
    """Return the learning rate of a train-masks config."""
    assert isinstance(config, TrainMasksConfig)
    return config.lr


def test_flag_over_environment_over_file_over_default(parse: Parse, tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("lr: 3e-4\nnum-epochs: 7\n")
    in_file, in_environment = ("--config", str(file)), {"PRUNECLI_TRAIN_MASKS_LR": "2e-4"}
    assert rate(parse(*TRAIN)) == 5e-5
    assert rate(parse(*TRAIN, *in_file)) == 3e-4
    assert rate(parse(*TRAIN, *in_file, env=in_environment)) == 2e-4
    assert rate(parse(*TRAIN, *in_file, "--lr", "1e-4", env=in_environment)) == 1e-4
    config = parse(*TRAIN, *in_file, env=in_environment)
    assert isinstance(config, TrainMasksConfig)
    assert config.num_epochs == 7, "what only the file says still counts"


def test_a_file_may_hold_everything(parse: Parse, tmp_path: Path) -> None:
    file = tmp_path / "options.yaml"
    file.write_text("model: demo\ntask: demo\nlearn_masks: [head, ffn_int]\nfreeze: true\nout: runs/x\n")
    assert parse("train-masks", "--config", str(file)) == TrainMasksConfig(
        model="demo", task="demo", learn_masks=("head", "ffn_int"), freeze=True, out=Path("runs/x")
    )


@pytest.mark.parametrize(
    ("text", "message", "fix"),
    [
        ("num_epoch: 3\n", "no option 'num_epoch'", "num-epochs"),
        ("- lr\n", "is no YAML or JSON mapping of options", "as `num-epochs: 3`"),
        ("lr: [\n", "cannot be read", "as `num-epochs: 3`"),
        ("train-masks:\n  lr: 1\n", "no option 'train-masks'", "options stand at the top"),
        ("target-flops: yes\n", "target-flops is True", "name a value"),
    ],
)
def test_a_broken_file_says_what_is_wrong(
    text: str, message: str, fix: str | None, invoke: Callable[..., Result], tmp_path: Path
) -> None:
    file = tmp_path / "options.yaml"
    file.write_text(text)
    error = invoke(*TRAIN, "--config", str(file)).exception
    assert isinstance(error, InputError)
    assert message in error.message
    assert str(file) in error.message
    assert fix is None or (error.fix is not None and fix in error.fix)
