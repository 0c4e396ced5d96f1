"""Tries a folder with some auto classes where there is no prunecli; prints a row of cells for each, as JSON.

    python -I kinds_child.py FOLDER PLACE AUTO_CLASS ...

PLACE holds `AUTO_CLASS.N.st` with inputs (`in.NAME`) and wanted outputs (`out.NAME`). `benchmarks/kinds.py` starts it.
"""

import contextlib
import json
import sys
import tempfile
import warnings
from pathlib import Path
from typing import Any

sys.modules["prunecli"] = None  # type: ignore[assignment]  # an import of it fails
warnings.simplefilter("ignore")

import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import load_file  # noqa: E402

SEQUENCE, TOKENS, BARE = "SequenceClassification", "TokenClassification", "AutoModel"
PIPELINES = {SEQUENCE: "text-classification", TOKENS: "token-classification", BARE: "feature-extraction"}
PAIR = ("who wrote it", "ada wrote it on monday")


def main(folder: str, place: Path, classes: list[str]) -> None:
    """Print the rows."""
    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    with contextlib.redirect_stdout(sys.stderr):
        rows = {auto: row(folder, place, auto) for auto in classes}
    print(json.dumps(rows))


def row(folder: str, place: Path, auto: str) -> list[str]:
    """Return the cells of one auto class."""
    cls, task = getattr(transformers, auto), auto.removeprefix("AutoModelFor")
    options = {"trust_remote_code": True, "local_files_only": True, "dtype": torch.float32}
    model, report = cls.from_pretrained(folder, output_loading_info=True, **options)
    whole = not any(report[f"{kind}_keys"] for kind in ("missing", "unexpected", "mismatched"))
    texts = (Path(folder) / "tokenizer.json").is_file()  # irti_custom saved none
    tokenizer = transformers.AutoTokenizer.from_pretrained(folder, trust_remote_code=True) if texts else None
    cases = [parts(load_file(file)) for file in sorted(place.glob(f"{auto}.*.st"))]
    gap = max(difference(model.eval(), *case) for case in cases)
    probes, wanted = cases[0]
    with torch.no_grad():
        found = model(**probes)
    with tempfile.TemporaryDirectory() as copy:
        model.save_pretrained(copy)
        again = cls.from_pretrained(copy, **options).eval()
        with torch.no_grad():
            same = again(**probes)
        equal = all(torch.equal(same[name], found[name]) for name in wanted)
    return [
        said(whole),
        f"{gap:.0e}",
        said(equal),
        trained(model, probes, found, task),
        said(piped(model.eval(), tokenizer, task)) if texts else "-",
        crossed(folder, tokenizer) if texts and task == SEQUENCE and model.config.num_labels == 1 else "-",
    ]


def parts(tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """Return inputs and wanted outputs."""
    inputs, outputs = (
        {name.removeprefix(part): value for name, value in tensors.items() if name.startswith(part)}
        for part in ("in.", "out.")
    )
    return inputs, outputs


@torch.no_grad()
def difference(model: Any, inputs: dict[str, torch.Tensor], wanted: dict[str, torch.Tensor]) -> float:
    """Return the largest difference from what is wanted."""
    found = model(**inputs)
    return max(
        float((found[name] - value)[mask(value, inputs)].abs().max()) for name, value in wanted.items()
    )


def said(passed: bool) -> str:
    """Return a cell."""
    return "yes" if passed else "**no**"


def mask(value: torch.Tensor, probes: dict[str, torch.Tensor]) -> torch.Tensor:
    """Return which entries count: those of real tokens, where there is one a token."""
    tokens = probes["attention_mask"].bool()
    return tokens if value.shape[:2] == tokens.shape else torch.ones(value.shape[0], dtype=torch.bool)


def trained(model: Any, probes: dict[str, torch.Tensor], found: Any, task: str) -> str:
    """Train for a step with Trainer, save and reload; a bare encoder without a loss has nothing to train."""
    logits = found.get("logits")
    if logits is None:
        return "-"
    labels = torch.zeros(logits.shape if task == BARE else logits.shape[:-1], dtype=torch.long)
    rows = [
        {**{name: values[place] for name, values in probes.items()}, "labels": labels[place]}
        for place in range(len(labels))
    ]
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with tempfile.TemporaryDirectory() as folder:
        arguments = transformers.TrainingArguments(
            folder, max_steps=1, learning_rate=1e-2, report_to=[], use_cpu=True, disable_tqdm=True,
            save_strategy="no", logging_strategy="no",
        )  # fmt: skip
        trainer = transformers.Trainer(model, arguments, train_dataset=rows)
        trainer.train()
        trainer.save_model(folder)
        again = type(model).from_pretrained(folder).state_dict()
    state = model.state_dict()
    moved = any(not torch.equal(value, state[name]) for name, value in before.items())
    return said(moved and all(torch.equal(value, again[name]) for name, value in state.items()))


def piped(model: Any, tokenizer: Any, task: str) -> bool:
    """Say whether a pipeline gives something for a text."""
    text: Any = {"text": PAIR[0], "text_pair": PAIR[1]} if task == SEQUENCE else PAIR[1]
    made = transformers.pipeline(PIPELINES[task], model=model, tokenizer=tokenizer)
    return made(text) is not None


def crossed(folder: str, tokenizer: Any) -> str:
    """Say whether CrossEncoder gives the sigmoid of the score."""
    from sentence_transformers import CrossEncoder

    inputs = tokenizer(*PAIR, return_tensors="pt")
    theirs = float(CrossEncoder(folder, device="cpu", trust_remote_code=True).predict([PAIR])[0])
    ours = transformers.AutoModelForSequenceClassification.from_pretrained(folder, trust_remote_code=True)
    with torch.no_grad():
        return said(abs(ours.eval()(**inputs).logits.sigmoid().item() - theirs) < 1e-5)


if __name__ == "__main__":
    main(sys.argv[1], Path(sys.argv[2]), sys.argv[3:])
