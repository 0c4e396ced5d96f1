"""A change stays where the outputs stay, and leaves nothing behind where they do not."""

import pytest
import torch
from torch import nn

from prunecli.inference.same_outputs import Swaps, kept_if_same


def model() -> nn.Sequential:
    return nn.Sequential(nn.Linear(3, 3), nn.ReLU())


def test_what_computes_the_same_stays() -> None:
    net, values = model(), torch.randn(5, 3)
    again = nn.Sequential(net[0])
    assert kept_if_same(lambda: net(values), lambda swaps: swaps.put(net, "0", again))
    assert net[0] is again


@pytest.mark.parametrize("how", ["differs", "breaks", "fails", "nan"])
def test_what_does_not_is_taken_back(how: str) -> None:
    net, values = model(), torch.randn(5, 3)
    before, expected = list(net), net(values)

    def change(swaps: Swaps) -> None:
        swaps.put(net, "1", nn.Identity())
        swaps.put(net, "1", nn.Tanh())
        swaps.hook(net[0], lambda module, inputs: (inputs[0] + (torch.nan if how == "nan" else 1),))
        if how == "breaks":
            swaps.put(net, "0", nn.Linear(7, 3))
        if how == "fails":
            raise KeyError("another build")

    assert not kept_if_same(lambda: net(values), change)
    assert list(net) == before and torch.equal(net(values), expected)
