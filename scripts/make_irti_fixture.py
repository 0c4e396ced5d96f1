"""Write the tiny checkpoint in the layout of irti_custom that `tests/unit/test_irti_masked_seq.py` reads.

Run from the repository root (a second): `python scripts/make_irti_fixture.py`.

Nothing of irti_custom is used. The layout is what its `save_pretrained` writes: the encoder's whole config inside
`config.json`, the encoder's tensors under its `model_type`, the head as a sequence of linear, GELU, norm, linear. The
expected logits are computed here by hand, from a stock BERT and four tensors.
"""

import argparse
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor
from torch.nn import functional
from transformers import BertConfig, BertModel

DEFAULT_OUT = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "irti_masked_seq"
SEED, HIDDEN, LABELS = 0, 8, 3
SIZES: dict[str, Any] = {
    "vocab_size": 24, "hidden_size": HIDDEN, "num_hidden_layers": 1, "num_attention_heads": 2,
    "intermediate_size": 12, "max_position_embeddings": 16, "type_vocab_size": 2,
}  # fmt: skip
# What transformers 4 wrote into every config besides, generation included.
OLDER = {
    "_name_or_path": "/home/trainer/bert-tiny", "architectures": ["BertForMaskedLM"], "torch_dtype": "float32",
    "is_decoder": False, "is_encoder_decoder": False, "max_length": 20, "min_length": 0, "do_sample": False,
    "num_beams": 1, "temperature": 1.0, "top_k": 50, "top_p": 1.0, "pruned_heads": {}, "torchscript": False,
    "use_bfloat16": False, "tf_legacy_loss": False, "id2label": {"0": "LABEL_0", "1": "LABEL_1"},
    "label2id": {"LABEL_0": 0, "LABEL_1": 1}, "transformers_version": "4.46.3",
}  # fmt: skip
CONFIG = {
    "architectures": ["AutoModelForMaskedSeqModeling"],
    "base_model_attr_name": "bert",
    "base_model_name_or_path": "/home/trainer/bert-tiny",
    "base_model_type": "bert",
    "dtype": "float32",
    "id2label": {"0": "person", "1": "place", "2": "date"},
    "label2id": {"person": 0, "place": 1, "date": 2},
    "model_type": "irti_masked_seq_modeling",
    "problem_type": "multi_label_classification",
    "strict_mlm_check": False,
    "task": "multilabel",
    "transformers_version": "4.46.3",
    "trust_remote_code": True,  # a checkpoint that asks for code: nobody may listen
}


def head(hidden_BMH: Tensor, weights: dict[str, Tensor]) -> Tensor:
    """Return the logits [B, M, L] of the hidden states at some positions."""
    inner = functional.gelu(functional.linear(hidden_BMH, weights["head.0.weight"], weights["head.0.bias"]))
    normed = functional.layer_norm(inner, (HIDDEN,), weights["head.2.weight"], weights["head.2.bias"])
    return functional.linear(normed, weights["head.3.weight"], weights["head.3.bias"])


@torch.no_grad()
def main(out: Path) -> None:
    """Write config, weights, inputs and expected logits."""
    torch.manual_seed(SEED)
    encoder = BertModel(BertConfig(**SIZES)).train(False)
    shapes = {
        "head.0.weight": (HIDDEN, HIDDEN), "head.0.bias": (HIDDEN,), "head.2.weight": (HIDDEN,),
        "head.2.bias": (HIDDEN,), "head.3.weight": (LABELS, HIDDEN), "head.3.bias": (LABELS,),
    }  # fmt: skip
    weights = {
        f"bert.{name}": torch.randn_like(tensor) * 0.3 for name, tensor in encoder.state_dict().items()
    }
    weights |= {name: torch.randn(shape) for name, shape in shapes.items()}
    encoder.load_state_dict(
        {name.removeprefix("bert."): weights[name] for name in weights if "bert." in name}
    )

    ids_BT = torch.randint(1, SIZES["vocab_size"], (2, 9))
    mask_BT = torch.ones_like(ids_BT)
    ids_BT[1, 6:], mask_BT[1, 6:] = 0, 0
    indices_BM = torch.tensor([[1, 4, 8], [0, 5, 2]])
    hidden_BTH = encoder(ids_BT, attention_mask=mask_BT).last_hidden_state
    logits_BML = head(hidden_BTH[torch.arange(2)[:, None], indices_BM], weights)

    out.mkdir(parents=True, exist_ok=True)
    config = {**CONFIG, "base_model_config": {**encoder.config.to_dict(), **OLDER}}
    (out / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    save_file(weights, out / "model.safetensors", {"format": "pt"})
    expected = {
        "input_ids": ids_BT,
        "attention_mask": mask_BT,
        "mask_indices": indices_BM,
        "logits": logits_BML,
    }
    save_file(expected, out / "expected.safetensors")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT)
    main(parser.parse_args().out)
