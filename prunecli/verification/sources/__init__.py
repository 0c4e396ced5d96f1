"""Independent readings of what `convert` reads: stock classes, the libraries' own loaders, other code than the kinds.

One file a kind, of the kind's name; `outputs_of` finds it. None looks at what the kind made of the source, but for
tensors that are new.
"""

import importlib
from pathlib import Path

import torch
from torch import Tensor

from prunecli.verification.sources.base import Inputs, Reading, Written

__all__ = ["Written", "outputs_of"]


@torch.inference_mode()
def outputs_of(
    kind: str, source: Path, base: Path | None, written: Written, inputs: Inputs
) -> dict[str, Tensor]:
    """Compute what a source gives.

    Args:
        kind: What the source is: the name of a kind.
        source: The folder.
        base: The folder of `--base`.
        written: The converted folder, for what is new in it.
        inputs: Token ids, masks, segments.

    Returns:
        Outputs by name; those that the converted folder has not are of no interest.

    Raises:
        InputError: The source is not whole.
    """
    module = importlib.import_module(f"{__name__}.{kind.replace('-', '_')}")
    read: Reading = module.outputs
    return read(source, base, written, inputs)
