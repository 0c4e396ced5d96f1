"""`verify-automodel`: what is proven against what."""

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

from prunecli.config.shared import AllowPickle, Base, MaskConvention, Trust
from prunecli.errors import InputError
from prunecli.fields import Opt, VerbConfig


@dataclass(frozen=True, slots=True, kw_only=True)
class VerifyConfig(VerbConfig):
    """`prunecli verify-automodel CHECKPOINT`."""

    verb: ClassVar[str] = "verify-automodel"

    checkpoint: Annotated[Path, Opt("Folder to verify.", positional=True)]
    against: Annotated[
        Path | None,
        Opt("Reference to compare with: a run folder, a checkpoint, or the source of a conversion."),
    ] = None
    base: Base = None
    masks: Annotated[Path | None, Opt("Masks to gate the --against checkpoint with.")] = None
    mask_convention: MaskConvention = "auto"
    atol: Annotated[
        float | None,
        Opt(
            "Largest absolute difference that counts as equal. Default: 1e-5, more for real masks in half precision.",
            minimum=0,
        ),
    ] = None
    timeout: Annotated[int, Opt("Time limit of the isolated child process, in seconds.", minimum=1)] = 600
    allow_pickle: AllowPickle = False
    trust_remote_code: Trust = False

    def __post_init__(self) -> None:
        """Check the fields, and that masks have a reference to gate.

        Raises:
            InputError: It names the option.
        """
        VerbConfig.__post_init__(self)  # super() does not know the class that slots=True makes
        if self.masks is not None and self.against is None:
            raise InputError(
                "--masks says how to gate the reference, but there is none", "add --against CHECKPOINT"
            )
