"""Checks on files alone: JSON, safetensors headers, the syntax tree of the modeling file.

No code of the checkpoint runs.
"""

import ast
import re
from pathlib import Path
from typing import Any

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.folder import DANGEROUS_KEYS, RECORD, Checkpoint, files_in, sha256
from prunecli.checkpoints.kinds.base import GENERATION_KEYS
from prunecli.encoders import Encoder
from prunecli.models.shipped import shipped
from prunecli.verification.base import Finding, found

REFERENCE = re.compile(r"([A-Za-z_]\w*)\.([A-Za-z_]\w*)")
PICKLE_SUFFIXES = (".bin", ".pt", ".pth", ".pkl", ".pickle", ".ckpt", ".joblib")


def check_files(checkpoint: Checkpoint) -> Finding:
    """Weights are whole safetensors files; nothing in the folder can be unpickled or leads out of it."""
    pickles = [path.name for path in checkpoint.path.rglob("*") if path.suffix in PICKLE_SUFFIXES]
    if pickles:
        return Finding("files", "fail", f"{pickles[0]} is a pickle, which can run code")
    size = sum(entry.size for entry in checkpoint.tensors.values())
    return Finding(
        "files",
        "pass",
        f"{len(checkpoint.weight_files)} safetensors, {len(checkpoint.tensors)} tensors, {size:,} bytes",
    )


def check_manifest(checkpoint: Checkpoint) -> Finding:
    """Every file has the sha256 that `prunecli.json` noted when the folder was written."""
    path = checkpoint.path / RECORD
    if not path.is_file():
        return Finding("manifest", "skip", f"no {RECORD}: not written by prunecli")
    noted = strict_json.read_object(path).get("sha256")
    if not isinstance(noted, dict) or not noted:
        return Finding("manifest", "fail", f"{RECORD} notes no sha256")
    here = set(files_in(checkpoint.path))
    added = here - noted.keys() - {RECORD}
    if added:
        return Finding("manifest", "fail", f"{min(added)} was added")
    changed = [
        name for name, digest in noted.items() if name not in here or sha256(checkpoint.path / name) != digest
    ]
    return found(
        "manifest", not changed, f"{changed[0]} was changed" if changed else f"sha256 of {len(noted)} files"
    )


def check_config(checkpoint: Checkpoint, encoder: Encoder) -> Finding:
    """config.json names a known encoder and a head, and holds no key that breaks loading or saving."""
    broken = [key for key in (*GENERATION_KEYS, "pruned_heads") if checkpoint.config.get(key)]
    if broken:
        return Finding("config", "fail", f"key {broken[0]!r} makes transformers 5 refuse to load or save")
    written = strict_json.read_object(checkpoint.path / "config.json")
    code = [key for key in DANGEROUS_KEYS if key in written and "name_or_path" not in key]
    if code:
        return Finding("config", "fail", f"key {code[0]!r} is no checkpoint's to decide")
    labels = checkpoint.config.get("id2label")
    if labels is not None and sorted(map(str, labels)) != sorted(map(str, range(len(labels)))):
        return Finding("config", "fail", f"id2label is not numbered 0 to {len(labels) - 1}")
    return Finding(
        "config",
        "pass",
        f"{checkpoint.config['model_type']}, {checkpoint.architecture}, {encoder.layers} layers",
    )


def check_auto_map(checkpoint: Checkpoint) -> Finding:
    """Every auto_map value is `module.Class`, in a file of this folder that defines the class."""
    auto_map = checkpoint.config.get("auto_map")
    if auto_map is None:
        return Finding("auto_map", "pass", "none: a stock class loads it without remote code")
    for auto, value in auto_map.items() if isinstance(auto_map, dict) else [("auto_map", auto_map)]:
        wrong = _wrong_reference(checkpoint.path, value)
        if wrong:
            return Finding("auto_map", "fail", f"{auto}: {value!r} {wrong}")
    named = {str(value).rpartition(".")[2] for value in auto_map.values()}
    return found(
        "auto_map", checkpoint.architecture in named, f"{', '.join(auto_map)} -> {', '.join(sorted(named))}"
    )


def _wrong_reference(folder: Path, value: Any) -> str | None:
    """Say what is wrong with one auto_map value."""
    match = REFERENCE.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        return "is not module.Class: it may lead out of the folder"
    file = folder / f"{match[1]}.py"
    if not file.is_file() or file.is_symlink():
        return f"needs {file.name} in the folder"
    try:
        tree = ast.parse(file.read_text(encoding="utf-8"))
    except (SyntaxError, UnicodeDecodeError) as error:
        return f"needs {file.name}, which is no Python: {error}"
    classes = {node.name for node in tree.body if isinstance(node, ast.ClassDef)}
    return None if match[2] in classes else f"is not defined in {file.name}"


def check_code(checkpoint: Checkpoint, ours: bool) -> Finding:
    """The modeling file is byte for byte what prunecli writes, or the user trusts it."""
    carried = shipped(checkpoint)
    if carried is None and "auto_map" not in checkpoint.config:
        return Finding("code", "pass", "no code in use")
    if carried is not None and ours:
        return Finding("code", "pass", f"byte for byte prunecli's own: {carried.names}")
    return Finding("code", "pass", "not prunecli's own; run because of --trust-remote-code")
