"""A dense layer that a sentence-transformers folder computes on an embedding (its module `Dense`).

Shape suffixes: R rows, H what it reads, D what it writes.
"""

from typing import Any

import safetensors.torch
from torch import Tensor, nn

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.folder import WEIGHTS, Checkpoint, inside
from prunecli.checkpoints.sentence_files import MODULE_CONFIG
from prunecli.errors import InputError, words_of

SENTENCE = "sentence_embedding"  # what it reads and writes, as sentence-transformers calls it


class Dense(nn.Module):
    """A linear with an activation, added to its input where the folder says so.

    Args:
        checkpoint: The folder of the encoder.
        folder: The module's folder inside it.

    Raises:
        InputError: Settings or weights are missing, do not fit each other, or ask for something else.
    """

    def __init__(self, checkpoint: Checkpoint, folder: str) -> None:
        super().__init__()
        file = inside(checkpoint.path, folder, MODULE_CONFIG)
        said = strict_json.read_object(file)
        self.activation = _activation(said.get("activation_function", "torch.nn.Tanh"), str(file))
        if {said.get("module_input_name", SENTENCE), said.get("module_output_name") or SENTENCE} != {
            SENTENCE
        }:
            raise InputError(
                f"{file}: reads or writes something else than {SENTENCE}", "take --pooling mean or cls"
            )
        reads, writes = said.get("in_features"), said.get("out_features")
        if not isinstance(reads, int) or not isinstance(writes, int):
            raise InputError(f"{file} has no in_features or out_features", "save the module again")
        self.linear = nn.Linear(reads, writes, bias=bool(said.get("bias", True)))
        self.residual: nn.Module | None = None
        if said.get("use_residual"):
            self.residual = nn.Identity() if reads == writes else nn.Linear(reads, writes, bias=False)
        weights = inside(checkpoint.path, folder, WEIGHTS)
        try:
            self.load_state_dict(safetensors.torch.load_file(weights))
        except (OSError, RuntimeError, safetensors.SafetensorError) as error:
            raise InputError(
                f"{weights} does not hold the weights that {file} speaks of: {words_of(error)}",
                "save the module again",
            ) from None
        self.eval().requires_grad_(False)

    def forward(self, embeddings_RH: Tensor) -> Tensor:
        """Return embeddings [R, D]."""
        self.to(embeddings_RH.device)
        found_RD: Tensor = self.activation(self.linear(embeddings_RH))
        return found_RD if self.residual is None else found_RD + self.residual(embeddings_RH)


def _activation(name: Any, file: str) -> nn.Module:
    """Make a torch.nn activation by its dotted name."""
    known = str(name).startswith("torch.nn.")
    found = getattr(nn, str(name).rpartition(".")[2], None) if known else None
    try:
        if isinstance(found, type) and issubclass(found, nn.Module):
            return found()
    except TypeError:  # it needs arguments
        pass
    raise InputError(
        f"{file}: activation_function {name!r} is no activation of torch.nn", "take one, as torch.nn.Tanh"
    )
