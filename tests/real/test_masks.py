"""Real masks of Kwon et al.'s method, cut out of random weights of the shape that they were found on."""

import os
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import torch
from torch import Tensor
from transformers import AutoConfig, AutoModel

from prunecli.config import ApplyMasksConfig
from prunecli.masks import MaskSet, formats
from prunecli.masks.budget import encoder_flops
from prunecli.masks.gates import put_gates, set_masks
from prunecli.operations import apply_masks
from tests import tiny

ROOT = Path(os.environ.get("PRUNECLI_REAL_DIR", "nowhere"))
FILES = sorted((ROOT / "data" / "masks").glob("*.safetensors"))
NAMES = [path.name for path in FILES] or ["none"]
pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(not FILES, reason="PRUNECLI_REAL_DIR names no folder with data/masks/"),
]

# Mean tokens of a task's examples, at which the method counts its multiplications (`dataset/glue.py` and `main.py`
# of WoosukKwon/retraining-free-pruning); it counts the linears and attention products that we count.
MEAN_LENGTH = {"mnli": 39.05, "squad": 170, "sst2": 25.16, "stsb": 31.47}
WORDS = 100


@pytest.fixture(scope="session")
def checkpoint() -> Iterator[Callable[[str], Path]]:
    """Return a function name -> folder of a bare encoder with random weights and few words; never write into it."""
    with TemporaryDirectory() as root:  # hundreds of megabytes, which pytest would keep

        @cache
        def folder(name: str) -> Path:
            torch.manual_seed(0)
            config = AutoConfig.for_model(name.split("-")[0], vocab_size=WORDS)
            AutoModel.from_config(config).save_pretrained(Path(root) / name)
            return Path(root) / name

        yield folder


@pytest.fixture(scope="session")
def inputs() -> dict[str, Tensor]:
    """Return a short batch with some padding."""
    ids_BT = torch.randint(5, WORDS, (2, 24), generator=torch.Generator().manual_seed(0))
    mask_BT = torch.ones_like(ids_BT)
    mask_BT[1, 15:] = 0
    return {"input_ids": ids_BT, "attention_mask": mask_BT}


@pytest.mark.parametrize("name", NAMES)
def test_a_real_cut_equals_the_gated_model(
    name: str, checkpoint: Callable[[str], Path], inputs: dict[str, Tensor]
) -> None:
    file = next(path for path in FILES if path.name == name)
    source = checkpoint(name.split(".")[0])
    masks = formats.read(file, tiny.sizes(source))
    with TemporaryDirectory() as folder:
        out = Path(folder) / "cut"
        apply_masks.run(ApplyMasksConfig.of({"source": source, "masks": file, "out": out}))
        cut = tiny.load(out)
    gated = tiny.load(source)
    assert (tiny.outputs(cut, inputs) - tiny.outputs(gated, inputs)).abs().max() > 1, "no gates yet"
    set_masks(put_gates(gated, tiny.sizes(source), tuple(masks.masks)), masks)
    for attention in tiny.attentions(gated):
        tiny.use_attention(cut, attention)
        tiny.use_attention(gated, attention)
        assert (tiny.outputs(cut, inputs) - tiny.outputs(gated, inputs)).abs().max() <= 1e-5


@pytest.mark.parametrize("name", NAMES)
def test_the_flops_left_are_the_constraint_less_a_part_of_a_neuron(
    name: str, checkpoint: Callable[[str], Path]
) -> None:
    """The method takes all heads that it wants, then as many whole neurons as still fit: never more than asked."""
    file = next(path for path in FILES if path.name == name)
    encoder = tiny.sizes(checkpoint(name.split(".")[0]))
    masks = formats.read(file, encoder)
    asked, tokens = float(masks.provenance["constraint"]), MEAN_LENGTH[masks.provenance["task"]]
    left_over = asked * encoder_flops(encoder, MaskSet({}), tokens) - encoder_flops(encoder, masks, tokens)
    neuron = 2 * 2 * tokens * encoder.hidden
    assert 0 <= left_over < neuron
