"""What every reading of a source needs: weights by the libraries' own loaders, a stock model around them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import transformers
from safetensors.torch import load_file
from torch import Tensor

from prunecli.checkpoints.folder import INDEX, PICKLES, WEIGHTS, inside
from prunecli.checkpoints.kinds.pruning_encoder import LAST_HIDDEN_STATE
from prunecli.checkpoints.strict_json import read_object
from prunecli.errors import InputError, words_of
from prunecli.models.modeling_pruned import narrow, resize

State = dict[str, Tensor]
Inputs = Mapping[str, Tensor]


@dataclass(frozen=True, slots=True)
class Written:
    """The folder that shall equal the source, as far as a reading may look at it.

    Attributes:
        config: Its config.json.
        state: Its tensors: those that are new in it cannot be read elsewhere.
        dtype: The type that its numbers were rounded to; None where they are as the source has them.
    """

    config: dict[str, Any]
    state: State
    dtype: torch.dtype | None = None


# Computes what a source gives on some inputs: (source, folder of --base, written folder, inputs) -> outputs.
Reading = Callable[[Path, Path | None, Written, Inputs], dict[str, Tensor]]


def load_weights(folder: Path, written: Written) -> State:
    """Load a folder's tensors with safetensors or `torch.load(weights_only=True)`, as float32."""
    for one, index in ((WEIGHTS, INDEX), PICKLES[:2]):
        names = [one] if (folder / one).is_file() else []
        if (folder / index).is_file():
            names = sorted(set(read_object(folder / index, 50_000_000)["weight_map"].values()))
        if names:
            states = [load_one(inside(folder, name), written) for name in names]
            return {name: tensor for state in states for name, tensor in state.items()}
    raise InputError(f"{folder} has no {WEIGHTS}")


def load_one(file: Path, written: Written) -> State:
    """Load one file of tensors as float32, rounded as the written ones are."""
    if file.suffix == ".safetensors":
        state = load_file(file)
    else:
        state = torch.load(file, map_location="cpu", weights_only=True)
    return {
        name: tensor.to(written.dtype).float() if tensor.is_floating_point() else tensor
        for name, tensor in state.items()
    }


def stock_model(
    auto_class: str, entries: Mapping[str, Any], state: State, where: Path, cut: Any = None
) -> Any:
    """Build a stock model from a config's entries and give it tensors.

    Args:
        auto_class: What would load it.
        entries: The config's.
        state: The tensors.
        where: Where they are from, for messages.
        cut: What was cut out of its encoder, as `modeling_pruned.py` explains it; None where nothing was.

    Raises:
        InputError: A tensor that the model needs is missing, or does not fit.
    """
    left_out = (
        "auto_map",
        "architectures",
        "dtype",
        "torch_dtype",
        "attn_implementation",
        "_attn_implementation",
    )
    own = {key: value for key, value in entries.items() if key not in (*left_out, "model_type")}
    try:
        config = transformers.AutoConfig.for_model(entries["model_type"], **own)
        cls = getattr(transformers, auto_class)._model_mapping[type(config)]
        if cut is not None:
            return _cut(cls(config), state, cut)
    except Exception as error:  # a config that makes no sense raises whatever it first breaks
        raise _misfit(where, error) from error
    return filled(cls, config, state, where, bare=auto_class == "AutoModel")


def _cut(model: Any, state: State, cut: Mapping[str, Any]) -> Any:
    """Cut a stock model to size, and give it tensors; those of a bare encoder may have the names that a head gives."""
    changes, modules = SimpleNamespace(**cut), dict(model.named_modules())
    resize(model.base_model, changes)  # type: ignore[no-untyped-call]
    head = {name: dim for name, dim in changes.narrowed_head.items() if name in modules}
    narrow(model, head, changes.hidden_dimensions)  # type: ignore[no-untyped-call]
    prefix = f"{model.base_model_prefix}."
    bare = model.base_model is model
    named = {name.removeprefix(prefix) if bare else name: tensor for name, tensor in state.items()}
    missing = model.load_state_dict(named, strict=False).missing_keys
    lost = [name for name in missing if not (bare and name.startswith("pooler."))]
    if lost:
        raise ValueError(f"tensor {lost[0]} is missing")
    return model.eval()


def filled(cls: Any, config: Any, state: State, where: Path, bare: bool) -> Any:
    """Return a model of a class with these tensors, in float32.

    Args:
        cls: The class.
        config: Its config.
        state: The tensors.
        where: Where they are from, for messages.
        bare: Whether it is an encoder, which may come without the pooler that nothing reads.

    Raises:
        InputError: A tensor that the model needs is missing, or does not fit.
    """
    try:
        model, report = cls.from_pretrained(
            None, config=config, state_dict=state, dtype=torch.float32, output_loading_info=True
        )
    except Exception as error:
        raise _misfit(where, error) from error
    lost = [name for name in report["missing_keys"] if not (bare and name.startswith("pooler."))]
    if lost:
        raise InputError(
            f"{where}: tensor {min(lost)} is missing ({len(lost)} in all)", "copy the whole checkpoint"
        )
    return model.eval()


def _misfit(where: Path, error: Exception) -> InputError:
    said = words_of(error)
    return InputError(f"{where}: its weights do not fit its config: {said}", "copy both again")


def with_choices(inputs: Inputs) -> Inputs:
    """Return inputs for a model of several choices, [rows, choices, tokens]: one choice each."""
    return {name: tensor[:, None] for name, tensor in inputs.items()}


def keep_or_prune(state_BTH: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    """Return pruning logits [batch, tokens, 2]."""
    return torch.nn.functional.linear(state_BTH, weight, bias)


def run_with_state(model: Any, inputs: Inputs, written: Written) -> tuple[Any, Tensor]:
    """Run a model; return its output and the state that a pruning head reads.

    That is the one that transformers up to 5.0 gave as `hidden_states[-1]`, unless the written folder says that its
    head was trained on the last hidden state. `tie_last_hidden_states` makes later ones give the same; the modeling
    file takes it in another way.
    """
    if written.config.get("pruning_config", {}).get("hidden_state") == LAST_HIDDEN_STATE:
        return model(**inputs), model.base_model(**inputs).last_hidden_state
    model.base_model.config.tie_last_hidden_states = False
    output = model(**inputs, output_hidden_states=True)
    return output, output.hidden_states[-1]
