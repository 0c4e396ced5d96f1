"""One frozen dataclass a verb: the defaults, the options, the config-file keys, the run record's fields.

A default, a range or a help text stands here and nowhere else.
"""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.errors import InputError
from prunecli.fields import BUDGET, DANGEROUS, MASKS, OUTPUT, TRAINING, VOCABULARY, Opt, VerbConfig

Overwrite = Annotated[
    bool, Opt("Replace the output folder if it exists; it is swapped in when all is done.", OUTPUT)
]
DryRun = Annotated[bool, Opt("Print the plan and write nothing.", OUTPUT)]
Trust = Annotated[
    bool,
    Opt("Run the Python that the checkpoint carries. Files that prunecli wrote need no flag.", DANGEROUS),
]
ShardSize = Annotated[str, Opt("Largest file of weights, as 5GB; what is over goes on in the next.", OUTPUT)]
Device = Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.", TRAINING)]
BatchSize = Annotated[int, Opt("Examples a batch.", TRAINING, minimum=1)]
Seed = Annotated[int, Opt("Seed of everything random.", TRAINING, minimum=0)]

MaskConvention = Annotated[
    Literal["auto", "inputs", "outputs"],
    Opt(
        "What the two FFN masks of .pt files scale: inputs or outputs of the linears that name them. "
        "auto goes by their shapes.",
        MASKS,
    ),
]

Group = Literal["head", "ffn_int", "ffn_out", "ffn_in", "all"]
GROUPS = ("head", "ffn_int", "ffn_out", "ffn_in")


def read_shares(text: str, option: str) -> list[float]:
    """Read shares of a dense price as `0.5,0.3`, and return them falling.

    Raises:
        InputError: One of them is no number between 0.01 and 1.
    """
    shares = []
    for word in text.split(","):
        try:
            share = float(word)
        except ValueError:
            share = math.nan
        if not 0.01 <= share <= 1:
            raise InputError(
                f"{option} {text!r}: {word!r} is no share between 0.01 and 1", f"write {option} 0.5,0.3"
            )
        shares.append(share)
    return sorted(set(shares), reverse=True)


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainMasksConfig(VerbConfig):
    """`prunecli train-masks MODEL TASK`."""

    verb: ClassVar[str] = "train-masks"

    model: Annotated[str, Opt("Checkpoint folder, hub id, or demo.", positional=True)]
    task: Annotated[
        str, Opt("A GLUE or SQuAD task, demo, or a data file or folder of your own.", positional=True)
    ]
    data_dir: Annotated[
        Path | None, Opt("Folder with the task's train and validation files, instead of the hub.")
    ] = None
    text_columns: Annotated[
        str | None, Opt("Columns with the text (or words, or choices), as A or A,B, for data of your own.")
    ] = None
    label_column: Annotated[str | None, Opt("Column with the label, for data of your own.")] = None
    task_kind: Annotated[
        str | None, Opt("What data of your own are for, where the columns do not say it: masked-lm ...")
    ] = None
    max_length: Annotated[
        int | None,
        Opt("Tokens an example is cut to. Default: 128, for SQuAD 384, or what the model takes.", minimum=8),
    ] = None
    max_train_samples: Annotated[int | None, Opt("Train on the first N examples only.", minimum=1)] = None

    learn_masks: Annotated[
        tuple[Group, ...],
        Opt(
            "What may go; repeat it for several groups. Default: ffn_int; head and ffn_int under a target.",
            MASKS,
        ),
    ] = ()
    method: Annotated[
        str | None,
        Opt(
            "How units are chosen. gumbel-sigmoid and hard-concrete train gates; one-shot, fisher, taylor, magnitude "
            "and random need a target and no training. Default: gumbel-sigmoid; hard-concrete under a target.",
            MASKS,
        ),
    ] = None
    target_flops: Annotated[
        float | None,
        Opt(
            "Share of the encoder's FLOPs to keep, at the data's mean length.",
            BUDGET,
            minimum=0.01,
            maximum=1,
        ),
    ] = None
    target_params: Annotated[
        float | None,
        Opt("Share of the parameters of the encoder's layers to keep.", BUDGET, minimum=0.01, maximum=1),
    ] = None
    target_speedup: Annotated[
        float | None,
        Opt(
            "How many times as fast the model shall be, by times measured on this device.", BUDGET, minimum=1
        ),
    ] = None
    speedup_at: Annotated[
        str, Opt("Batch size and tokens that --target-speedup is about, as 1x128; one thread.", BUDGET)
    ] = "1x128"
    sweep: Annotated[
        str | None,
        Opt(
            "Shares of the encoder's FLOPs to keep, as A,B: a run folder for each, from one scoring.", BUDGET
        ),
    ] = None
    round_to: Annotated[
        int, Opt("Keep each layer's width a multiple of N, or nothing of it.", BUDGET, minimum=1)
    ] = 1
    calibration_rows: Annotated[
        int | None,
        Opt(
            "Training rows that units are scored with. Default: 512; 2048 for targets up to 0.3.",
            BUDGET,
            minimum=8,
        ),
    ] = None
    keep_weights: Annotated[
        bool, Opt("Do not refit output projections after units were chosen by scores.", BUDGET)
    ] = False
    recovery_epochs: Annotated[
        int, Opt("Epochs that train the model already cut, at the end.", BUDGET, minimum=0)
    ] = 0
    recovery_lr: Annotated[float, Opt("Learning rate of these epochs.", BUDGET, minimum=0)] = 5e-5
    distill: Annotated[
        Literal["auto", "always", "never"],
        Opt(
            "Learn from the dense model, too. auto: under a target or in recovery, if it has the task's head.",
            BUDGET,
        ),
    ] = "auto"
    teacher: Annotated[
        str | None,
        Opt("Checkpoint to learn from instead of the dense model; same labels and tokenizer.", BUDGET),
    ] = None
    mask_init: Annotated[
        Literal["randn", "open"], Opt("Logits at the start: random, or all gates open.", MASKS)
    ] = "randn"
    gumbel_temp_start: Annotated[
        float, Opt("Temperature at the start (soft gates).", MASKS, minimum=1e-3)
    ] = 5.0
    gumbel_temp_end: Annotated[
        float, Opt("Temperature at the end (nearly binary gates).", MASKS, minimum=1e-3)
    ] = 0.1
    gumbel_temp_anneal: Annotated[
        Literal["linear", "exponential", "constant"],
        Opt("How the temperature goes from start to end.", MASKS),
    ] = "linear"
    sparsity_loss: Annotated[
        float, Opt("Weight of the mean gate: higher removes more.", MASKS, minimum=0)
    ] = 0.1
    quantization_loss: Annotated[
        float, Opt("Weight of the gates' entropy: higher decides sooner.", MASKS, minimum=0)
    ] = 0.01
    frozen_epochs: Annotated[
        int, Opt("Last epochs that train the weights under fixed masks.", MASKS, minimum=0)
    ] = 0

    num_epochs: Annotated[int, Opt("Passes over the training data.", TRAINING, minimum=1)] = 5
    max_steps: Annotated[int | None, Opt("Stop after N steps, whatever the epochs.", TRAINING, minimum=1)] = (
        None
    )
    batch_size: BatchSize = 32
    gradient_accumulation: Annotated[int, Opt("Batches a step.", TRAINING, minimum=1)] = 1
    lr: Annotated[float, Opt("Learning rate of the weights.", TRAINING, minimum=0)] = 5e-5
    masks_lr: Annotated[
        float | None,
        Opt("Learning rate of the gates. Default: 0.01; 0.05 under a target.", TRAINING, minimum=0),
    ] = None
    freeze: Annotated[bool, Opt("Train the gates only; the weights stay exactly as they were.", TRAINING)] = (
        False
    )
    seed: Seed = 0
    device: Device = "auto"
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"], Opt("Mixed precision of the training step.", TRAINING)
    ] = "float32"

    out: Annotated[Path | None, Opt("Run folder. Default: runs/MODEL-TASK.", OUTPUT)] = None
    overwrite: Overwrite = False
    resume: Annotated[bool, Opt("Go on from the last checkpoint of an interrupted run.", OUTPUT)] = False
    dry_run: DryRun = False
    report_to: Annotated[
        Literal["none", "tensorboard", "wandb", "trackio", "mlflow"], Opt("Experiment tracker.", OUTPUT)
    ] = "none"
    wandb: Annotated[bool, Opt("The same as --report-to wandb.", OUTPUT)] = False
    name: Annotated[str | None, Opt("Name of the run in the tracker.", OUTPUT)] = None
    log_loss_every: Annotated[int, Opt("Steps between logged losses.", OUTPUT, minimum=1)] = 5

    @property
    def groups(self) -> tuple[str, ...]:
        """Return the groups to learn, `all` written out, in a fixed order."""
        every = ("head", "ffn_int", "ffn_out", "ffn_in")
        usual = ("head", "ffn_int") if self.under_target else ("ffn_int",)
        asked = self.learn_masks or usual
        return every if "all" in asked else tuple(name for name in every if name in asked)

    @property
    def under_target(self) -> bool:
        """Say whether a budget was asked for."""
        return any((self.target_flops, self.target_params, self.target_speedup, self.sweep))

    @property
    def method_name(self) -> str:
        """Return the method, or the usual one."""
        usual = "one-shot" if self.sweep else "hard-concrete" if self.under_target else "gumbel-sigmoid"
        return self.method or usual

    @property
    def shares(self) -> list[float]:
        """Return the targets of a sweep, falling."""
        return read_shares(self.sweep or "", "--sweep")

    @property
    def gates_lr(self) -> float:
        """Return the learning rate of the gates, or the usual one."""
        return self.masks_lr if self.masks_lr is not None else 0.05 if self.under_target else 0.01

    @property
    def scored_rows(self) -> int:
        """Return how many rows units are scored with: small models need to be fitted with care."""
        asked = (self.target_flops, self.target_params, self.target_speedup and 1 / self.target_speedup)
        target = min(1.0, *(share for share in asked if share), *(self.shares if self.sweep else ()))
        return self.calibration_rows or (2048 if target <= 0.3 else 512)

    @property
    def out_folder(self) -> Path:
        """Return the run folder."""
        return self.out or Path("runs") / f"{Path(self.model).name}-{Path(self.task).stem}"


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareConfig(VerbConfig):
    """`prunecli compare MODEL TASK`."""

    verb: ClassVar[str] = "compare"

    model: Annotated[str, Opt("Fine-tuned checkpoint folder, hub id, or demo.", positional=True)]
    task: Annotated[
        str, Opt("A GLUE or SQuAD task, demo, or a data file or folder of your own.", positional=True)
    ]
    data_dir: Annotated[
        Path | None, Opt("Folder with the task's train and validation files, instead of the hub.")
    ] = None
    text_columns: Annotated[str | None, Opt("Columns with the text, for data of your own.")] = None
    label_column: Annotated[str | None, Opt("Column with the label, for data of your own.")] = None
    task_kind: Annotated[str | None, Opt("What data of your own are for, as for train-masks.")] = None
    max_length: Annotated[int | None, Opt("Tokens an example is cut to, as for train-masks.", minimum=8)] = (
        None
    )
    methods: Annotated[str, Opt("Methods without training, as A,B; all is every one there is.", BUDGET)] = (
        "all"
    )
    targets: Annotated[str, Opt("Shares of the encoder's FLOPs to keep, as A,B.", BUDGET)] = (
        "0.9,0.7,0.5,0.4,0.3,0.2,0.1"
    )
    seeds: Annotated[
        int, Opt("Draws of calibration rows; results are means over them.", BUDGET, minimum=1)
    ] = 1
    calibration_rows: Annotated[
        int | None, Opt("Training rows that units are scored with. Default: 2048.", BUDGET, minimum=8)
    ] = None
    keep_weights: Annotated[bool, Opt("Do not refit output projections.", BUDGET)] = False
    round_to: Annotated[int, Opt("Keep each layer's width a multiple of N.", BUDGET, minimum=1)] = 1
    batch_size: BatchSize = 32
    device: Device = "auto"
    out: Annotated[Path | None, Opt("Folder for the page. Default: runs/MODEL-TASK-compare.", OUTPUT)] = None
    overwrite: Overwrite = False

    @property
    def out_folder(self) -> Path:
        """Return the folder of the page."""
        return self.out or Path("runs") / f"{Path(self.model).name}-{Path(self.task).stem}-compare"

    def training(self) -> TrainMasksConfig:
        """Return the same model, data and budget in the words of train-masks."""
        shared = ("model", "task", "data_dir", "text_columns", "label_column", "task_kind", "max_length")
        more = ("keep_weights", "round_to", "batch_size", "device")
        words = {name: getattr(self, name) for name in (*shared, *more)}
        rows = self.calibration_rows or 2048
        asked = {"sweep": self.targets, "calibration_rows": rows, "out": self.out_folder}
        return TrainMasksConfig.of({**words, **asked, "overwrite": self.overwrite})


@dataclass(frozen=True, slots=True, kw_only=True)
class ApplyMasksConfig(VerbConfig):
    """`prunecli apply-masks RUN_OR_CHECKPOINT`."""

    verb: ClassVar[str] = "apply-masks"

    source: Annotated[
        Path, Opt("A run folder of train-masks, or a checkpoint folder with --masks.", positional=True)
    ]
    masks: Annotated[Path | None, Opt("masks.safetensors, or a folder of head_mask.pt and its siblings.")] = (
        None
    )
    mask_convention: MaskConvention = "auto"
    native: Annotated[
        Literal["auto", "always", "never"],
        Opt("Write a stock config, which loads without remote code.", MASKS),
    ] = "auto"
    round_to: Annotated[
        tuple[str, ...],
        Opt(
            "Keep each layer's width a multiple of N; GROUP=N says it for one group.",
            MASKS,
            metavar="[GROUP=]N",
        ),
    ] = ()
    prune_vocab: Annotated[
        tuple[Path, ...],
        Opt(
            "Remove the tokens that these texts do not use (JSONL, CSV, TSV, Parquet or text; repeat it for more).",
            VOCABULARY,
            metavar="CORPUS",
        ),
    ] = ()
    fields: Annotated[
        str | None,
        Opt("Fields of CORPUS with the text, as A or A,B, where they have no known name.", VOCABULARY),
    ] = None
    out: Annotated[Path | None, Opt("Folder to write.", OUTPUT, short="-o")] = None
    max_shard_size: ShardSize = "50GB"
    overwrite: Overwrite = False
    dry_run: DryRun = False

    def __post_init__(self) -> None:
        """Check the fields, and that `round_to` can be read and `fields` has a use.

        Raises:
            InputError: It names the option, the value and what is allowed.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        _multiples(self.round_to)
        if self.fields is not None and not self.prune_vocab:
            raise InputError(
                "--fields says where texts stand, but there are none", "add --prune-vocab CORPUS"
            )

    @property
    def multiples(self) -> dict[str, int]:
        """Return what `round_to` asks for, by group; a group of its own wins over the N for all."""
        return _multiples(self.round_to)


def _multiples(words: Iterable[str]) -> dict[str, int]:
    """Read `N` and `GROUP=N` words.

    Raises:
        InputError: A word is neither, or something is said twice.
    """
    asked: dict[str, int] = {}
    for word in words:
        group, equals, number = word.rpartition("=")
        if (equals and group not in GROUPS) or not number.isdecimal() or int(number) < 1:
            raise InputError(
                f"--round-to {word!r} is neither N nor GROUP=N with a whole number N of 1 or more",
                f"groups are {', '.join(GROUPS)}",
            )
        if group in asked:
            raise InputError(f"--round-to is given twice for {group or 'all groups'}", "keep one of them")
        asked[group] = int(number)
    every = asked.pop("", None)
    return asked if every is None else {**dict.fromkeys(GROUPS, every), **asked}


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyConfig(VerbConfig):
    """`prunecli verify-automodel CHECKPOINT`."""

    verb: ClassVar[str] = "verify-automodel"

    checkpoint: Annotated[Path, Opt("The folder to verify.", positional=True)]
    against: Annotated[Path | None, Opt("What it shall equal: a run folder or a checkpoint.")] = None
    masks: Annotated[Path | None, Opt("Masks to gate the --against checkpoint with.")] = None
    mask_convention: MaskConvention = "auto"
    atol: Annotated[
        float | None,
        Opt(
            "Largest difference that counts as equal. Default: 1e-5, more for real masks in half precision.",
            minimum=0,
        ),
    ] = None
    timeout: Annotated[int, Opt("Seconds that the isolated child may take.", MASKS, minimum=1)] = 600
    trust_remote_code: Trust = False


@dataclass(frozen=True, slots=True, kw_only=True)
class PredictConfig(VerbConfig):
    """`prunecli predict CHECKPOINT [FILE]`."""

    verb: ClassVar[str] = "predict"

    checkpoint: Annotated[Path, Opt("A checkpoint or pruned folder.", positional=True)]
    source: Annotated[
        str,
        Opt(
            "JSONL, CSV, TSV, Parquet or text file; - reads standard input. Fields called label and score come out as "
            "input_label and input_score.",
            positional=True,
        ),
    ] = "-"
    fields: Annotated[
        str | None, Opt("Fields with the text, as A or A,B, where they have no known name.")
    ] = None
    batch_size: Annotated[int, Opt("Records a batch.", minimum=1)] = 32
    max_length: Annotated[
        int | None, Opt("Tokens a record is cut to. Default: what the model takes.", minimum=8)
    ] = None
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.")] = "auto"
    out: Annotated[
        Path | None, Opt("JSONL file to write instead of standard output.", OUTPUT, short="-o")
    ] = None
    overwrite: Annotated[bool, Opt("Replace the output file if it exists.", OUTPUT)] = False
    trust_remote_code: Trust = False


@dataclass(frozen=True, slots=True, kw_only=True)
class EvaluateConfig(VerbConfig):
    """`prunecli evaluate CHECKPOINT TASK`."""

    verb: ClassVar[str] = "evaluate"

    checkpoint: Annotated[
        str, Opt("Checkpoint, pruned folder, run folder (with its masks), hub id, or demo.", positional=True)
    ]
    task: Annotated[
        str, Opt("A GLUE or SQuAD task, demo, or a data file or folder of your own.", positional=True)
    ]
    data_dir: Annotated[Path | None, Opt("Folder with the task's files, instead of the hub.")] = None
    split: Annotated[
        str | None,
        Opt(
            "Rows to score on: a split's name, or all of a single file. Default: the task's validation split; of a "
            "single file, the rows that train-masks holds out."
        ),
    ] = None
    seed: Annotated[int, Opt("Seed that a single file's rows were held out by.", minimum=0)] = 0
    text_columns: Annotated[
        str | None, Opt("Columns with the text (or words, or choices), as A or A,B, for data of your own.")
    ] = None
    label_column: Annotated[str | None, Opt("Column with the label, for data of your own.")] = None
    task_kind: Annotated[
        str | None, Opt("What data of your own are for, where the columns do not say it: masked-lm ...")
    ] = None
    max_length: Annotated[
        int | None,
        Opt(
            "Tokens a row is cut to. Default: what it was trained with here, else 128, for SQuAD 384.",
            minimum=8,
        ),
    ] = None
    batch_size: Annotated[int, Opt("Rows a batch.", minimum=1)] = 64
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.")] = "auto"
    trust_remote_code: Trust = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkConfig(VerbConfig):
    """`prunecli benchmark CHECKPOINT [OTHER]`."""

    verb: ClassVar[str] = "benchmark"

    checkpoint: Annotated[
        str, Opt("A checkpoint, pruned folder, or run folder (its dense model).", positional=True)
    ]
    other: Annotated[
        str | None, Opt("A second one, whose speed-up over the first is measured.", positional=True)
    ] = None
    batch_sizes: Annotated[tuple[int, ...], Opt("Sequences a batch; repeat it for several.", minimum=1)] = (
        1,
        8,
    )
    lengths: Annotated[
        tuple[int, ...],
        Opt(
            "Tokens a sequence; repeat it for several. Default: 128, or the most that the model takes.",
            minimum=2,
        ),
    ] = ()
    rounds: Annotated[int, Opt("Measurements of each; medians count.", minimum=3)] = 20
    threads: Annotated[int, Opt("Threads that torch may use.", minimum=1)] = 1
    device: Annotated[Literal["auto", "cpu", "cuda", "mps"], Opt("Where to compute.")] = "cpu"
    table: Annotated[
        bool, Opt("Measure each width of attention and feed-forward sublayers, for budgets in milliseconds.")
    ] = False
    out: Annotated[
        Path | None, Opt("JSON file to write the table to, besides the cache.", OUTPUT, short="-o")
    ] = None
    overwrite: Annotated[bool, Opt("Replace the output file if it exists.", OUTPUT)] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertConfig(VerbConfig):
    """`prunecli convert SOURCE OUT`."""

    verb: ClassVar[str] = "convert"

    source: Annotated[Path, Opt("The folder to read: its kind is recognised.", positional=True)]
    out: Annotated[Path | None, Opt("The folder to write; --dry-run needs none.", positional=True)] = None
    to: Annotated[
        str | None,
        Opt(
            "Kind to write: pruning-encoder, ranking-model, stock. Default: what the source becomes.",
            metavar="KIND",
        ),
    ] = None
    from_: Annotated[str | None, Opt("Insist on the kind of the source.", metavar="KIND")] = None
    base: Annotated[
        Path | None, Opt("Folder with the config.json of the base model, where the source only names one.")
    ] = None
    seed: Annotated[int, Opt("Seed of a new head.", minimum=0)] = 0
    dtype: Annotated[
        Literal["keep", "float32", "float16", "bfloat16"], Opt("Type to round the weights to.", OUTPUT)
    ] = "keep"
    max_shard_size: ShardSize = "50GB"
    overwrite: Overwrite = False
    dry_run: DryRun = False
    atol: Annotated[
        float | None, Opt("Largest difference that counts as equal. Default: 1e-5.", OUTPUT, minimum=0)
    ] = None
    timeout: Annotated[int, Opt("Seconds that the isolated child may take.", OUTPUT, minimum=1)] = 600
    allow_pickle: Annotated[
        bool, Opt("Read tensors, and nothing but tensors, out of pytorch_model.bin files.", DANGEROUS)
    ] = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SelfTestConfig(VerbConfig):
    """`prunecli self-test`."""

    verb: ClassVar[str] = "self-test"

    keep: Annotated[Path | None, Opt("Keep the folders that the steps write here.", OUTPUT)] = None
    report: Annotated[bool, Opt("Print versions of everything, to paste into a bug report.", OUTPUT)] = False
