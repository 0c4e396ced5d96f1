"""Make the fixtures of checkpoints as others wrote them, with the transformers of their time.

    pip install torch 'transformers==4.57.*'
    python scripts/make_original_fixtures.py tests/fixtures/originals

prunecli is not imported: this runs in the older environment. Each folder is a tiny checkpoint in the layout of its
package; `NAME.safetensors` beside folder NAME holds inputs and what the package's forward pass gave for them:
stock classes of that transformers, the pruning head on `hidden_states[-1]`. None of the packages' code is here.
"""

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from tokenizers.pre_tokenizers import Whitespace
from tokenizers.processors import TemplateProcessing
from torch import Tensor, nn

HIDDEN, VOCABULARY, POSITIONS, LENGTH = 8, 32, 40, 32
SIZES = {
    "vocab_size": VOCABULARY, "hidden_size": HIDDEN, "num_hidden_layers": 2, "num_attention_heads": 2,
    "intermediate_size": 12, "max_position_embeddings": POSITIONS,
}  # fmt: skip
WORDS = (
    "who", "wrote", "it", "was", "written", "by", "ada", "the", "weather", "fine", "in", "may", "and", "cat", "sat",
    "on", "mat",
)  # fmt: skip
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
# Every generation default that the package's dump had; two will do.
DUMP = {"max_length": 20, "top_k": 50}


def config(model_type: str, **more: object) -> Any:
    """Return a tiny config."""
    own: dict[str, object] = {"local_attention": 8, "pad_token_id": 0} if model_type == "modernbert" else {}
    if model_type == "modernbert":
        own |= {"bos_token_id": 2, "eos_token_id": 3, "cls_token_id": 2, "sep_token_id": 3}
        own |= {"attn_implementation": "eager", "reference_compile": False}
    return transformers.AutoConfig.for_model(model_type, **SIZES, **own, **more)


def randomise(model: Any) -> Any:
    """Draw every parameter, so that no bias or norm is trivial; ModernBERT's final norm by far."""
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            centre = 1.0 if "norm" in name.lower() and name.endswith("weight") else 0.0
            parameter.copy_(centre + 0.3 * torch.randn_like(parameter))
    return model.eval()


def save_tokenizer(folder: Path) -> None:
    """Save a tokenizer of words that makes pairs as BERT does, with segments."""
    words = {word: number for number, word in enumerate([*SPECIAL, *WORDS])}
    backend = Tokenizer(WordLevel(words, unk_token="[UNK]"))
    backend.pre_tokenizer = Whitespace()
    ends = [("[CLS]", words["[CLS]"]), ("[SEP]", words["[SEP]"])]
    backend.post_processor = TemplateProcessing(
        single="[CLS] $A [SEP]", pair="[CLS] $A [SEP] $B:1 [SEP]:1", special_tokens=ends
    )
    fast: Any = transformers.PreTrainedTokenizerFast
    fast(
        tokenizer_object=backend, pad_token="[PAD]", unk_token="[UNK]", cls_token="[CLS]", sep_token="[SEP]"
    ).save_pretrained(folder)


def inputs() -> dict[str, Tensor]:
    """Return two pairs, the second padded."""
    ids_BT = torch.randint(4, len(SPECIAL) + len(WORDS), (2, 9))
    mask_BT = torch.ones_like(ids_BT)
    ids_BT[1, -3:], mask_BT[1, -3:] = 0, 0
    return {"input_ids": ids_BT, "attention_mask": mask_BT}


def write(path: Path, value: object) -> None:
    """Write JSON."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def pruning_encoder(folder: Path, model_type: str, mode: str) -> dict[str, Tensor]:
    """Write a PruningEncoder of the training package, and return what it gave."""
    ranks = mode == "reranking_pruning"
    auto: Any = transformers.AutoModelForSequenceClassification if ranks else transformers.AutoModel
    model = randomise(auto.from_config(config(model_type, **({"num_labels": 1} if ranks else {}))))
    head = nn.Linear(HIDDEN, 2)
    inner = folder / ("ranking_model" if ranks else "encoder_model")
    model.save_pretrained(inner)
    save_tokenizer(folder)
    pruning = {
        "hidden_size": HIDDEN,
        "dropout": 0.2,
        "sentence_pooling": "mean",
        "use_weighted_pooling": False,
    }
    settings = {
        "mode": mode, "max_length": LENGTH, "num_labels": 1 if ranks else 2, "pruning_config": {**DUMP, **pruning},
    }  # fmt: skip
    name = "PruningEncoderForSequenceClassification" if ranks else "PruningEncoderForTokenClassification"
    gone = "/mnt/training-machine/that/is/gone"
    dotted = "sentence_transformers.pruning.transformers_compat"  # three dots too many: this never loaded
    write(
        folder / "config.json",
        {
            **settings, "model_type": "pruning_encoder", "base_model_name_or_path": gone, "architectures": [name],
            "auto_map": {"AutoConfig": f"{dotted}.PruningEncoderConfig"},
        },
    )  # fmt: skip
    more = {"model_name_or_path": gone, "architecture": "PruningEncoder", "_original_num_labels": 1}
    write(folder / "pruning_encoder_config.json", {**settings, **more})
    (folder / "modeling_pruning_encoder.py").write_text('raise SystemExit("a stranger\'s code ran")\n')
    write(
        folder / "pruning_head" / "config.json",
        {**pruning, "model_type": "pruning_head", "classifier_dropout": 0.2},
    )
    state = {f"classifier.{name}": tensor for name, tensor in head.state_dict().items()}
    torch.save(state, folder / "pruning_head" / "pytorch_model.bin")
    given = inputs()
    if not ranks:
        return {**given, "pruning_logits": head(model(**given).last_hidden_state)}
    output = model(**given, output_hidden_states=True)
    return {**given, "logits": output.logits, "pruning_logits": head(output.hidden_states[-1])}


def open_provence(folder: Path, prefixed: bool) -> dict[str, Tensor]:
    """Write an OpenProvence checkpoint, or a Trainer's, and return what it gave."""
    base = config("modernbert", num_labels=1)
    auto: Any = transformers.AutoModelForSequenceClassification
    model = randomise(auto.from_config(base))
    head = nn.Linear(HIDDEN, 2)
    prefix = "ranking_model." if prefixed else ""
    state = {prefix + name: tensor for name, tensor in model.state_dict().items()}
    state |= {f"pruning_head.classifier.{name}": tensor for name, tensor in head.state_dict().items()}
    save_tokenizer(folder)
    save_file({name: tensor.contiguous() for name, tensor in state.items()}, folder / "model.safetensors")
    module = "modeling_open_provence_standalone"
    write(
        folder / "config.json",
        {
            "model_type": "open_provence", "mode": "reranking_pruning", "base_model_config": base.to_dict(),
            "base_model_name_or_path": "someone/else", "max_length": LENGTH, "num_labels": 1,
            "num_pruning_labels": 2, "pruning_config": {"hidden_size": HIDDEN}, "tokenizer_name_or_path": None,
            "classifier_dropout": 0.2, "default_threadshold": 0.25,
            "architectures": ["OpenProvenceForSequenceClassification"],
            "auto_map": {"AutoConfig": f"{module}.OpenProvenceConfig"},
        },
    )  # fmt: skip
    (folder / f"{module}.py").write_text('raise SystemExit("a stranger\'s code ran")\n')
    given = inputs()
    output = model(**given, output_hidden_states=True)
    return {**given, "logits": output.logits, "pruning_logits": head(output.hidden_states[-1])}


def pruned_heads(folder: Path) -> dict[str, Tensor]:
    """Write a BERT that lost heads the way transformers 4 cut them, and return what it gave."""
    auto: Any = transformers.AutoModelForSequenceClassification
    model = randomise(auto.from_config(config("bert", num_labels=3)))
    model.prune_heads({0: [1], 1: [0]})
    model.save_pretrained(folder)
    save_tokenizer(folder)
    given = inputs()
    return {**given, "logits": model(**given).logits}


@torch.no_grad()
def main(out: Path) -> None:
    """Write every fixture anew."""
    shutil.rmtree(out, ignore_errors=True)
    torch.manual_seed(0)
    makers: dict[str, Callable[[Path], dict[str, Tensor]]] = {
        f"{mode.replace('_', '-')}-{model_type}": partial(pruning_encoder, model_type=model_type, mode=mode)
        for model_type in ("bert", "modernbert")
        for mode in ("reranking_pruning", "pruning_only")
    }
    makers["open-provence"] = partial(open_provence, prefixed=True)
    makers["open-provence-trainer"] = partial(open_provence, prefixed=False)
    makers["pruned-heads"] = pruned_heads
    for name, make in makers.items():
        (out / name).mkdir(parents=True)
        found = make(out / name)
        save_file({key: value.contiguous() for key, value in found.items()}, out / f"{name}.safetensors")
    write(out / "versions.json", {"transformers": transformers.__version__, "torch": torch.__version__})


if __name__ == "__main__":
    main(Path(sys.argv[1]))
