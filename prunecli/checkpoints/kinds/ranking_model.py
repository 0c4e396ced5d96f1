"""The plain cross-encoder inside a PruningEncoder, as a stock folder that loads without remote code.

Where the encoder is cut, it is a pruned folder.
"""

from prunecli.checkpoints.kinds.base import Kind, Model, Reading
from prunecli.checkpoints.kinds.pruned import PREFIX
from prunecli.checkpoints.kinds.pruning_encoder import RERANKING, labels_of
from prunecli.encoders import for_config
from prunecli.errors import InputError

PRUNING = "pruning_head."


def _make(model: Model, reading: Reading) -> Model:
    """Leave the pruning head out and take the encoder's own config.

    Raises:
        InputError: There is no ranking in it.
    """
    if model.config.get("mode") != RERANKING:
        raise InputError(
            f"{model.says} has no ranking model in it", f"only PruningEncoders of mode {RERANKING} have one"
        )
    labels, cut = labels_of(model.config), model.config.get("base_model_cut")
    if cut is not None:
        readers = {name: dim for name, dim in cut["narrowed_head"].items() if not name.startswith(PRUNING)}
        cut = {**cut, "narrowed_head": readers}
    prefix, stem = ("", "") if cut is None else (PREFIX, "Pruned")
    config = {
        **model.encoder,
        **(cut or {}),
        "model_type": prefix + model.encoder["model_type"],
        "architectures": [f"{stem}{for_config(model.encoder).model_type.stem}ForSequenceClassification"],
        "id2label": labels,
        "label2id": {name: int(number) for number, name in labels.items()},
        "dtype": model.config.get("dtype", "float32"),
    }
    tensors = {name: entry for name, entry in model.tensors.items() if not name.startswith(PRUNING)}
    notes = (*model.notes, "The pruning head is left out.")
    return Model(model.says, config, tensors, model.tokenizer, model.encoder, model.max_length, notes)


KIND = Kind("the cross-encoder inside a PruningEncoder", make=_make)
