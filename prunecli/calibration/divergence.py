"""How far one model's outputs are from another's, for every kind of head; both distillation and guards use it."""

from typing import Any

from torch import Tensor
from torch.nn import functional


def divergence(
    student: Any, teacher: Any, multi_label: bool, mask_BT: Tensor, temperature: float = 1.0
) -> Tensor:
    """Return the mean divergence of a batch of predictions: a scalar that gradients flow through.

    Kullback-Leibler divergence KL(teacher || student), in nats, where outputs are logits; mean squared error
    where they are numbers or hidden states. With a temperature T, logits are divided by T and the result is
    multiplied by T^2 (Hinton et al. 2015, https://arxiv.org/abs/1503.02531).

    Args:
        student: Outputs of a transformers model.
        teacher: Outputs of another one with the same head, for the same batch.
        multi_label: Whether logits are of independent labels.
        mask_BT: Attention mask: predictions at padding do not count.
        temperature: Softens both.
    """
    if "start_logits" in teacher:
        ends = (
            _softmax(student[name], teacher[name], temperature).mean()
            for name in ("start_logits", "end_logits")
        )
        return sum(ends, start=mask_BT.new_zeros((), dtype=teacher.start_logits.dtype))
    name = "logits" if "logits" in teacher else "last_hidden_state"
    mine, wanted = student[name], teacher[name]
    if name == "last_hidden_state":
        return _masked((mine - wanted).square().mean(-1), mask_BT)
    if mine.dim() == 3:
        each = _sigmoid if multi_label else _softmax
        tokens = _masked(each(mine, wanted, temperature), mask_BT)
        if "ranking_logits" not in teacher:
            return tokens
        mine, wanted = ({"logits": output["ranking_logits"]} for output in (student, teacher))
        return tokens + divergence(mine, wanted, multi_label, mask_BT, temperature)
    if mine.shape[-1] == 1:
        return functional.mse_loss(mine, wanted)
    if multi_label:
        return _sigmoid(mine, wanted, temperature).mean()
    return _softmax(mine, wanted, temperature).mean()


def _softmax(mine: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return KL of softmaxes over the last dimension."""
    log_q, log_p = (mine / temperature).log_softmax(-1), (wanted / temperature).log_softmax(-1)
    return (log_p.exp() * (log_p - log_q)).sum(-1) * temperature**2


def _sigmoid(mine: Tensor, wanted: Tensor, temperature: float) -> Tensor:
    """Return KL of independent labels, summed over them."""
    p = (wanted / temperature).sigmoid()
    log_q, log_not_q = functional.logsigmoid(mine / temperature), functional.logsigmoid(-mine / temperature)
    log_p, log_not_p = (
        functional.logsigmoid(wanted / temperature),
        functional.logsigmoid(-wanted / temperature),
    )
    return (p * (log_p - log_q) + (1 - p) * (log_not_p - log_not_q)).sum(-1) * temperature**2


def _masked(values_BT: Tensor, mask_BT: Tensor) -> Tensor:
    weights_BT = mask_BT.to(values_BT.dtype)
    return (values_BT * weights_BT).sum() / weights_BT.sum().clamp_min(1)
