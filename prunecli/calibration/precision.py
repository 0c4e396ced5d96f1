"""Double precision for what small differences decide: eigenvalues, inverses and least squares."""

import torch
from torch import Tensor


def wide(tensor: Tensor) -> Tensor:
    """Return a copy in float64; on the CPU where its device has no such numbers (Apple's GPUs)."""
    return (tensor.cpu() if tensor.device.type == "mps" else tensor).to(torch.float64, copy=True)


def narrow(tensor: Tensor, like: Tensor) -> Tensor:
    """Return what was computed of wide tensors in the type, and on the device, of another one."""
    return tensor.to(like.dtype).to(like.device)
