"""From logits to scores.

Shape suffixes: L labels, after any other dimensions.
"""

from torch import Tensor


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
