"""What `convert` writes into a folder: config, weights, classes, tokenizer, and what travels along."""

import shutil
from dataclasses import dataclass, replace
from pathlib import Path

from prunecli.checkpoints.folder import CARD, NEW, RECORD, Checkpoint, inside
from prunecli.checkpoints.kinds.base import Model, NewTensor, peek, whole_number
from prunecli.checkpoints.kinds.pruning_encoder import PRUNING_ONLY
from prunecli.checkpoints.retyping import TYPES, contents, declare
from prunecli.checkpoints.safetensors_file import Declared, TensorEntry
from prunecli.checkpoints.sentence_files import SentenceFiles, read_sentence_files
from prunecli.checkpoints.shards import file_names, write_weights
from prunecli.checkpoints.strict_json import write_json
from prunecli.checkpoints.tokenizer_files import SETTINGS, write_tokenizer
from prunecli.encoders import for_config
from prunecli.masks import MaskSet
from prunecli.masks.formats import FILE as MASKS
from prunecli.masks.formats import safetensors_masks
from prunecli.models.onnx_graph import graph_files
from prunecli.models.shipped import is_cut, shipped
from prunecli.shrink.noted_heads import as_pruned, notes_heads


@dataclass(frozen=True, slots=True)
class Plan:
    """A folder that is not yet written.

    Attributes:
        source: The folder that was read.
        model: What it becomes.
        graph: Whether a graph will take the place of weights and classes.
        dtype: The type that floats get; None where they keep theirs.
        shard_size: Bytes of the largest file of weights.
        around: What sentence-transformers keeps around the model.
        masks: Of heads that transformers 4 removed; None where it removed none.
    """

    source: Path
    model: Model
    graph: bool
    dtype: str | None
    shard_size: int
    around: SentenceFiles
    masks: MaskSet | None

    @property
    def declared(self) -> list[Declared]:
        """Return the tensors that are written."""
        dtype = None if self.dtype is None else TYPES[self.dtype]
        return [declare(name, tensor, dtype) for name, tensor in self.model.tensors.items()]

    @property
    def bytes(self) -> int:
        """Return the bytes of the weights."""
        return sum(tensor.size for tensor in self.declared)

    @property
    def new_parameters(self) -> list[str]:
        """Return the parameters of a new head, which nobody has trained yet."""
        return [name for name, tensor in self.model.tensors.items() if isinstance(tensor, NewTensor)]

    @property
    def files(self) -> tuple[str, ...]:
        """Return the names of the files that will stand in the folder, sorted."""
        code = None if self.graph else shipped(Checkpoint(self.source, self.model.config, {}))
        weights = graph_files(self.bytes) if self.graph else file_names(self.declared, self.shard_size)
        tokenizer = Checkpoint(self.model.tokenizer, {}, {}).tokenizer_files
        names = [
            "config.json",
            *weights,
            *(path.name for path in (*tokenizer, *self.carried)),
            *self.around.names,
            *([] if code is None else code.files),
            *([] if self.masks is None else [MASKS]),
            RECORD,
            CARD,
        ]
        return tuple(sorted(names))

    @property
    def carried(self) -> list[Path]:
        """Return the files that stay with the weights: licenses, and what was cut out of a folder."""
        cut = is_cut(self.model.config) and not self.graph and (self.source / MASKS).is_file()
        licenses = Checkpoint(self.source, {}, {}).carried_files
        return [*licenses, *([inside(self.source, MASKS)] if cut else [])]


def plan_folder(source: Path, model: Model, graph: bool, dtype: str | None, shard_size: int) -> Plan:
    """Say what will be written; what sentence-transformers keeps stays with all but encoders with a pruning head.

    Raises:
        InputError: A file, or the config, names a class that is no library's own; or removed heads do not fit.
    """
    found = read_sentence_files(Checkpoint(source, model.config, {}))
    around = SentenceFiles({}, {}) if model.config.get("mode") == PRUNING_ONLY else found
    model, masks = _in_words_of_today(source, model)
    return Plan(source, model, graph, dtype, shard_size, around, None if graph else masks)


def _in_words_of_today(source: Path, model: Model) -> tuple[Model, MaskSet | None]:
    """Give a model whose heads transformers 4 removed the class that can say so, and its masks."""
    if not notes_heads(model.config):
        return model, None
    entries = {name: entry for name, entry in model.tensors.items() if isinstance(entry, TensorEntry)}
    written, kept, masks = as_pruned(Checkpoint(source, model.config, entries))
    note = "Heads that transformers 4 removed: the folder carries the class that has the smaller linears."
    tensors = {name: entry for name, entry in entries.items() if name in kept}
    return replace(model, config=written, tensors=tensors, notes=(*model.notes, note)), masks


def write_folder(plan: Plan, folder: Path) -> dict[str, str]:
    """Write everything but the record and the card.

    Returns:
        The sha256 of each file of weights.
    """
    model = plan.model
    plan.around.write(folder)
    if plan.masks is not None:
        safetensors_masks.write(plan.masks, folder)
    for path in plan.carried:
        shutil.copyfile(path, folder / path.name)
    _write_config(plan, folder)
    _write_tokenizer(model, folder)
    declared = plan.declared
    chunks = (contents(model.tensors[tensor.name], tensor.dtype) for tensor in declared)
    return write_weights(folder, declared, chunks, plan.shard_size)


def _write_config(plan: Plan, folder: Path) -> None:
    """Write config.json and the files with the classes that it names."""
    written = dict(plan.model.config)
    if plan.dtype is not None:
        written["dtype"] = plan.dtype
    if plan.new_parameters:
        written[NEW] = plan.new_parameters
    code = shipped(Checkpoint(folder, written, {}))
    if code is not None:
        written["auto_map"] = code.auto_map
        for name, text in code.files.items():
            (folder / name).write_text(text, encoding="utf-8")
    write_json(folder / "config.json", written)


def _write_tokenizer(model: Model, folder: Path) -> None:
    """Copy the tokenizer; its length limit is what the model was trained with, and never more than it takes."""
    encoder = for_config(model.encoder)
    source = Checkpoint(model.tokenizer, model.encoder, {})
    positions = model.encoder.get("max_position_embeddings")
    longest = positions - encoder.model_type.position_offset if isinstance(positions, int) else None
    stated = whole_number(peek(model.tokenizer, SETTINGS).get("model_max_length"))
    lengths = [length for length in (model.max_length, longest, stated) if length is not None]
    write_tokenizer(source, encoder, folder, min(lengths, default=None))
