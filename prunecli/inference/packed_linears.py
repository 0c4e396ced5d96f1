"""Linears whose weights lie as the processor's kernels read them, for inference in float32 on a CPU.

torch multiplies with MKL, which packs the weights anew in every call, and computes the activation in a pass of its own.
oneDNN, which torch carries too, takes weights packed once and applies the activation while results are in registers;
torch.compile does the same, after minutes of compiling. Those operators are torch's own business, so nothing is
taken for granted: without them, or where the encoder's output is not the same afterwards, it stays as it was
(`same_outputs.py`).

Shape suffixes: I inputs, O outputs.
"""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel
from transformers.activations import GELUActivation

from prunecli.calibration.sublayers import layers_of
from prunecli.encoders import Encoder
from prunecli.inference.random_batch import random_batch
from prunecli.inference.same_outputs import Swaps, kept_if_same

ROWS, TOKENS = 3, 12  # of the batch that is compared
LINEAR, GELU = ("none", ""), ("gelu", "none")  # activation and its algorithm, as oneDNN's operator wants them


class PackedLinear(nn.Module):
    """A linear, with what follows it.

    Args:
        linear: Its weight [O, I] is copied, its bias [O] shared.
        then: LINEAR or GELU, the latter by the error function.
    """

    def __init__(self, linear: nn.Linear, then: tuple[str, str] = LINEAR) -> None:
        super().__init__()
        self.bias = linear.bias
        self.activation, self.algorithm = then
        self.packed: Tensor = torch.ops.mkldnn._reorder_linear_weight(linear.weight.detach(), None)

    def forward(self, values: Tensor) -> Tensor:
        """Return [..., O] for values [..., I]."""
        found: Tensor = torch.ops.mkldnn._linear_pointwise(
            values, self.packed, self.bias, self.activation, [], self.algorithm
        )
        return found


@torch.inference_mode()
def pack_linears(model: PreTrainedModel, encoder: Encoder) -> bool:
    """Pack the linears of an encoder's layers where the output stays the same.

    Meanwhile the layers' weights are there twice.

    Args:
        model: In evaluation mode. It cannot be trained, saved or copied any more.
        encoder: Its table and sizes.

    Returns:
        Whether they are packed now.
    """
    base: Any = model.base_model
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    if not there or model.device.type != "cpu" or model.dtype != torch.float32:
        return False
    batch = random_batch(base, "Model", ROWS, TOKENS)
    batch["attention_mask"][0, TOKENS // 2 :] = 0

    def change(swaps: Swaps) -> None:
        for layer in layers_of(model, encoder):
            for name, module in _packed(layer, encoder).items():
                swaps.put(layer, name, module)

    return kept_if_same(lambda: base(**batch).last_hidden_state, change)


def _packed(layer: nn.Module, encoder: Encoder) -> dict[str, nn.Module]:
    """Return what stands for each linear of a layer, and for a GELU that follows the feed-forward entry alone."""
    modules = dict(layer.named_modules())
    linears = {
        name: linear
        for name, linear in modules.items()
        if type(linear) is nn.Linear and linear.weight.numel()
    }
    found: dict[str, nn.Module] = {name: PackedLinear(linear) for name, linear in linears.items()}
    activations = [name for name, module in modules.items() if type(module) is GELUActivation]
    entry, ffn = encoder.family.ffn.inputs[0], encoder.family.ffn
    if len(activations) == 1 and entry in linears and len(ffn.inputs) * ffn.blocks == 1:
        found |= {entry: PackedLinear(linears[entry], GELU), activations[0]: nn.Identity()}
    return found
