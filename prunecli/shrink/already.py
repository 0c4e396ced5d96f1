"""What a checkpoint has lost already, so that it can be cut again."""

from prunecli.checkpoints.folder import Checkpoint
from prunecli.encoders import Encoder
from prunecli.errors import InputError
from prunecli.masks import MaskSet
from prunecli.masks.formats import FILE, pruned_indices, safetensors_masks
from prunecli.models.shipped import is_cut


def already_cut(checkpoint: Checkpoint, encoder: Encoder) -> MaskSet:
    """Return the masks that were cut out of a folder before, in the numbering of the dense model.

    A pruned folder keeps them beside its weights. transformers 4 noted removed heads as `pruned_heads` in
    config.json; such a checkpoint no longer loads on transformers 5, but it can be cut and so rewritten.

    Raises:
        InputError: A pruned folder has lost its mask file.
        MaskError: The noted units do not exist.
    """
    if is_cut(checkpoint.config):
        if not (checkpoint.path / FILE).is_file():
            raise InputError(f"{checkpoint.path} has lost its {FILE}", "cut the dense checkpoint again")
        masks = safetensors_masks.read(checkpoint.path / FILE)
        masks.check(encoder, str(checkpoint.path))
        return masks
    if checkpoint.config.get("pruned_heads"):
        return pruned_indices.read(checkpoint.path / "config.json", encoder)
    return MaskSet({})
