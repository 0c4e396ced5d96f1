"""A folder of apply-masks: prunecli's own copy of its class, with tensors that the libraries load.

A new head is put on its encoder where the folder has one.
"""

from pathlib import Path
from typing import Any

from torch import Tensor

from prunecli.checkpoints.folder import Checkpoint
from prunecli.checkpoints.strict_json import read_object
from prunecli.models.loading import model_class
from prunecli.models.shipped import encoder_of, head_of
from prunecli.verification.sources.base import Inputs, Written, filled, load_weights, with_choices
from prunecli.verification.sources.new_head import has_new_head, with_new_head


def outputs(source: Path, base: Path | None, written: Written, inputs: Inputs) -> dict[str, Tensor]:
    """Run the class, and the new head; of the folder's files, config and weights are read."""
    entries = read_object(source / "config.json")
    checkpoint = Checkpoint(source, entries, {})
    head = head_of(checkpoint)
    cls: Any = model_class(encoder_of(checkpoint), head, cut=True)
    config = cls.config_class.from_dict({key: value for key, value in entries.items() if key != "auto_map"})
    model = filled(cls, config, load_weights(source, written), source, bare=head == "Model")
    given = with_choices(inputs) if head == "ForMultipleChoice" else inputs
    found = {name: tensor for name, tensor in model(**given).items() if isinstance(tensor, Tensor)}
    return with_new_head(model.base_model, inputs, written, found) if has_new_head(written) else found
