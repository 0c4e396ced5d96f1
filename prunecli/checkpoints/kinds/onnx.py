"""A graph for onnxruntime in place of weights and code; any model that is read can be written as one."""

from prunecli.checkpoints.kinds.base import Kind, Model, Reading


def _make(model: Model, reading: Reading) -> Model:
    """Return the model as it is: the graph is made of the folder that it would become."""
    return model


KIND = Kind("a graph for onnxruntime", make=_make)
