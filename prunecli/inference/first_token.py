"""Classifiers read the first token only: so does their last layer, which then computes one token instead of all.

Its keys and values still come from every token, so the output is the same; of a layer's 12 H^2 multiplications a token
10 are left out (H hidden, four times as many neurons): 14 % of the work of six layers, 7 % of twelve.

Made for layers that are built as BERT's: query, key and value as linears of their own, a residual that is added in
the module of the output linear. Others stay as they are (`same_outputs.py`).

Shape suffixes: B batch, T tokens, A heads, D head size, H hidden.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import scaled_dot_product_attention
from transformers import PreTrainedModel

from prunecli.calibration.sublayers import layers_of
from prunecli.encoders import Encoder
from prunecli.inference.random_batch import random_batch
from prunecli.inference.same_outputs import Swaps, kept_if_same

ROWS, TOKENS = 3, 12  # of the batch that is compared


class FirstTokenAttention(nn.Module):
    """Attention of the first token to all.

    Args:
        linears: Those of query, key and value.
        head_size: Width of a head.
    """

    def __init__(self, linears: list[Any], head_size: int) -> None:
        super().__init__()
        self.query, self.key, self.value = linears
        self.head_size = head_size

    def forward(
        self, hidden_states: Tensor, attention_mask: Tensor | None = None, **others: Any
    ) -> tuple[Tensor, None]:
        """Return the heads' outputs [B, 1, A * D], and no attention weights."""
        query_BA1D = self._heads(self.query(hidden_states[:, :1]))
        key_BATD, value_BATD = self._heads(self.key(hidden_states)), self._heads(self.value(hidden_states))
        mask = None if attention_mask is None else attention_mask[:, :, :1]
        found_BA1D = scaled_dot_product_attention(query_BA1D, key_BATD, value_BATD, attn_mask=mask)
        return found_BA1D.transpose(1, 2).flatten(2), None

    def _heads(self, values: Tensor) -> Tensor:
        return values.view(*values.shape[:2], -1, self.head_size).transpose(1, 2)


@torch.inference_mode()
def read_first_token_only(model: PreTrainedModel, encoder: Encoder) -> bool:
    """Let the last layer of a classifier compute the first token only, where the outputs stay the same.

    Outputs are compared in float32, whose rounding the tolerance is made for; no weight of fewer bits changes by that.

    Returns:
        Whether it does so now.
    """
    dtype = model.dtype
    model.to(torch.float32)  # type: ignore[arg-type]
    done = _replaced(model, encoder)
    model.to(dtype)  # type: ignore[arg-type]
    return done


def _replaced(model: PreTrainedModel, encoder: Encoder) -> bool:
    table, core = encoder.family.attention, encoder.family.core
    last = layers_of(model, encoder)[-1:]  # a cut model may have lost all of them
    batch = random_batch(model, "ForSequenceClassification", ROWS, TOKENS)
    batch["attention_mask"][0, TOKENS // 2 :] = 0
    stock: dict[str, Any] = {name: module for layer in last for name, module in layer.named_modules()}
    linears = [stock.get(name) for name in table.inputs]
    output = stock.get(table.output.rpartition(".")[0])
    if core is None or core.name not in stock or len(linears) != 3 or None in linears or output is None:
        return False

    def change(swaps: Swaps) -> None:
        swaps.put(last[0], core.name, FirstTokenAttention(linears, encoder.head_size))
        swaps.hook(output, _first_of_residual)

    return kept_if_same(lambda: model(**batch).logits, change)


def _first_of_residual(module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
    computed, residual_BTH = inputs
    return computed, residual_BTH[:, :1]
