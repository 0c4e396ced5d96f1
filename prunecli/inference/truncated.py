"""Rows of texts and pairs that are read once, cut to what the model takes; those that lost tokens are counted."""

from collections.abc import Sequence

from prunecli.inference.kinds.base import Row, Setting


def truncated_rows(setting: Setting, texts: Sequence[tuple[str, ...]]) -> list[Row]:
    """Tokenise as training does.

    Args:
        setting: Tokenizer and length.
        texts: One text or two, the same number for all.
    """
    if not texts:
        return []
    columns = [list(column) for column in zip(*texts, strict=True)]
    encoded = setting.tokenizer(*columns, truncation=True, max_length=setting.max_length)
    rows = [Row(dict(zip(encoded, values, strict=True))) for values in zip(*encoded.values(), strict=True)]
    _count_cut(
        setting, [pair for pair, row in zip(texts, rows, strict=True) if row.tokens == setting.max_length]
    )
    return rows


def _count_cut(setting: Setting, full: Sequence[tuple[str, ...]]) -> None:
    """Count of the texts that fill a row those that are longer."""
    if full:
        columns = [list(column) for column in zip(*full, strict=True)]
        whole = setting.tokenizer(*columns, truncation=False, verbose=False)["input_ids"]
        for ids in whole:
            if len(ids) > setting.max_length:
                setting.count("records_cut")
