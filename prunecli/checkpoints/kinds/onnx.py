"""A graph for onnxruntime in place of weights and code; any model that is read can be written as one."""

from prunecli.checkpoints.kinds.base import Kind, Model, Reading
from prunecli.errors import InputError


def _make(model: Model, reading: Reading) -> Model:
    """Return the model as it is: the graph is made of the folder that it would become.

    Raises:
        InputError: Another head is asked for.
    """
    if reading.num_labels or reading.names or reading.task:
        raise InputError(
            "--to onnx writes a model's labels as they are",
            "name them with --to masked-seq first, then convert what that writes",
        )
    return model


KIND = Kind("a graph for onnxruntime", make=_make)
