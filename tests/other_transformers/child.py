"""Runs in an environment with another transformers: load pruned folders as any user there would, and report.

Usage: `python child.py FOLDERS`, where each folder in FOLDERS has a `model`, `inputs.safetensors` and `case.json`.
Beside these it writes `found.safetensors`, and `found.json` with what went wrong. It imports torch and
transformers only.
"""

import json
import sys
import warnings
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import load_file, save_file


@torch.no_grad()
def outputs(folder: Path, case: dict[str, str]) -> dict[str, torch.Tensor]:
    """Return the outputs of one model by name; a parameter that is missing or left over is an error."""
    auto = getattr(transformers, case["auto_class"])
    model, report = auto.from_pretrained(folder / "model", trust_remote_code=True, output_loading_info=True)
    wrong = {kind: sorted(map(str, names)) for kind, names in report.items() if names}
    if wrong:
        raise RuntimeError(f"loading found {wrong}")
    if type(model).__name__ != case["class"]:
        raise RuntimeError(f"loaded as {type(model).__name__} instead of {case['class']}")
    found = model.eval()(**load_file(folder / "inputs.safetensors"))
    return {name: value.contiguous() for name, value in found.items() if isinstance(value, torch.Tensor)}


def token_ids(folder: Path, case: dict[str, str]) -> dict[str, list[int]]:
    """Return what the folder's tokenizer makes of a pair of texts."""
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder / "model", trust_remote_code=True)
    return dict(tokenizer(case["text"], case["pair"]))


def main(folders: Path) -> None:
    """Go through all folders; what fails in one is noted there."""
    warnings.simplefilter("ignore")
    transformers.utils.logging.set_verbosity_error()
    torch.set_num_threads(1)
    for file in sorted(folders.glob("*/case.json")):
        folder, case = file.parent, json.loads(file.read_text(encoding="utf-8"))
        answer: dict[str, Any] = {"error": None, "version": transformers.__version__}
        try:
            save_file(outputs(folder, case), folder / "found.safetensors")
            answer["tokens"] = token_ids(folder, case)
        except Exception as error:  # whatever fails is the finding
            said = (str(error).strip().splitlines() or [""])[0]
            answer["error"] = f"{type(error).__name__}: {said}"
        (folder / "found.json").write_text(json.dumps(answer), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
