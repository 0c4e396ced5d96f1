"""Prune fine-tuned Hugging Face encoders: learn masks, cut, prove equality, use the smaller model.

The Python API is the command line's verbs, loaded on first use:

    import prunecli
    prunecli.train_masks("bert-base-uncased", "qqp", data_dir="data/qqp", out="runs/qqp")
    prunecli.apply_masks("runs/qqp", out="pruned-qqp")
    prunecli.verify_automodel("pruned-qqp", against="runs/qqp")
    prunecli.evaluate("pruned-qqp", "qqp", data_dir="data/qqp")
    prunecli.benchmark("runs/qqp", "pruned-qqp")
    for record in prunecli.predict("pruned-qqp", [{"question1": "...", "question2": "..."}]): ...
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecli.api import (
        apply_masks,
        benchmark,
        compare,
        convert,
        evaluate,
        predict,
        self_test,
        train_masks,
        verify_automodel,
    )
    from prunecli.inference.pruning_cross_encoder import PruningCrossEncoder
    from prunecli.inference.pruning_encoder import PruningEncoder
    from prunecli.models.masked_seq import AutoModelForMaskedSeqModeling
    from prunecli.models.pruning_encoder import (
        PruningEncoderConfig,
        PruningEncoderForSequenceClassification,
        PruningEncoderForTokenClassification,
        register_auto_models,
    )
    from prunecli.operations.predict import Predictor

__version__ = "0.1.0"
__all__ = [
    "AutoModelForMaskedSeqModeling",
    "Predictor",
    "PruningCrossEncoder",
    "PruningEncoder",
    "PruningEncoderConfig",
    "PruningEncoderForSequenceClassification",
    "PruningEncoderForTokenClassification",
    "apply_masks",
    "benchmark",
    "compare",
    "convert",
    "evaluate",
    "predict",
    "register_auto_models",
    "self_test",
    "train_masks",
    "verify_automodel",
]
# Names that stand elsewhere than in the API.
CLASSES = {
    "prunecli.models.masked_seq": ("AutoModelForMaskedSeqModeling",),
    "prunecli.inference.pruning_cross_encoder": ("PruningCrossEncoder",),
    "prunecli.inference.pruning_encoder": ("PruningEncoder",),
    "prunecli.operations.predict": ("Predictor",),
    "prunecli.models.pruning_encoder": (
        "PruningEncoderConfig",
        "PruningEncoderForSequenceClassification",
        "PruningEncoderForTokenClassification",
        "register_auto_models",
    ),
}


def __getattr__(name: str) -> Any:
    """Import what a name stands for when it is first used; `import prunecli` stays instant."""
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module = next((module for module, names in CLASSES.items() if name in names), "prunecli.api")
    return getattr(importlib.import_module(module), name)


def __dir__() -> list[str]:
    """Name what there is, imported or not."""
    return sorted({*globals(), *__all__})
