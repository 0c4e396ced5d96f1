"""Learning from the dense model: its predictions and, layer by layer, its hidden states.

    loss = (1 - w) task + w T^2 KL(teacher || student) + mean over layers of MSE / variance of the teacher's layer

Logits after Hinton et al. 2015 (https://arxiv.org/abs/1503.02531); every layer matched to its own, token by token, as
in ZipLM (https://arxiv.org/abs/2302.04089), so no layer map is learned. Where layers are gone, what a layer reads is
matched to what the same layer of the teacher reads; where hidden dimensions are gone, predictions alone are matched.

The student computes as it will when it is used, without dropout, which its teacher has not either (`trainer.py`).

A teacher knows the rows that it was fine-tuned on by heart, and is sure of them: that says little of other rows. Where
tokens are replaced, half of the rows of each batch are new to it; labels do not hold for them, so w = 1.

Shapes: B batch, T tokens, H hidden, K tokens that may be drawn.
"""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from prunecli.calibration.directions import counted, is_multi_label
from prunecli.calibration.divergence import divergence

WEIGHT = 0.9
NEW_ROWS = 0.5  # share of the rows with replaced tokens; in the others the student sees texts as they are
TEMPERATURE = 2.0
LABELS = ("labels", "relevance", "start_positions", "end_positions")


class Teacher:
    """A frozen model that another one shall agree with.

    Args:
        model: Same task and tokenizer; its layers are matched where there are as many and as wide.
        stays: Of each layer, whether the student still has it; all where None.
        replaced: Share of tokens to replace in the rows that are changed.
        special: Ids that are never replaced.
    """

    def __init__(
        self,
        model: nn.Module,
        stays: Sequence[bool] | None = None,
        replaced: float = 0.0,
        special: Sequence[int] = (),
    ) -> None:
        self.model = model.train(False).requires_grad_(False)
        self.multi_label = is_multi_label(model)
        self.stays, self.replaced, self.special = (
            stays,
            replaced,
            torch.tensor(list(special), dtype=torch.long),
        )
        self.weight = 1.0 if replaced else WEIGHT

    def varied(self, inputs: dict[str, Any]) -> dict[str, Any]:
        """Return a batch some of whose rows have tokens of others in their places, at random."""
        if not self.replaced:
            return inputs
        ids_BT = inputs["input_ids"]
        self.special = self.special.to(ids_BT.device)
        may_BT = inputs["attention_mask"].bool() & ~torch.isin(ids_BT, self.special)
        if "mask_indices" in inputs:  # what marks a position that is asked about says nothing elsewhere
            marks = ids_BT.gather(1, inputs["mask_indices"])
            may_BT = may_BT & ~torch.isin(ids_BT, marks)
        others_K = ids_BT[may_BT]
        if not len(others_K):
            return inputs
        drawn_BT = others_K[torch.randint(len(others_K), ids_BT.shape, device=ids_BT.device)]
        rows_B = torch.rand(len(ids_BT), device=ids_BT.device) < NEW_ROWS
        token_BT = torch.rand_like(ids_BT, dtype=torch.float32) < self.replaced
        token_BT = token_BT & rows_B.view(-1, *[1] * (ids_BT.dim() - 1))  # all choices of a row, or none
        return {**inputs, "input_ids": torch.where(may_BT & token_BT, drawn_BT, ids_BT)}

    def loss(self, task_loss: Tensor, student: Any, inputs: dict[str, Any]) -> Tensor:
        """Return what is trained on instead of the task's loss.

        Args:
            task_loss: Of the student, with labels.
            student: Its outputs, with hidden states.
            inputs: The batch, with labels.
        """
        plain = {name: value for name, value in inputs.items() if name not in LABELS}
        with torch.no_grad():
            self.model.to(task_loss.device)
            teacher = self.model(**{**plain, "output_hidden_states": True})
        mask_BT = inputs["attention_mask"]
        predictions = divergence(student, teacher, self.multi_label, counted(inputs), TEMPERATURE)
        loss = (1 - self.weight) * task_loss + self.weight * predictions
        mine, wanted = student.hidden_states, teacher.hidden_states
        if self.stays is not None and len(wanted) == len(self.stays) + 1:
            read = zip(wanted[:-1], self.stays, strict=True)
            wanted = [*(state for state, stays in read if stays), wanted[-1]]
        if len(mine) == len(wanted) and mine[0].shape == wanted[0].shape:
            real_BT = mask_BT.flatten(0, -2).bool()
            pairs = zip(mine[1:], wanted[1:], strict=True)
            loss = loss + torch.stack([_distance(*pair, real_BT) for pair in pairs]).mean()
        return loss


def _distance(mine_BTH: Tensor, wanted_BTH: Tensor, real_BT: Tensor) -> Tensor:
    wanted_MH = wanted_BTH[real_BT].float()
    return (mine_BTH[real_BT].float() - wanted_MH).square().mean() / wanted_MH.var().clamp_min(1e-6)
