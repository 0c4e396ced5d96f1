"""Runs in a fresh `python -I` that cannot import prunecli: loads a folder as any user would, and reports facts.

A class that is registered in the running process would win over the file in the folder, so nothing of prunecli
may be importable here. Usage: `python -I child.py REQUEST.json`; the answer is written beside the request.
This file imports torch and transformers only.
"""

import importlib.abc
import json
import sys
from pathlib import Path
from typing import Any

BLOCKED = "prunecli"


class Blocker(importlib.abc.MetaPathFinder):
    """Makes the project unimportable, also where it is installed."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        """Refuse the project's modules; know nothing of others."""
        if fullname.split(".")[0] == BLOCKED:
            raise ImportError(f"{BLOCKED} is blocked in the verification child")


def main(request_path: Path) -> None:
    """Answer one request; whatever fails is part of the answer."""
    sys.meta_path.insert(0, Blocker())
    request = json.loads(request_path.read_text(encoding="utf-8"))
    answer: dict[str, Any] = {"stage": "import", "facts": {}}
    try:
        _answer(request, answer, request_path.parent)
        answer["stage"] = "done"
    except Exception as error:
        answer["error"] = f"{type(error).__name__}: {error}"
    (request_path.parent / "answer.json").write_text(json.dumps(answer), encoding="utf-8")


def _answer(request: dict[str, Any], answer: dict[str, Any], folder: Path) -> None:
    """Fill an answer, stage by stage; what is in it when something raises was found before."""
    import torch
    import transformers

    torch.set_grad_enabled(False)
    facts = answer["facts"]
    facts["versions"] = {"torch": torch.__version__, "transformers": transformers.__version__}
    facts["blocked"] = _is_blocked()
    auto = getattr(transformers, request["auto_class"])
    options = {"trust_remote_code": request["trust"], "local_files_only": True, "dtype": torch.float32}

    answer["stage"] = "load"
    model, report = auto.from_pretrained(request["checkpoint"], output_loading_info=True, **options)
    facts |= {"class": type(model).__name__, "module": type(model).__module__}
    facts |= {
        f"{kind}_keys": sorted(map(str, report[f"{kind}_keys"]))
        for kind in ("missing", "unexpected", "mismatched")
    }
    answer["stage"] = "tensors"
    facts |= _tensor_facts(model, request)
    answer["stage"] = "forward"
    facts |= _forward_facts(model, request, folder)
    answer["stage"] = "save and reload"
    model.save_pretrained(folder / "copy")
    facts |= _reload_facts(model, auto.from_pretrained(folder / "copy", **options), request, folder)


def _tensor_facts(model: Any, request: dict[str, Any]) -> dict[str, Any]:
    """Compare what the config implies, what the files hold and what was loaded."""
    import torch
    from safetensors.torch import load_file

    files: dict[str, torch.Tensor] = {}
    for name in request["weight_files"]:
        files |= _by_module(load_file(name), request["module_names"])
    state = model.state_dict()
    with torch.device("meta"):
        implied = type(model)(model.config).state_dict()
    return {
        "implied": _difference(implied, files, state),
        "loaded": [
            name
            for name, tensor in state.items()
            if name in files and not torch.equal(tensor, files[name].to(tensor.dtype))
        ],
        "not_finite": [
            name
            for name, tensor in files.items()
            if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all())
        ],
    }


def _forward_facts(model: Any, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Run the probes together, one by one and with more padding, and write what came out."""
    import torch
    from safetensors.torch import load_file, save_file

    probes = load_file(request["probes"])
    output = _outputs(model, probes)
    save_file(output, folder / "outputs.safetensors")
    return {
        "finite": all(bool(torch.isfinite(tensor).all()) for tensor in output.values()),
        "batch": _batch_difference(model, probes, output),
        "padding": _padding_difference(model, probes, output, request["pad_token_id"]),
    }


def _reload_facts(model: Any, again: Any, request: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Compare the model with what it is once saved and loaded."""
    import torch

    state = model.state_dict()
    return {
        "reload": [
            name for name, tensor in again.state_dict().items() if not torch.equal(tensor, state[name])
        ],
        "reload_config": getattr(again.config, "auto_map", None) == getattr(model.config, "auto_map", None),
        "reload_code": [
            path.name
            for path in Path(request["checkpoint"]).glob("modeling_*.py")
            if (folder / "copy" / path.name).read_bytes() != path.read_bytes()
        ],
    }


def _is_blocked() -> bool:
    try:
        __import__(BLOCKED)
    except ImportError:
        return True
    return False


def _by_module(files: dict[str, Any], module_names: dict[str, list[str]]) -> dict[str, Any]:
    """Name a file's tensors as transformers does once it has loaded them, and take stacked ones apart."""
    found: dict[str, Any] = {}
    for stored, tensor in files.items():
        names = module_names[stored]
        found |= dict(zip(names, tensor.chunk(len(names)) if len(names) > 1 else (tensor,), strict=True))
    return found


def _difference(implied: dict[str, Any], files: dict[str, Any], state: dict[str, Any]) -> list[str]:
    """Name the tensors in which what the config implies and what the files hold differ."""
    stored = {state[name].data_ptr() for name in files if name in state and state[name].numel()}
    tied = {name for name, tensor in state.items() if name not in files and tensor.data_ptr() in stored}
    lost = [f"{name} is missing" for name in implied if name not in files and name not in tied]
    extra = [f"{name} is not implied" for name in files if name not in implied]
    shapes = [
        f"{name} is {list(files[name].shape)}, implied {list(tensor.shape)}"
        for name, tensor in implied.items()
        if name in files and files[name].shape != tensor.shape
    ]
    return lost + extra + shapes


def _outputs(model: Any, inputs: dict[str, Any]) -> dict[str, Any]:
    """Return the floating outputs by name; `loss` and inner states are not asked for."""
    if type(model).__name__.endswith("ForMultipleChoice"):  # takes [rows, choices, tokens]: one choice each
        inputs = {name: tensor[:, None] for name, tensor in inputs.items()}
    output = model(**inputs)
    return {
        name: tensor.contiguous() for name, tensor in output.items() if hasattr(tensor, "is_floating_point")
    }


def _batch_difference(model: Any, inputs: dict[str, Any], together: dict[str, Any]) -> float:
    """Compare each row alone, without its padding, with the same row in the batch."""
    worst = 0.0
    for row, length in enumerate(inputs["attention_mask"].sum(1).tolist()):
        alone = _outputs(model, {name: tensor[row : row + 1, :length] for name, tensor in inputs.items()})
        worst = max(worst, *(_gap(alone[name][0], tensor[row], length) for name, tensor in together.items()))
    return worst


def _padding_difference(model: Any, inputs: dict[str, Any], before: dict[str, Any], pad: int) -> float:
    """Add eight columns of padding and compare."""
    fill = {"input_ids": pad}
    wider = {
        name: tensor.new_full((tensor.shape[0], tensor.shape[1] + 8), fill.get(name, 0))
        for name, tensor in inputs.items()
    }
    for name, tensor in inputs.items():
        wider[name][:, : tensor.shape[1]] = tensor
    after = _outputs(model, wider)
    lengths = inputs["attention_mask"].sum(1).tolist()
    return max(
        _gap(after[name][row], tensor[row], length)
        for name, tensor in before.items()
        for row, length in enumerate(lengths)
    )


def _gap(left: Any, right: Any, length: int) -> float:
    """Return the largest absolute difference, over real tokens where the output has one entry a token."""
    if left.shape != right.shape:
        left, right = left[:length], right[:length]
    gap = float((left - right).abs().max())
    return gap if gap == gap else float("inf")  # max(0, nan) is 0


if __name__ == "__main__":
    main(Path(sys.argv[1]))
