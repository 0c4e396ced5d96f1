"""`apply-masks`: what is cut, and how it is written."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

from prunecli.config.shared import WIDTHS, DryRun, MaskConvention, Overwrite, ShardSize
from prunecli.errors import InputError
from prunecli.fields import MASKS, OUTPUT, VOCABULARY, Opt, VerbConfig


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
        if (equals and group not in WIDTHS) or not number.isdecimal() or int(number) < 1:
            raise InputError(
                f"--round-to {word!r} is neither N nor GROUP=N with a whole number N of 1 or more",
                f"groups are {', '.join(WIDTHS)}",
            )
        if group in asked:
            raise InputError(f"--round-to is given twice for {group or 'all groups'}", "keep one of them")
        asked[group] = int(number)
    every = asked.pop("", None)
    return asked if every is None else {**dict.fromkeys(WIDTHS, every), **asked}
