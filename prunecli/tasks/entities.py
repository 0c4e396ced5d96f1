"""Entity F1 of tags such as B-PER, I-PER, O: spans count, not tokens.

A span is right where start, end and kind are (the CoNLL evaluation; Tjong Kim Sang and De Meulder 2003,
https://aclanthology.org/W03-0419). Tags are read as its script and seqeval do it: an I- that continues nothing
begins a span, so IOB1, IOB2 and IOBES count alike.
"""

from collections.abc import Iterable, Sequence

OUTSIDE = "O"
PREFIXES = ("B", "I", "E", "S")

Span = tuple[str, int, int]  # kind, first tag, one after the last tag


def are_tags(labels: Iterable[str]) -> bool:
    """Say whether labels are such tags, at least one of them of an entity."""
    others = set(labels) - {OUTSIDE}
    return bool(others) and all(label[:1] in PREFIXES and label[1:2] == "-" for label in others)


def spans(tags: Sequence[str]) -> set[Span]:
    """Return the entities of one text."""
    found: set[Span] = set()
    inside: tuple[str, int] | None = None  # kind and first tag of the span at hand
    for place, tag in enumerate([*tags, OUTSIDE]):
        prefix, _, kind = tag.partition("-")
        goes_on = inside is not None and prefix in ("I", "E") and kind == inside[0]
        if inside is not None and not goes_on:
            found.add((*inside, place))
            inside = None
        if inside is None and prefix != OUTSIDE:
            inside = (kind, place)
        if inside is not None and prefix in ("E", "S"):
            found.add((*inside, place + 1))
            inside = None
    return found


def f1(predicted: Sequence[Sequence[str]], true: Sequence[Sequence[str]]) -> float:
    """Return the F1 of the entities of all texts; 0 where there are none on either side."""
    pairs = [(spans(found), spans(wanted)) for found, wanted in zip(predicted, true, strict=True)]
    right = sum(len(found & wanted) for found, wanted in pairs)
    counted = sum(len(found) + len(wanted) for found, wanted in pairs)
    return 2 * right / counted if counted else 0.0
