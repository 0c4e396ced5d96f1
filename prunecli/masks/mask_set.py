"""The decision about every unit of a model.

Values are real numbers: 0 removes the unit, anything else stays and is folded into the weights
(post-training methods rescale survivors, so 1.9 and -0.1 are normal).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from prunecli.encoders import Encoder
from prunecli.errors import MaskError
from prunecli.masks.units import EVERY_GROUP, mask_shape

Array = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class MaskSet:
    """One mask [layers, units] a group; a group that is absent keeps all its units.

    Attributes:
        masks: float32 arrays by group name.
        logits: Gate logits of the learned groups, where known: the higher, the more valuable.
        provenance: Where the masks come from: method, task, seed and so on, all strings.
    """

    masks: Mapping[str, Array]
    logits: Mapping[str, Array] = field(default_factory=dict)
    provenance: Mapping[str, str] = field(default_factory=dict)

    def of(self, group: str, encoder: Encoder) -> Array:
        """Return the group's mask [layers, units]; all ones where the set has none."""
        if group in self.masks:
            return self.masks[group]
        return np.ones(mask_shape(encoder, group), dtype=np.float32)

    def kept(self, group: str, layer: int, encoder: Encoder) -> npt.NDArray[np.intp]:
        """Return the indices of the layer's kept units, ascending."""
        mask = self.of(group, encoder)
        return np.flatnonzero(mask[0 if group == "hidden" else layer])

    def has_layer(self, layer: int) -> bool:
        """Say whether a layer stays, whatever is left of it."""
        return "layer" not in self.masks or bool(self.masks["layer"][layer].any())

    def narrows(self) -> bool:
        """Say whether the residual stream loses dimensions."""
        return "hidden" in self.masks and not self.masks["hidden"].all()

    def after(self, earlier: "MaskSet") -> "MaskSet":
        """Return what is left when these masks follow earlier ones on the same model."""
        masks = {**earlier.masks, **self.masks}
        for group in earlier.masks.keys() & self.masks.keys():
            masks[group] = earlier.masks[group] * self.masks[group]
        return MaskSet(masks, self.logits, {**earlier.provenance, **self.provenance})

    @property
    def counts(self) -> dict[str, list[int]]:
        """Return how many units are kept, by group and layer."""
        return {group: [int(row.sum()) for row in mask != 0] for group, mask in self.masks.items()}

    def density(self, group: str) -> float:
        """Return the kept share of a group's units."""
        return float(np.count_nonzero(self.masks[group]) / self.masks[group].size)

    def check(self, encoder: Encoder, model: str) -> None:
        """Refuse masks that do not belong to the model.

        Args:
            encoder: The model that they shall be applied to.
            model: Its name, for the message.

        Raises:
            MaskError: A shape differs, a value cannot be cut as it is, or no unit at all is left.
            UnsupportedModelError: The model has no such units.
        """
        for group, mask in self.masks.items():
            if group not in EVERY_GROUP:
                raise MaskError(f"unknown mask group {group!r}", f"groups are {', '.join(EVERY_GROUP)}")
            wanted = mask_shape(encoder, group)
            if mask.shape != wanted:
                raise MaskError(
                    f"mask {group} has shape {list(mask.shape)}, but {model} needs {list(wanted)} "
                    "([layers, units])",
                    "apply masks to the checkpoint that they were learned on",
                )
            if not np.isfinite(mask).all():
                raise MaskError(f"mask {group} holds NaN or infinite values")
            if group in ("layer", "hidden") and not np.isin(mask, (0, 1)).all():
                raise MaskError(f"mask {group} holds other values than 0 and 1, which no weight can take up")
        self._check_hidden()
        for group, logits in self.logits.items():
            if group in self.masks and logits.shape != self.masks[group].shape:
                raise MaskError(f"logits of {group} have shape {list(logits.shape)}, not that of its mask")
        units = {group: self.of(group, encoder) for group in ("head", "ffn_int", "ffn_out")}
        if not any(
            units["head"][layer].any() or (units["ffn_int"][layer].any() and units["ffn_out"][layer].any())
            for layer in filter(self.has_layer, range(encoder.layers))
        ):
            raise MaskError(
                f"these masks remove every head and every neuron of {model}",
                "keep some of them; when they were learned without a target, with a lower --sparsity-loss",
            )

    def _check_hidden(self) -> None:
        """Refuse a stream without dimensions, and masks that name dimensions of a stream that loses some."""
        if not self.narrows():
            return
        if not self.masks["hidden"].any():
            raise MaskError("mask hidden removes every hidden dimension", "keep some of them")
        both = [group for group in ("ffn_out", "ffn_in") if not self.masks.get(group, np.ones(1)).all()]
        if both:
            raise MaskError(
                f"masks of hidden and of {both[0]} cannot be joined: {both[0]} picks among hidden dimensions",
                "cut hidden dimensions without it",
            )

    def rounded(
        self, encoder: Encoder, multiples: Mapping[str, int], already: "MaskSet | None" = None
    ) -> "MaskSet":
        """Bring cut units back until each layer's width, in rows and columns, is a multiple.

        The most valuable come back first: those with the highest logits, else those with the lowest index.
        Layers that are empty stay empty. A head is as wide as its size: 12 heads of 32 are all multiples of 32.

        Args:
            encoder: The model.
            multiples: What each width shall be a multiple of (never above the full width), by group.
            already: What the model has lost before: it cannot come back, and it makes the full width smaller.
        """
        masks = dict(self.masks)
        for group in masks.keys() & multiples.keys():
            size = encoder.head_size if group == "head" else 1
            step = multiples[group] // math.gcd(multiples[group], size)
            there = (already or MaskSet({})).of(group, encoder) != 0
            masks[group] = masks[group].copy()
            for layer, row in enumerate(masks[group]):
                kept = int(np.count_nonzero(row[there[layer]]))
                wanted = min(-(-kept // step) * step, int(there[layer].sum()))
                cut = np.flatnonzero((row == 0) & there[layer])
                if group in self.logits:
                    cut = cut[np.argsort(-self.logits[group][layer][cut], kind="stable")]
                row[cut[: wanted - kept]] = 1.0
        return MaskSet(masks, self.logits, self.provenance)
