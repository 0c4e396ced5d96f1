"""Rows of texts and pairs that are read once, cut to what the model takes; those that lost tokens are counted."""

from collections.abc import Sequence

from transformers import PreTrainedTokenizerBase

from prunecli.inference.kinds.base import Row, Setting


def truncated_rows(setting: Setting, texts: Sequence[tuple[str, ...]]) -> list[Row]:
    """Tokenise as training does, and count what was cut.

    Args:
        setting: Tokenizer and length.
        texts: One text or two, the same number for all.
    """
    rows = rows_of(setting.tokenizer, texts, setting.max_length)
    _count_cut(
        setting, [pair for pair, row in zip(texts, rows, strict=True) if row.tokens == setting.max_length]
    )
    return rows


def rows_of(tokenizer: PreTrainedTokenizerBase, texts: Sequence[Sequence[str]], max_length: int) -> list[Row]:
    """Tokenise as training does: texts, or pairs of them, cut to a number of tokens."""
    if not texts:
        return []
    columns = [list(column) for column in zip(*texts, strict=True)]
    encoded = tokenizer(*columns, truncation=True, max_length=max_length)
    return [Row(dict(zip(encoded, values, strict=True))) for values in zip(*encoded.values(), strict=True)]


def _count_cut(setting: Setting, full: Sequence[tuple[str, ...]]) -> None:
    """Count of the texts that fill a row those that are longer."""
    if full:
        columns = [list(column) for column in zip(*full, strict=True)]
        whole = setting.tokenizer(*columns, truncation=False, verbose=False)["input_ids"]
        for ids in whole:
            if len(ids) > setting.max_length:
                setting.count("records_cut")
