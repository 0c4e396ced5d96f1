"""Proof that a folder loads with AutoModel and computes what it should: one small function a check."""
