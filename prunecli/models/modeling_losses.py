"""Labels of sequences, tokens and positions: which count, which make no sense, and what being wrong costs.

It travels beside `modeling_around.py`. Shapes: B batch, T tokens, M positions, H hidden, L labels.
"""

import torch
from torch import nn
from transformers.utils import logging

logger = logging.get_logger(__name__)

MULTILABEL, MULTICLASS = "multilabel", "multiclass"  # any number of labels at a position, or one of them
IGNORED = -100  # label of what takes no part in the loss


def ranking_loss(logits, labels):
    """Binary cross-entropy for one label or labels of the logits' shape, else cross-entropy over the labels."""
    if logits.shape[-1] == 1 or labels.shape == logits.shape:
        return nn.functional.binary_cross_entropy_with_logits(logits, labels.view_as(logits).to(logits.dtype))
    return nn.functional.cross_entropy(logits, labels.view(-1).long())


def pruning_loss(logits, labels):
    """Cross-entropy over the tokens that have a label; 0 where none has one."""
    total = nn.functional.cross_entropy(
        logits.view(-1, logits.shape[-1]), labels.view(-1), ignore_index=IGNORED, reduction="sum"
    )
    return total / (labels != IGNORED).sum().clamp(min=1)


def check_positions(mask_indices, hidden_BTH):
    """Refuse positions of another type or shape, or outside of the sequence."""
    batch, tokens = hidden_BTH.shape[:2]
    if mask_indices.dtype != torch.long:
        raise TypeError(f"mask_indices are {mask_indices.dtype}, but they must be torch.long")
    if mask_indices.dim() != 2 or mask_indices.shape[0] != batch:
        raise ValueError(f"mask_indices have shape {list(mask_indices.shape)}, but they must be [{batch}, M]")
    if torch.compiler.is_compiling() or not mask_indices.numel():
        return
    low, high = mask_indices.min().item(), mask_indices.max().item()
    if low < 0 or high >= tokens:
        raise ValueError(
            f"mask_indices of shape {list(mask_indices.shape)} go from {low} to {high}, but the input has the "
            f"tokens 0 to {tokens - 1}; fill rows up with any of these, and with labels of {IGNORED}"
        )


def counted(labels, logits_BML, task):
    """Return where labels count, as bool [B, M]; refuse labels that make no sense."""
    shape = logits_BML.shape if task == MULTILABEL else logits_BML.shape[:2]
    if labels.shape != shape:
        raise ValueError(
            f"labels have shape {list(labels.shape)}, but for {task} and logits of shape "
            f"{list(logits_BML.shape)} they must be {list(shape)}"
        )
    counted_BM = (labels[..., 0] if task == MULTILABEL else labels) != IGNORED
    if torch.compiler.is_compiling():
        return counted_BM
    real = labels[counted_BM]
    highest = 1 if task == MULTILABEL else logits_BML.shape[-1] - 1
    wrong = real[(real < 0) | (real > highest)]
    if wrong.numel():
        raise ValueError(
            f"labels of shape {list(labels.shape)} hold {wrong[0].item():g}, but for {task} they go from 0 to "
            f"{highest}, or are {IGNORED}{' in channel 0' if task == MULTILABEL else ''} to be ignored"
        )
    return counted_BM


def check_padding(mask_indices, attention_mask, counted_BM):
    """Refuse a labelled position where there is no token; warn of one where nobody says whether it counts."""
    if torch.compiler.is_compiling() or attention_mask.dim() != 2:
        return
    padding_BM = attention_mask.gather(1, mask_indices) == 0
    if counted_BM is None:
        if padding_BM.any():
            logger.warning_once("mask_indices point at padding: the logits there mean nothing")
    elif (padding_BM & counted_BM).any():
        row, column = (padding_BM & counted_BM).nonzero()[0].tolist()
        raise ValueError(
            f"mask_indices[{row}, {column}] is {mask_indices[row, column].item()}, which is padding, but it has "
            f"a label: point at a token, or set the label to {IGNORED}"
        )


def mean_loss(logits_NL, labels, task):
    """Return the mean loss of N labelled positions; 0 where there is none."""
    if task == MULTILABEL:
        total = nn.functional.binary_cross_entropy_with_logits(
            logits_NL, labels.to(logits_NL.dtype), reduction="sum"
        )
        return total / max(logits_NL.numel(), 1)
    return nn.functional.cross_entropy(logits_NL, labels.long(), reduction="sum") / max(len(logits_NL), 1)
