"""The empirical Fisher information of the gates, from labels (Kwon et al. 2022, https://arxiv.org/abs/2204.09656).

A unit's score is the sum over batches of the squared derivative of the batch's loss by its gate: the diagonal
that their mask search runs on. The search itself is a knapsack by score and price, here solved for heads and neurons
together, so a budget is met where theirs returned more than was asked. Their last step, mask tuning, fits one scale a
unit; the refit that follows every method here fits the whole output projection.
"""

from torch import Tensor

from prunecli.calibration.label_gradients import score_by_loss
from prunecli.methods.base import Calibrated, ScoreMethod


def score(model: Calibrated) -> dict[str, Tensor]:
    """Return the summed squares of the batches' derivatives by each gate [layers, units]."""
    return score_by_loss(
        model.model,
        model.encoder,
        model.batches,
        model.labels,
        model.kept,
        lambda by_gate_BU: by_gate_BU.sum(0).square(),
    )


METHOD = ScoreMethod(paper="Kwon et al. 2022, https://arxiv.org/abs/2204.09656", score=score, reads="labels")
