"""A text of any length through a head that says something of each token.

Shape suffixes: T tokens of a row, N tokens of the text, L labels.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

from prunecli.inference.kinds.base import Outputs, Row, Setting
from prunecli.inference.windows import Place, Tokens, frames, judged, pieces, tokens_of


class TextReader:
    """Makes rows of single texts, and puts together what is said of their tokens.

    Args:
        setting: Tokenizer, length and overlap.
    """

    def __init__(self, setting: Setting) -> None:
        self.setting = setting
        (self.frame,) = frames(setting.tokenizer, None)

    def rows(self, texts: Sequence[str]) -> list[list[Row]]:
        """Return the rows of each text."""
        room = max(self.setting.max_length - self.frame.tokens, 1)
        start = len(self.frame.head["input_ids"])
        overlap = self.setting.options.overlap
        return [
            [
                self.frame.row(tokens.ids[piece.start : piece.stop], Place(piece, start, tokens))
                for piece in pieces(len(tokens.ids), room, overlap)
            ]
            for tokens in tokens_of(self.setting.tokenizer, texts)
        ]


def text_logits(rows: Sequence[Row], outputs: Sequence[Outputs]) -> tuple[Tokens, Tensor]:
    """Return a text in tokens, and their logits [N, L]."""
    parts = [
        judged(output["logits"], row.aside.piece, row.aside.start)
        for row, output in zip(rows, outputs, strict=True)
    ]
    return rows[0].aside.tokens, torch.cat(parts)
