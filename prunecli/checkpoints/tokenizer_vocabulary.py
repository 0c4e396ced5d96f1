"""tokenizer.json with fewer tokens: which ones have to stay so that texts of kept tokens split as before.

A document is what a `tokenizer.json` holds. Its model is one of four types, and each keeps its promise in its own way:

- WordPiece takes the longest known piece, step by step: where that piece stays, no shorter one comes before it.
- BPE merges the pair of lowest rank: where all merges that lead to a kept token stay, in their order, the same
  are done.
- Unigram takes the split of highest score: a best split of kept pieces stays the best among fewer. An unknown
  character costs a fixed distance from the lowest score of all, so the piece with that score stays.
- WordLevel looks words up.

Texts with other tokens have to split too. So every letter of the kept tokens stays a token where it was one: such
texts split into smaller pieces, and become unknown only where letters were never seen.
"""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from prunecli.errors import InputError

Document = dict[str, Any]
Tokens = set[str]


def token_ids(document: Document) -> dict[str, int]:
    """Return the id of each token of the model and of those that were added to it."""
    added = {token["content"]: token["id"] for token in document["added_tokens"]}
    return {**_model_ids(document["model"]), **added}


def kept_ids(document: Document, used: Iterable[int]) -> set[int]:
    """Return the ids that have to stay where the used ones do.

    Args:
        document: The tokenizer.
        used: Ids that occur in texts; others than the tokenizer's are left out.

    Raises:
        InputError: The model is of a type that is not known.
    """
    model = document["model"]
    if model["type"] not in STAYING:
        raise InputError(
            f"a tokenizer of type {model['type']} cannot lose tokens", f"supported: {', '.join(STAYING)}"
        )
    ids = token_ids(document)
    asked = set(used)
    tokens = {token for token, number in _model_ids(model).items() if number in asked}
    staying = STAYING[model["type"]](document, tokens)
    known = set(ids.values())
    return {ids[token] for token in staying if token in ids} | (asked & known) | set(_named_ids(document))


def renumbered(document: Document, new: Mapping[int, int]) -> Document:
    """Return a tokenizer that has only the tokens with a new id, under that id.

    Raises:
        InputError: The tokenizers library would give a token another id.
    """
    changed = {
        **document,
        "model": _renumbered_model(document["model"], new),
        "added_tokens": [{**token, "id": new[token["id"]]} for token in document["added_tokens"]],
        "post_processor": _renumbered_post_processor(document.get("post_processor"), new),
    }
    if changed.get("padding"):
        changed["padding"] = {**changed["padding"], "pad_id": new[changed["padding"]["pad_id"]]}
    wanted = {token: new[number] for token, number in token_ids(document).items() if number in new}
    _check(changed, wanted)
    return changed


def _model_ids(model: Document) -> dict[str, int]:
    if isinstance(model["vocab"], list):
        return {piece: number for number, (piece, _) in enumerate(model["vocab"])}
    return dict(model["vocab"])


def _pairs(model: Document) -> Iterator[tuple[Any, str, str]]:
    """Yield each merge as it is written, and its two parts."""
    for merge in model["merges"]:
        left, right = merge.split(" ") if isinstance(merge, str) else merge
        yield merge, left, right


def _merged(model: Document, left: str, right: str) -> str:
    """Return what a merge makes: the right part loses the mark that it goes on a word."""
    return left + right.removeprefix(model.get("continuing_subword_prefix") or "")


def _spelled(model: Document, tokens: Iterable[str]) -> Tokens:
    """Return the letters of tokens, in every form that stands for one in a word."""
    prefix, suffix = (model.get(key) or "" for key in ("continuing_subword_prefix", "end_of_word_suffix"))
    letters = {letter for token in tokens for letter in token.removeprefix(prefix).removesuffix(suffix)}
    return {form for letter in letters for form in (letter, prefix + letter, letter + suffix)}


def _bytes(model: Document) -> Tokens:
    """Return the tokens that spell unknown letters byte by byte, where the model does that."""
    return {f"<0x{number:02X}>" for number in range(256)} if model.get("byte_fallback") else set()


def _word_piece(document: Document, used: Tokens) -> Tokens:
    model = document["model"]
    return {*used, model["unk_token"], *_spelled(model, used)}


def _word_level(document: Document, used: Tokens) -> Tokens:
    return {*used, document["model"]["unk_token"]}


def _unigram(document: Document, used: Tokens) -> Tokens:
    """Keep the pieces up to the unknown one too: some tokenizer classes know its place by heart."""
    model = document["model"]
    pieces = model["vocab"]
    first = {piece for piece, _ in pieces[: (model.get("unk_id") or 0) + 1]}
    lowest = min(pieces, key=lambda entry: float(entry[1]))[0]
    return {*used, *first, lowest, *_spelled(model, used), *_bytes(model)}


def _bpe(document: Document, used: Tokens) -> Tokens:
    """Keep the parts of every merge that makes a kept token, and the parts of these."""
    from tokenizers.pre_tokenizers import ByteLevel

    model = document["model"]
    parts: dict[str, list[str]] = {}
    for _, left, right in _pairs(model):
        parts.setdefault(_merged(model, left, right), []).extend((left, right))
    byte_level = '"ByteLevel"' in json.dumps([document.get("pre_tokenizer"), document.get("normalizer")])
    kept = {*used, *_spelled(model, used), *_bytes(model), *(ByteLevel.alphabet() if byte_level else ())}
    if model.get("unk_token"):
        kept.add(model["unk_token"])
    waiting = list(kept)
    while waiting:
        new = set(parts.get(waiting.pop(), ())) - kept
        kept |= new
        waiting += new
    return kept


# What stays with the tokens that texts use, by type of model.
STAYING: dict[str, Callable[[Document, Tokens], Tokens]] = {
    "BPE": _bpe,
    "Unigram": _unigram,
    "WordLevel": _word_level,
    "WordPiece": _word_piece,
}


def _named_ids(document: Document) -> Iterator[int]:
    """Yield the ids that a tokenizer names itself: added and special tokens, padding."""
    yield from (token["id"] for token in document["added_tokens"])
    if document.get("padding"):
        yield document["padding"]["pad_id"]
    yield from _post_processor_ids(document.get("post_processor"))


def _post_processor_ids(step: Document | None) -> Iterator[int]:
    for inner in (step or {}).get("processors", ()):
        yield from _post_processor_ids(inner)
    for token in (step or {}).get("special_tokens", {}).values():
        yield from token["ids"]
    yield from (step[name][1] for name in ("cls", "sep") if step is not None and name in step)


def _renumbered_post_processor(step: Document | None, new: Mapping[int, int]) -> Document | None:
    """Put new ids where a step names its special tokens: a template's table, BERT's pair, a sequence's steps."""
    if step is None:
        return None
    changed = dict(step)
    if "processors" in step:
        changed["processors"] = [_renumbered_post_processor(inner, new) for inner in step["processors"]]
    if "special_tokens" in step:
        changed["special_tokens"] = {
            name: {**token, "ids": [new[number] for number in token["ids"]]}
            for name, token in step["special_tokens"].items()
        }
    return changed | {name: [step[name][0], new[step[name][1]]] for name in ("cls", "sep") if name in step}


def _renumbered_model(model: Document, new: Mapping[int, int]) -> Document:
    if isinstance(model["vocab"], list):
        pieces = [entry for number, entry in enumerate(model["vocab"]) if number in new]
        unknown = model.get("unk_id")
        return {**model, "vocab": pieces, "unk_id": None if unknown is None else new[unknown]}
    kept = {token: new[number] for token, number in model["vocab"].items() if number in new}
    changed = {**model, "vocab": dict(sorted(kept.items(), key=lambda item: item[1]))}
    if "merges" in model:
        changed["merges"] = [
            merge
            for merge, left, right in _pairs(model)
            if {left, right, _merged(model, left, right)} <= kept.keys()
        ]
    return changed


def _check(document: Document, wanted: Mapping[str, int]) -> None:
    """Ask the library itself: it numbers added tokens by rules of its own."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(json.dumps(document))
    for token, number in wanted.items():
        if tokenizer.token_to_id(token) != number:
            raise InputError(
                f"token {token!r} would get id {tokenizer.token_to_id(token)} instead of {number}: "
                "the tokenizer's ids have holes that cannot be closed",
                "leave the vocabulary as it is",
            )
