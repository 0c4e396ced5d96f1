"""Masks: the units that can go, which of them stay, and what they cost."""

from prunecli.masks.mask_set import MaskSet

__all__ = ["MaskSet"]
