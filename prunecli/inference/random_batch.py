"""Inputs whose only meaning is their size."""

import torch
from torch import Tensor
from transformers import PreTrainedModel


def random_batch(model: PreTrainedModel, head: str, batch_size: int, tokens: int) -> dict[str, Tensor]:
    """Return random words without padding, the same for models of one vocabulary.

    Args:
        model: On its device.
        head: Its class without the stem; one with choices gets one choice a row.
        batch_size: Rows.
        tokens: Tokens a row.

    Returns:
        `input_ids` and `attention_mask`, [rows, tokens] or [rows, 1, tokens].
    """
    generator = torch.Generator().manual_seed(0)
    padding = model.config.pad_token_id or 0  # RoBERTa counts positions by it, so it must not occur
    ids_BT = torch.randint(1, model.config.vocab_size, (batch_size, tokens), generator=generator)
    ids_BT = (ids_BT + padding) % model.config.vocab_size
    if head == "ForMultipleChoice":
        ids_BT = ids_BT[:, None]
    ids_BT = ids_BT.to(model.device)
    return {"input_ids": ids_BT, "attention_mask": torch.ones_like(ids_BT)}
