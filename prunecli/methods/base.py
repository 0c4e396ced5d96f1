"""What a pruning method is: four functions on gate logits."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor


@dataclass(frozen=True, slots=True)
class Method:
    """One way to relax, decide and penalise gates. Logits are [layers, units], float32.

    Attributes:
        paper: Where it comes from.
        start: (shape, how, seed) -> logits, `how` being `randn` or `open`.
        sample: (logits, temperature) -> gates in [0, 1] for one training step; random, differentiable.
        decide: logits -> bool mask: which units stay.
        penalties: logits -> named scalars that are added to the loss with a weight each.
    """

    paper: str
    start: Callable[[tuple[int, int], str, int], Tensor]
    sample: Callable[[Tensor, float], Tensor]
    decide: Callable[[Tensor], Tensor]
    penalties: Callable[[Tensor], dict[str, Tensor]]
