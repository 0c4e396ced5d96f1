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

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from prunecli.api import (
        apply_masks,
        benchmark,
        compare,
        evaluate,
        predict,
        self_test,
        train_masks,
        verify_automodel,
    )

__version__ = "0.1.0"
__all__ = [
    "apply_masks",
    "benchmark",
    "compare",
    "evaluate",
    "predict",
    "self_test",
    "train_masks",
    "verify_automodel",
]


def __getattr__(name: str) -> Any:
    """Import the API when one of its names is first used; `import prunecli` stays instant."""
    if name in __all__:
        from prunecli import api

        return getattr(api, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
