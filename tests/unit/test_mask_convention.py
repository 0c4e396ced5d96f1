"""`.pt` masks of a model whose hidden and intermediate size are equal: `--mask-convention` says what they are."""

from pathlib import Path
from typing import Any

import pytest
import torch

from prunecli.config import ApplyMasksConfig, VerifyConfig
from prunecli.errors import MaskError
from prunecli.masks import formats
from prunecli.operations import apply_masks, verify_automodel
from tests import tiny

OPEN = "hidden and intermediate size are both 32, so the FFN masks' meaning is open"


@pytest.fixture(scope="module")
def square(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return the folder of a tiny BERT with as many neurons as hidden features."""
    return tiny.save_tiny(tmp_path_factory.mktemp("square"), "bert", intermediate_size=tiny.HIDDEN)


@pytest.fixture(scope="module")
def trio(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a folder with the three files of the field."""
    folder = tmp_path_factory.mktemp("trio")
    units = {"head_mask": 4, "ffn_intermediate_mask": tiny.HIDDEN, "ffn_output_mask": tiny.HIDDEN}
    generator = torch.Generator().manual_seed(0)
    for name, size in units.items():
        torch.save((torch.rand(3, size, generator=generator) < 0.7).float(), folder / f"{name}.pt")
    return folder


def apply(**values: Any) -> apply_masks.ApplyMasksResult:
    """Run `apply-masks`."""
    return apply_masks.run(ApplyMasksConfig.of(values))


def verify(**values: Any) -> verify_automodel.VerifyResult:
    """Run `verify-automodel`."""
    return verify_automodel.run(VerifyConfig.of(values))


@pytest.mark.parametrize("named", ["", "head_mask.pt"])
def test_both_verbs_ask_which_convention(named: str, square: Path, trio: Path, tmp_path: Path) -> None:
    with pytest.raises(MaskError, match=OPEN) as raised:
        apply(source=square, masks=trio / named, out=tmp_path / "out")
    assert "--mask-convention" in str(raised.value.fix)
    with pytest.raises(MaskError, match=OPEN):
        verify(checkpoint=square, against=square, masks=trio / named)


@pytest.mark.parametrize(
    ("convention", "groups"),
    [("inputs", {"head", "ffn_in", "ffn_int"}), ("outputs", {"head", "ffn_int", "ffn_out"})],
)
def test_the_convention_decides_what_is_cut(
    convention: str, groups: set[str], square: Path, trio: Path, tmp_path: Path
) -> None:
    cut = tmp_path / "out"
    apply(source=square, masks=trio, mask_convention=convention, out=cut)
    assert formats.read(cut, tiny.sizes(square)).masks.keys() == groups
    verdict = verify(checkpoint=cut, against=square, masks=trio, mask_convention=convention)
    assert verdict.passed


def test_the_other_convention_is_another_model(square: Path, trio: Path, tmp_path: Path) -> None:
    cut = tmp_path / "out"
    apply(source=square, masks=trio, mask_convention="inputs", out=cut)
    verdict = verify(checkpoint=cut, against=square, masks=trio, mask_convention="outputs")
    assert [finding.check for finding in verdict.findings if finding.status == "fail"] == ["parity"]
