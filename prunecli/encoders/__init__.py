"""Encoder families as tables; the folder's listing is the registry.

`for_config` joins a family's table with the numbers of one `config.json`. No torch here: planning a cut
needs names and sizes only.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

from prunecli.encoders.base import AttentionCore, Family, ModelType, Stream, Sublayer
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.registry import Registry, nearest

__all__ = [
    "AttentionCore",
    "Encoder",
    "Family",
    "ModelType",
    "Stream",
    "Sublayer",
    "check_heads",
    "for_config",
    "module_names",
    "supported_model_types",
]

MAX_LAYERS = 1000  # what a stranger's config.json may make us count to


@cache
def _families() -> dict[str, tuple[Family, ModelType, str]]:
    """Return every table in this folder with the name of its file, by `model_type`."""
    tables = Registry[Family](__name__, "FAMILY").load_all()
    return {
        row.name: (family, row, f"{name.replace('-', '_')}.py")
        for name, family in tables.items()
        for row in family.model_types
    }


def supported_model_types() -> list[str]:
    """Return the `model_type`s that have a table, sorted."""
    return sorted(_families())


def module_names(model_type: Any, tensor: str) -> list[str]:
    """Return what transformers calls a file's tensor once it is loaded; several where the file stacks their rows."""
    names = [f".{tensor}"]
    known = isinstance(model_type, str) and model_type in _families()
    family = _families()[model_type][0] if known else None
    for stored, modules in family.stored.items() if family is not None else ():
        if f".{stored}." in names[0]:
            names = [name.replace(f".{stored}.", f".{module}.") for name in names for module in modules]
    return [name[1:] for name in names]


@dataclass(frozen=True, slots=True)
class Encoder:
    """A family's table with the sizes of one checkpoint.

    Attributes:
        family: Where things live.
        model_type: Its row for the checkpoint's `model_type`.
        layers: Number of layers.
        heads: Attention heads a layer.
        head_size: Rows of query (key, value) that belong to one head.
        hidden: Width of the residual stream.
        intermediate: Neurons a layer.
        repeats: How often each layer is computed; more than once only where layers share weights.
        stream: What stands on the residual stream; None where hidden dimensions cannot go.
        table: Where the table stands, for messages.
    """

    family: Family
    model_type: ModelType
    layers: int
    heads: int
    head_size: int
    hidden: int
    intermediate: int
    repeats: int = 1
    stream: Stream | None = None
    table: str = "prunecli/encoders"

    @property
    def sharing(self) -> str:
        """Say in a sentence that one mask stands for several layers; nothing where each has its own weights."""
        if self.repeats == 1:
            return ""
        layers = f"The {self.layers * self.repeats} layers of this {self.model_type.name}"
        if self.layers == 1:
            return f"{layers} share one set of weights: one mask stands for all of them."
        return f"{layers} share {self.layers} sets of weights: one mask stands for {self.repeats} of them."

    def module(self, layer: int, name: str) -> str:
        """Return the name of a layer's module, seen from the bare encoder."""
        return self.family.layer.format(layer=layer) + name

    def layer(self, layer: int) -> str:
        """Return the name of a layer, seen from the bare encoder."""
        return self.module(layer, "").removesuffix(".")


def for_config(config: Mapping[str, Any]) -> Encoder:
    """Find the table for a `config.json` and read its sizes.

    Raises:
        UnsupportedModelError: No table has this `model_type`, or the config is of a decoder.
        InputError: A size is missing or not a positive whole number.
    """
    name = config.get("model_type")
    if not isinstance(name, str) or name not in _families():
        near = nearest(str(name), supported_model_types())
        raise UnsupportedModelError(
            f"model_type {name!r} is not an encoder that prunecli can prune",
            f"supported: {', '.join(supported_model_types())}"
            + (f" ({near})" if near else "")
            + "; docs/guides/add-a-family.md shows how to add one",
        )
    if config.get("is_decoder") or config.get("is_encoder_decoder"):
        raise UnsupportedModelError(
            f"this {name} checkpoint is a decoder (is_decoder in config.json)",
            "prunecli prunes encoders; set is_decoder to false if the model was trained as one",
        )
    family, row, file = _families()[name]
    if family.adapt is not None:
        family = family.adapt(family, config)
    layers, heads, hidden, intermediate = (
        _size(config, field)
        for field in (family.layers_field, family.heads_field, family.hidden_field, family.intermediate_field)
    )
    if layers > MAX_LAYERS:
        raise InputError(
            f"config.json: {family.layers_field} {layers} is more than any encoder has ({MAX_LAYERS:,})"
        )
    if hidden % heads:
        raise InputError(
            f"config.json: {family.hidden_field} {hidden} is not a multiple of {family.heads_field} {heads}"
        )
    repeats, rest = divmod(_size(config, family.repeats_field), layers) if family.repeats_field else (1, 0)
    if rest or config.get("inner_group_num", 1) != 1:
        raise UnsupportedModelError(
            f"this {name} shares its weights unevenly over layers", "no table can say that"
        )
    table = f"prunecli/encoders/{file}"
    stream = _stream(row, config, hidden)
    return Encoder(family, row, layers, heads, hidden // heads, hidden, intermediate, repeats, stream, table)


def check_heads(encoder: Encoder, config: Mapping[str, Any]) -> None:
    """Refuse to prune heads that cannot go one by one, or are of a size that the hidden size does not say.

    Raises:
        UnsupportedModelError: It names the entry of the config.
    """
    for entry, usual in (("num_key_value_heads", encoder.heads), ("head_dim", encoder.head_size)):
        if config.get(entry) not in (None, usual):
            raise UnsupportedModelError(
                f"this {encoder.model_type.name} has {entry} {config[entry]} in config.json, and its {encoder.heads} "
                f"attention heads want {usual}",
                "prunecli prunes heads that have keys and values of their own, of hidden size / heads each",
            )


def _stream(row: ModelType, config: Mapping[str, Any], hidden: int) -> Stream | None:
    """Return what stands on the stream, which the embeddings do not where they have a size of their own."""
    if row.stream is None or config.get(row.stream.embedding_field, hidden) == hidden:
        return row.stream and replace(row.stream, widened_by="")
    return replace(row.stream, embeddings=(), norms=())


def _size(config: Mapping[str, Any], field: str) -> int:
    value = config.get(field)
    if not isinstance(value, int) or isinstance(value, bool) or value <= 0:
        raise InputError(
            f"config.json: {field} is {value!r}, not a positive whole number",
            "take the config.json that was saved with the weights",
        )
    return value
