"""Cutting: the plan of new shapes, and the slicing of tensors. No model is ever built."""
