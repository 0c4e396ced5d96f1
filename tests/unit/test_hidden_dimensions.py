"""Dimensions of the residual stream: what gates on them do, who can lose them, what is left."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.encoders import Encoder
from prunecli.errors import InputError, MaskError, UnsupportedModelError
from prunecli.masks import MaskSet, prices
from prunecli.masks.allocation import width_multiples
from prunecli.masks.budget import encoder_flops, layer_parameters
from prunecli.masks.gates import GatedNorm, put_gates, set_masks
from prunecli.masks.units import Touch, mask_shape, touches
from prunecli.training.budget import Lagrangian
from prunecli.training.live_cut import cut_live, parameters_left, put_back
from prunecli.training.target import Target
from tests import tiny

SOME = np.arange(tiny.HIDDEN, dtype=np.float32)[None] % 3 > 0


def masks(**others: np.ndarray) -> MaskSet:
    return MaskSet({"hidden": SOME.astype(np.float32), **others})


def test_a_norm_over_open_dimensions_is_the_norm_of_these_alone() -> None:
    norm, alone, x = nn.LayerNorm(tiny.HIDDEN), nn.LayerNorm(int(SOME.sum())), torch.randn(5, tiny.HIDDEN)
    tiny.randomise(nn.ModuleDict({"norm": norm}), 0)
    kept = torch.from_numpy(SOME[0])
    values = {"hidden": kept[None].float()}
    gated = GatedNorm(norm, Touch("hidden", 0, "norm", 0, gated=True), values)
    for name, parameter in alone.named_parameters():
        parameter.data = norm.get_parameter(name).data[kept]
    assert torch.allclose(gated(x)[:, kept], alone(x[:, kept]), atol=1e-6)
    assert (gated(x)[:, ~kept] == 0).all()
    values["hidden"] = torch.ones(1, tiny.HIDDEN, requires_grad=True)
    assert torch.allclose(gated(x), norm(x), atol=1e-6)
    gated(x).square().sum().backward()
    assert (values["hidden"].grad != 0).all()


@pytest.mark.parametrize(
    ("refused", "said"),
    [
        (MaskSet({"hidden": SOME / np.float32(2)}), "other values than 0 and 1"),
        (MaskSet({"hidden": np.zeros((1, 32), np.float32)}), "removes every hidden dimension"),
        (masks(ffn_out=np.zeros((3, 32), np.float32)), "picks among hidden dimensions"),
    ],
)
def test_what_cannot_be_cut_is_refused(refused: MaskSet, said: str, bert_encoder: Encoder) -> None:
    with pytest.raises(MaskError, match=said):
        refused.check(bert_encoder, "model")


@pytest.mark.parametrize(
    ("model_type", "head"), [("bert", "Model"), ("bert", "ForMaskedLM"), ("albert", tiny.HEADS[0])]
)
def test_where_the_stream_is_an_output_or_unknown_it_keeps_its_width(
    model_type: str, head: str, tiny_checkpoint: Callable[..., Path], tmp_path: Path
) -> None:
    with pytest.raises(UnsupportedModelError, match=r"hidden dimensions of a .* cannot go"):
        tiny.cut(tiny_checkpoint(model_type, head), masks(), tmp_path / "cut")


def test_a_head_that_reads_the_stream_itself_keeps_it(tmp_path: Path) -> None:
    pruning = {"pruning_config": {"hidden_state": "pre_final_norm"}}
    source = tiny.save_tiny(tmp_path / "source", "modernbert", next(reversed(tiny.AROUND)), **pruning)
    with pytest.raises(UnsupportedModelError, match="reads the state before the final norm cannot go"):
        tiny.cut(source, masks(), tmp_path / "cut")


def test_norms_by_the_names_of_old_checkpoints_are_not_left_whole(tmp_path: Path) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert")
    tensors = load_file(source / "model.safetensors")
    renamed = {
        name.replace("LayerNorm.weight", "LayerNorm.gamma"): tensor for name, tensor in tensors.items()
    }
    save_file(renamed, source / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"LayerNorm\.\w+, but none .*LayerNorm\.weight"):
        tiny.cut(source, masks(), tmp_path / "cut")


def test_embeddings_of_another_width_are_left_alone() -> None:
    names = [
        {
            touch.module
            for touch in touches(tiny.table(tiny.tiny_model("electra", embedding_size=size)), "hidden", 0)
        }
        for size in (16, tiny.HIDDEN)
    ]
    assert "embeddings_project" in names[0] - names[1]
    assert {"embeddings.word_embeddings", "embeddings.LayerNorm"} <= names[1] - names[0]


@pytest.mark.parametrize(
    ("model_type", "changes"),
    [
        ("bert", {}),
        ("distilbert", {}),
        ("electra", {}),
        ("electra", {"embedding_size": 32}),
        ("modernbert", {}),
    ],
)
def test_the_model_that_is_cut_while_it_lives_is_the_gated_one(
    model_type: str, changes: dict[str, int]
) -> None:
    cut, whole = tiny.tiny_model(model_type, **changes), tiny.tiny_model(model_type, **changes)
    encoder = tiny.table(whole)
    mask_set = masks(**tiny.random_masks(encoder, ("head", "layer"), 2).masks)
    cut_live(cut, encoder, mask_set)
    assert parameters_left(whole, encoder, mask_set) == sum(p.numel() for p in cut.parameters())
    tiny.randomise(cut, 7)
    put_back(whole, cut, encoder, mask_set)
    set_masks(put_gates(whole, encoder, tuple(mask_set.masks)), mask_set)
    inputs = tiny.tiny_inputs(whole)
    assert torch.allclose(tiny.outputs(cut, inputs), tiny.outputs(whole, inputs), atol=1e-5)


def test_hidden_dimensions_go_in_two_steps_as_in_one(bert: Path, tmp_path: Path) -> None:
    first, second = (tiny.random_masks(tiny.sizes(bert), ("hidden", "head"), seed) for seed in (1, 2))
    both = first.after(second)
    twice = tiny.cut(tiny.cut(bert, first, tmp_path / "once"), second, tmp_path / "twice")
    tensors = [
        read_checkpoint(folder).tensors for folder in (twice, tiny.cut(bert, both, tmp_path / "at-once"))
    ]
    assert {name: entry.read() for name, entry in tensors[0].items()} == {
        name: entry.read() for name, entry in tensors[1].items()
    }


PRICES = prices.parameters(tiny.table(tiny.tiny_model("bert")))
LEARNED = (("hidden",), ("head", "hidden"), ("ffn_int", "hidden"), ("head", "ffn_int", "hidden"))


@pytest.mark.parametrize("count", [lambda encoder: prices.flops(encoder, 17), prices.parameters])
@pytest.mark.parametrize("groups", LEARNED)
def test_prices_and_expected_prices_are_counts_of_the_cut_encoder(
    count: Callable[[Encoder], prices.Prices], groups: tuple[str, ...], bert_encoder: Encoder
) -> None:
    mask_set, everything = tiny.random_masks(bert_encoder, groups, 4), count(bert_encoder).only(groups)
    counted = encoder_flops(bert_encoder, mask_set, 17), layer_parameters(bert_encoder, mask_set)
    wanted = counted[everything.unit == "params"]
    assert everything.of(
        {group: [int(row.sum()) for row in mask] for group, mask in mask_set.masks.items()}
    ) == pytest.approx(wanted)
    sure = {group: torch.from_numpy(mask) for group, mask in mask_set.masks.items()}
    assert float(Lagrangian(everything, 0.5).expected(sure)) == pytest.approx(
        wanted / everything.dense, rel=1e-5
    )


@pytest.mark.parametrize("share", [1.0, 0.6, 0.2])
@pytest.mark.parametrize("groups", LEARNED)
@pytest.mark.parametrize("open_", [0.1, 0.5, 0.9])
def test_a_budget_is_spent_on_hidden_dimensions_and_units(
    share: float, groups: tuple[str, ...], open_: float, bert_encoder: Encoder
) -> None:
    target = Target(PRICES.only(groups), share, width_multiples(bert_encoder, 1))
    chances = {group: open_ * torch.rand(mask_shape(bert_encoder, group)) for group in groups}
    kept = {group: mask.sum(1).tolist() for group, mask in target.by_chance(chances).items()}
    reached = target.prices.of(kept) / target.prices.dense
    one = (target.prices.at(1).dense - target.prices.at(0).dense) / target.prices.dense
    assert share - max(one, 0.01) < reached <= share + 1e-9


def test_a_budget_that_pays_for_no_stream_is_refused(bert_encoder: Encoder) -> None:
    target = Target(PRICES.only(("hidden",)), 0.01, {})
    with pytest.raises(InputError, match="leave no hidden dimension"):
        target.by_chance({"hidden": torch.rand(1, tiny.HIDDEN)})


def test_the_stream_can_be_rounded_to_what_hardware_likes(bert: Path, tmp_path: Path) -> None:
    cut = tiny.cut(bert, masks(), tmp_path / "cut", round_to=["hidden=8"])
    assert read_checkpoint(cut).config["hidden_dimensions"] == 24
    assert tiny.load(cut).get_input_embeddings().weight.shape == (tiny.VOCABULARY, 24)
