"""What a pruning method is: gates that learn while the weights train, or scores from a few passes without training."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from torch import Tensor, nn

from prunecli.calibration.sublayers import Batch
from prunecli.encoders import Encoder

OPEN = 2.5  # logit of a gate that is nearly open, 0.92, and can still close: the sparsity loss has a gradient there


@dataclass(frozen=True, slots=True)
class GateMethod:
    """One way to relax, decide and penalise gates. Logits are [layers, units], float32.

    Attributes:
        paper: Where it comes from.
        start: (shape, how, seed) -> logits, `how` being `randn` or `open`.
        sample: (logits, temperature) -> gates in [0, 1] for one training step; random, differentiable.
        open_probability: logits -> the chance that a gate is open: what a budget counts with.
        decide: logits -> bool mask: which units stay.
        penalties: logits -> named scalars that are added to the loss with a weight each.
        anneals: Whether the temperature means something, and indecision has a price.
    """

    paper: str
    start: Callable[[tuple[int, int], str, int], Tensor]
    sample: Callable[[Tensor, float], Tensor]
    open_probability: Callable[[Tensor], Tensor]
    decide: Callable[[Tensor], Tensor]
    penalties: Callable[[Tensor], dict[str, Tensor]]
    anneals: bool = False


@dataclass(frozen=True, slots=True)
class Calibrated:
    """A model, examples to look at it with, and what has gone of it already.

    Attributes:
        model: In evaluation mode, with gates that stand at `kept`.
        encoder: Its table and sizes.
        batches: Model inputs without labels.
        labels: The labels of each batch, by argument name of the model.
        kept: Masks [layers, units] by group.
        seed: Of everything drawn.
    """

    model: nn.Module
    encoder: Encoder
    batches: Sequence[Batch]
    labels: Sequence[Mapping[str, Tensor]]
    kept: Mapping[str, Tensor]
    seed: int


@dataclass(frozen=True, slots=True)
class ScoreMethod:
    """One way to tell what each unit is worth, without training.

    Attributes:
        paper: Where it comes from.
        score: -> scores [layers, units] by group: the loss that removing the unit adds, in any one unit for all
            of them; -1 where it has gone already.
        reads: The most it looks at. What a new head predicts says nothing of the units.
        reach: How far scores hold: they are taken anew once the price has fallen to this share of what it was; None:
            those of the dense model serve every budget.
        layers: Whether it can also score layers as a whole.
    """

    paper: str
    score: Callable[[Calibrated], dict[str, Tensor]]
    reads: Literal["weights", "predictions", "labels"]
    reach: float | None = None
    layers: bool = False


Method = GateMethod | ScoreMethod
