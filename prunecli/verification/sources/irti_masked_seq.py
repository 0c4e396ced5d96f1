"""An irti checkpoint: the same encoder and head as in a folder of ours, under the same names."""

from prunecli.verification.sources.masked_seq import outputs

__all__ = ["outputs"]
