"""Prune fine-tuned Hugging Face encoders: learn masks, cut, prove equality, use the smaller model.

The Python API is the command line's verbs, loaded on first use:

    import prunecli
    prunecli.train_masks("bert-base-uncased", "qqp", data_dir="data/qqp", out="runs/qqp")
    prunecli.apply_masks("runs/qqp", out="pruned-qqp")
    prunecli.verify_automodel("pruned-qqp", against="runs/qqp")
    for record in prunecli.predict("pruned-qqp", [{"question1": "...", "question2": "..."}]): ...
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecli.api import apply_masks, predict, self_test, train_masks, verify_automodel
    from prunecli.models.masked_seq import AutoModelForMaskedSeqModeling

__version__ = "0.1.0"
__all__ = [
    "AutoModelForMaskedSeqModeling",
    "apply_masks",
    "predict",
    "self_test",
    "train_masks",
    "verify_automodel",
]
# Names that stand elsewhere than in the API.
_CLASSES = {"AutoModelForMaskedSeqModeling": "prunecli.models.masked_seq"}


def __getattr__(name: str) -> Any:
    """Import what a name stands for when it is first used; `import prunecli` stays instant."""
    if name in __all__:
        return getattr(importlib.import_module(_CLASSES.get(name, "prunecli.api")), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
