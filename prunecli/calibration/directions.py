r"""How outputs of a model differ, in the eyes of its own predictions: no label takes part.

To second order, a small change \Delta of the outputs changes the prediction by KL = 1/2 \Delta' F \Delta, F being the
Fisher information of the output distribution. Any vectors v with E[v v'] = F turn this into gradients: the
sum over examples of <v, outputs>, differentiated, gives one Gauss-Newton direction for each example.

    softmax over C classes    F = diag(p) - p p'     exact with C - 1 vectors, else v = onehot(y) - p, y ~ p
    sigmoid of each label     F = diag(p (1 - p))    v = (onehot(y) - p), y ~ p
    regression, embeddings    F = I                  v of random signs
"""

from collections.abc import Iterator, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from prunecli.calibration.precision import narrow, wide

EXACT_CLASSES = 4  # up to here all vectors, beyond it as many drawn ones
DRAWN = 4


def is_multi_label(model: nn.Module) -> bool:
    """Say whether a model's logits are of independent labels."""
    kinds = (getattr(model.config, "problem_type", None), getattr(model.config, "task", None))
    return kinds[0] == "multi_label_classification" or kinds[1] == "multilabel"


def counted(batch: Mapping[str, Tensor]) -> Tensor:
    """Return which predictions of a batch count: [B, T] those at tokens, or [B, M] each position asked for, once.

    Rows with fewer positions than others are filled up with position 0.
    """
    positions_BM = batch.get("mask_indices")
    if positions_BM is None:
        return batch["attention_mask"]
    same_BMM = positions_BM[:, :, None] == positions_BM[:, None, :]
    return (~same_BMM.tril(-1).any(-1)).to(positions_BM)


def directions(
    outputs: Any, multi_label: bool, mask_BT: Tensor, generator: torch.Generator
) -> Iterator[Tensor]:
    """Yield scalars whose gradients are the Gauss-Newton directions of a batch, scaled so that squares add up.

    Args:
        outputs: What a transformers model returned; its logits, start and end logits or last hidden state count.
        multi_label: Whether logits are of independent labels.
        mask_BT: Attention mask: predictions at padding do not count.
        generator: Of the drawn vectors.
    """
    logits, ranking = outputs.get("logits"), outputs.get("ranking_logits")
    if ranking is not None:  # a PruningEncoder's score beside what it says of tokens
        yield from directions({"logits": ranking}, multi_label, mask_BT, generator)
    if logits is not None and logits.dim() == 2 and logits.shape[-1] == 1:
        yield logits.sum()
    elif logits is not None and logits.dim() == 2 and logits.shape[-1] <= EXACT_CLASSES and not multi_label:
        yield from ((logits * factor_BC).sum() for factor_BC in _exact(logits))
    else:
        for _ in range(DRAWN):
            yield _product(outputs, multi_label, mask_BT, generator) / DRAWN**0.5


def _product(outputs: Any, multi_label: bool, mask_BT: Tensor, generator: torch.Generator) -> Tensor:
    """Return <v, outputs> for one drawn v."""
    if "start_logits" in outputs:
        ends = (outputs.start_logits, outputs.end_logits)
        return torch.stack([(logits_BT * _drawn(logits_BT, generator)).sum() for logits_BT in ends]).sum()
    read: Tensor = outputs["logits" if "logits" in outputs else "last_hidden_state"]
    read = read if read.dim() == 2 else read * mask_BT[..., None]
    if "logits" not in outputs:
        return (read * _signs(read, generator)).sum()
    if multi_label:
        p = read.detach().sigmoid()
        return (read * (torch.bernoulli(p.cpu(), generator=generator).to(p) - p)).sum()
    return (read * _drawn(read, generator)).sum()


def _exact(logits_BC: Tensor) -> Iterator[Tensor]:
    """Yield the C - 1 vectors [B, C] whose outer products sum to the Fisher information of a softmax."""
    p_BC = wide(logits_BC.detach()).softmax(-1)
    fisher_BCC = torch.diag_embed(p_BC) - p_BC[:, :, None] * p_BC[:, None, :]
    values_BC, vectors_BCC = torch.linalg.eigh(
        fisher_BCC
    )  # ascending; the first is zero, of the constant vector
    for number in range(1, logits_BC.shape[-1]):
        scale_B1 = values_BC[:, number, None].clamp_min(0).sqrt()
        yield narrow(vectors_BCC[:, :, number] * scale_B1, logits_BC)


def _drawn(logits: Tensor, generator: torch.Generator) -> Tensor:
    """Return onehot(y) - p with y drawn from the softmax over the last dimension."""
    p = logits.detach().float().softmax(-1)
    flat = p.reshape(-1, p.shape[-1]).cpu()
    y = torch.multinomial(flat, 1, generator=generator).squeeze(-1).to(p.device)
    onehot = functional.one_hot(y, p.shape[-1]).reshape(p.shape)
    return onehot.to(p.dtype) - p


def _signs(like: Tensor, generator: torch.Generator) -> Tensor:
    return (torch.randint(0, 2, like.shape, generator=generator) * 2 - 1).to(like)
