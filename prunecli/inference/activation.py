"""From logits to scores.

Shape suffixes: L labels, after any other dimensions.
"""

from torch import Tensor

from prunecli.errors import InputError


def check_activation(asked: str, labels: int) -> None:
    """Refuse an activation that says nothing.

    Raises:
        InputError: It is a softmax over one label.
    """
    if asked == "softmax" and labels == 1:
        raise InputError("--activation softmax of one label is 1 for every record", "take sigmoid or none")


def activated(logits_L: Tensor, asked: str, usual: str) -> Tensor:
    """Return scores [..., L].

    Args:
        logits_L: Logits.
        asked: `sigmoid` or `softmax`, `none` for the logits themselves, `auto` for what is usual.
        usual: One of the first three.
    """
    name = usual if asked == "auto" else asked
    if name == "none":
        return logits_L
    return logits_L.sigmoid() if name == "sigmoid" else logits_L.softmax(-1)
