"""Build the demo checkpoint and data set bundled with prunecli.

Run from the repository root (two to three minutes on one CPU core)::

    python scripts/make_demo.py

Every sentence comes from the small grammar below and the model is trained here from
scratch, so nothing in the demo is taken from elsewhere. With the same machine and library
versions, two runs write byte-identical files.

The label of a sentence (0 negative, 1 positive) cannot be read off its words alone: negation
flips a clause, the main clause wins over a concession, and a quoted opinion only counts if
the writer agrees with it. A few sentences in a hundred are evenly mixed and labelled by coin
toss, so no reader can score 1.0.
"""

from __future__ import annotations

import argparse
import json
import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

import torch
from torch.nn.utils.rnn import pad_sequence
from transformers import BertConfig, BertForSequenceClassification, BertTokenizer

LOGGER = logging.getLogger(__name__)

SEED = 20240
TRAIN_ROWS, VALIDATION_ROWS, EXTRA_ROWS = 2_000, 400, 18_000
MIN_WORDS, MAX_WORDS = 4, 30
EPOCHS, BATCH_SIZE, LEARNING_RATE = 12, 64, 1e-3
MAX_LENGTH = 64
SPECIAL_TOKENS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")
DEFAULT_OUT = Path(__file__).resolve().parent.parent / "prunecli" / "demo"


def phrases(text: str) -> tuple[str, ...]:
    """Split a list written as `one|two words|three`."""
    return tuple(text.split("|"))


# ADJECTIVES and OPINIONS are indexed by label: entry 0 is negative, entry 1 positive.
ADJECTIVES = (
    phrases(
        "bad|bland|boring|clumsy|disappointing|dreary|dull|flat|forgettable|lazy|lifeless|messy|poor|"
        "predictable|rushed|shallow|stale|stiff|tedious|tiresome|weak"
    ),
    phrases(
        "beautiful|charming|clever|delightful|engaging|fresh|good|graceful|impressive|inspired|lively|lovely|"
        "memorable|moving|pleasant|polished|strong|stylish|touching|vivid"
    ),
)
OPINIONS = (  # (base form, past form)
    (("hate", "hated"), ("dislike", "disliked")),
    (("love", "loved"), ("enjoy", "enjoyed"), ("like", "liked"), ("admire", "admired")),
)
SINGULAR_NOUNS = phrases(
    "acting|plot|story|script|ending|opening|music|dialogue|pacing|cast|humor|lighting|"
    "camera work|second half|final scene|main role|sound design"
)
PLURAL_NOUNS = phrases("characters|costumes|effects|jokes|performances|scenes|songs|twists")
INTENSIFIERS = phrases("very|really|truly|quite|rather|so|surprisingly|remarkably|simply")
LINKING_VERBS = (("feel", "felt"), ("seem", "seemed"), ("look", "looked"))
NEGATED_BE = phrases("not|not at all|never|never really|hardly|hardly ever|far from|not very|anything but")
NEGATED_VERB = phrases("did not {base}|never {past}|hardly {past}|did not really {base}")
NAMES = phrases("Anna|Ben|Chloe|Daniel|Elena|Femi|Grace|Hugo|Ines|Jonas|Kavya|Leo|Maria|Omar|Priya")
PEOPLE = (*NAMES, "my brother", "my sister", "a friend", "one critic", "our neighbor")
WATCHERS = phrases("I|we|my friends|most people|the audience")
DAYS = phrases("Monday|Tuesday|Wednesday|Thursday|Friday|Saturday|Sunday")
PLACES = phrases(
    "in this film|in the first hour|in the new version|in the show|"
    "in the film that {name} picked|in the series that {name} told us about"
)
OPENERS = phrases(
    "last {day} ,|in my view ,|after a long week at work ,|as {name} said on the way home ,|"
    "I watched it with {name} on {day} and|we saw it at the small cinema near the station and|"
    "{name} lent me the film and|we went with {name} and {friend} , and"
)
TAILS = phrases(
    "when we saw it on {day}|from start to finish|by the end of the evening|for a film of this kind|"
    "during the long middle part|, at least for me"
)
BUTS = phrases("but|, but|yet|, but in the end")
CONCESSIONS = phrases("although|though|even though|while")
SAID = phrases("said|told me|wrote|thought")
AGREEMENTS = phrases("and I agree|and rightly so")
DISAGREEMENTS = phrases("but I disagree|but I do not agree")
DENIALS = phrases("nobody could say that|I would not say that|it is not true that")


class Row(NamedTuple):
    """One labelled sentence."""

    text: str
    label: int


def maybe(rng: random.Random, choices: Sequence[str], probability: float) -> str:
    """Return one of the phrases with its names and days filled in, or an empty string."""
    if rng.random() >= probability:
        return ""
    name, friend = rng.sample(NAMES, 2)
    return rng.choice(choices).format(name=name, friend=friend, day=rng.choice(DAYS))


def predicate(rng: random.Random, plural: bool, label: int) -> str:
    """Return a verb and an adjective whose combined sentiment is `label`."""
    negated = rng.random() < 0.3
    adjective = rng.choice(ADJECTIVES[label ^ negated])
    be = "were" if plural else "was"
    base, past = rng.choice(LINKING_VERBS)
    linking = rng.random() < 0.35
    if negated:
        pattern = rng.choice(NEGATED_VERB)
        verb = pattern.format(base=base, past=past) if linking else f"{be} {rng.choice(NEGATED_BE)}"
        return f"{verb} {adjective}"
    return f"{past if linking else be} {maybe(rng, INTENSIFIERS, 0.4)} {adjective}"


def description(rng: random.Random, label: int) -> str:
    """Return a clause such as `the jokes in this film were never dull`."""
    plural = rng.random() < 0.35
    noun = rng.choice(PLURAL_NOUNS if plural else SINGULAR_NOUNS)
    return f"the {noun} {maybe(rng, PLACES, 0.25)} {predicate(rng, plural, label)}"


def clause(rng: random.Random, label: int) -> str:
    """Return a description, or a clause such as `we did not enjoy the songs`."""
    if rng.random() < 0.8:
        return description(rng, label)
    negated = rng.random() < 0.3
    base, past = rng.choice(OPINIONS[label ^ negated])
    verb = rng.choice(NEGATED_VERB).format(base=base, past=past) if negated else past
    noun = rng.choice(SINGULAR_NOUNS + PLURAL_NOUNS)
    return f"{rng.choice(WATCHERS)} {verb} the {noun} {maybe(rng, PLACES, 0.25)}"


def plain(rng: random.Random, label: int) -> str:
    """Return one clause, or two that agree."""
    if rng.random() < 0.6:
        return f"{clause(rng, label)} {maybe(rng, TAILS, 0.3)}"
    return f"{clause(rng, label)} and {clause(rng, label)}"


def contrast(rng: random.Random, label: int) -> str:
    """Return two opposed clauses; the one after `but` decides."""
    ending = maybe(rng, TAILS, 0.2)
    return f"{clause(rng, 1 - label)} {rng.choice(BUTS)} {clause(rng, label)} {ending}"


def concession(rng: random.Random, label: int) -> str:
    """Return two opposed clauses; the one without `although` decides."""
    word = rng.choice(CONCESSIONS)
    if rng.random() < 0.5:
        return f"{word} {clause(rng, 1 - label)} , {clause(rng, label)}"
    return f"{clause(rng, label)} {word} {clause(rng, 1 - label)}"


def quotation(rng: random.Random, label: int) -> str:
    """Return somebody's opinion and whether the writer shares it."""
    quoted = rng.choice((0, 1))
    verdict = rng.choice(AGREEMENTS if quoted == label else DISAGREEMENTS)
    return f"{rng.choice(PEOPLE)} {rng.choice(SAID)} that {description(rng, quoted)} {verdict}"


def expectation(rng: random.Random, label: int) -> str:
    """Return an expectation and whether it was met."""
    expected = rng.choice((0, 1))
    adjective, noun = rng.choice(ADJECTIVES[expected]), rng.choice(SINGULAR_NOUNS)
    verdict = "and it was" if expected == label else "but it was not"
    return f"{rng.choice(('I', 'we'))} had expected the {noun} to be {adjective} {verdict}"


def denial(rng: random.Random, label: int) -> str:
    """Return a clause that the writer rejects as a whole."""
    return f"{rng.choice(DENIALS)} {clause(rng, 1 - label)}"


def mixture(rng: random.Random, label: int) -> str:
    """Return an evenly mixed opinion; the label is chance."""
    first = rng.choice((label, 1 - label))
    one, two = rng.choice(ADJECTIVES[first]), rng.choice(ADJECTIVES[1 - first])
    return f"about half of it was {one} and about half of it was {two}"


TEMPLATES: tuple[tuple[Callable[[random.Random, int], str], int], ...] = (
    (plain, 36),
    (contrast, 22),
    (concession, 16),
    (quotation, 11),
    (expectation, 6),
    (denial, 6),
    (mixture, 3),
)


def sentence(rng: random.Random, label: int) -> str:
    """Return one sentence with the given label."""
    makers, weights = zip(*TEMPLATES, strict=True)
    (make,) = rng.choices(makers, weights)
    words = f"{maybe(rng, OPENERS, 0.25)} {make(rng, label)}".split()
    return " ".join(words).replace(" ,", ",")


def acceptable(text: str) -> bool:
    """Return whether a sentence has a fitting length and judges nothing twice."""
    repeats = any(text.count(f"the {noun}") > 1 for noun in SINGULAR_NOUNS + PLURAL_NOUNS)
    return MIN_WORDS <= len(text.split()) <= MAX_WORDS and not repeats


def balanced_rows(rng: random.Random, count: int, taken: set[str]) -> list[Row]:
    """Return `count` new rows, half of each label, and add their sentences to `taken`."""
    rows: list[Row] = []
    while len(rows) < count:
        label = len(rows) % 2
        text = sentence(rng, label)
        if text not in taken and acceptable(text):
            taken.add(text)
            rows.append(Row(text, label))
    rng.shuffle(rows)
    return rows


def write_jsonl(path: Path, rows: Sequence[Row]) -> None:
    """Write one JSON object per line."""
    text = "".join(json.dumps(row._asdict()) + "\n" for row in rows)
    path.write_text(text, encoding="utf-8", newline="\n")


def build_tokenizer(rows: Sequence[Row]) -> BertTokenizer:
    """Return a lower-casing tokenizer with one entry per word of the rows."""
    words = sorted({word for row in rows for word in row.text.lower().replace(",", " ,").split()})
    vocabulary = {word: index for index, word in enumerate((*SPECIAL_TOKENS, *words))}
    return BertTokenizer(
        vocab=vocabulary,
        do_lower_case=True,
        model_max_length=MAX_LENGTH,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
    )


def build_model(vocabulary_size: int) -> BertForSequenceClassification:
    """Return the untrained classifier."""
    config = BertConfig(
        vocab_size=vocabulary_size,
        hidden_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        intermediate_size=256,
        max_position_embeddings=MAX_LENGTH,
        pad_token_id=0,
        id2label={0: "negative", 1: "positive"},
        label2id={"negative": 0, "positive": 1},
    )
    return BertForSequenceClassification(config)


class Batch(NamedTuple):
    """Padded model inputs and their labels."""

    ids: torch.Tensor
    mask: torch.Tensor
    labels: torch.Tensor


def batches(tokenizer: BertTokenizer, rows: Sequence[Row]) -> Iterator[Batch]:
    """Yield the rows in order, in padded batches."""
    for start in range(0, len(rows), BATCH_SIZE):
        part = rows[start : start + BATCH_SIZE]
        encoded = [torch.tensor(ids) for ids in tokenizer([row.text for row in part])["input_ids"]]
        ids = pad_sequence(encoded, batch_first=True)
        yield Batch(ids, (ids != 0).long(), torch.tensor([row.label for row in part]))


def train(model: BertForSequenceClassification, tokenizer: BertTokenizer, rows: Sequence[Row]) -> None:
    """Train the model in place with AdamW and a one-cycle learning rate."""
    steps = EPOCHS * -(-len(rows) // BATCH_SIZE)
    optimizer = torch.optim.AdamW(model.parameters(), lr=LEARNING_RATE, weight_decay=0.01)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, LEARNING_RATE, total_steps=steps)
    order, rng = list(rows), random.Random(SEED + 1)
    model.train()
    for _ in range(EPOCHS):
        rng.shuffle(order)
        order.sort(key=lambda row: len(row.text.split()))  # stable: similar lengths, little padding
        parts = list(batches(tokenizer, order))
        rng.shuffle(parts)
        for batch in parts:
            loss = model(batch.ids, attention_mask=batch.mask, labels=batch.labels).loss
            optimizer.zero_grad()
            loss.backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
            schedule.step()


@torch.no_grad()
def accuracy(model: BertForSequenceClassification, tokenizer: BertTokenizer, rows: Sequence[Row]) -> float:
    """Return the share of rows that the model labels correctly."""
    model.train(mode=False)
    right = 0
    for batch in batches(tokenizer, rows):
        logits = model(batch.ids, attention_mask=batch.mask).logits
        right += int((logits.argmax(-1) == batch.labels).sum())
    return right / len(rows)


def make_demo(out: Path) -> None:
    """Write the data set, the tokenizer and the trained model below `out`."""
    rng = random.Random(SEED)
    taken: set[str] = set()
    train_rows, validation_rows, extra_rows = (
        balanced_rows(rng, count, taken) for count in (TRAIN_ROWS, VALIDATION_ROWS, EXTRA_ROWS)
    )
    folder = out / "model"
    folder.mkdir(parents=True, exist_ok=True)
    write_jsonl(out / "train.jsonl", train_rows)
    write_jsonl(out / "validation.jsonl", validation_rows)
    tokenizer = build_tokenizer([*train_rows, *extra_rows])
    tokenizer.save_pretrained(folder)
    model = build_model(len(tokenizer))
    began = time.monotonic()
    train(model, tokenizer, [*train_rows, *extra_rows])
    seconds = time.monotonic() - began
    trained_score = accuracy(model, tokenizer, validation_rows)
    torch.nn.Module.half(model).save_pretrained(folder)
    (folder / "model.safetensors").chmod(0o644)
    saved = BertForSequenceClassification.from_pretrained(folder, dtype=torch.float32)
    saved_score = accuracy(saved, tokenizer, validation_rows)
    message = "trained in %.0f s; validation accuracy %.4f as trained, %.4f as saved in float16"
    LOGGER.info(message, seconds, trained_score, saved_score)


def main() -> None:
    """Read the command line and build the demo."""
    parser = argparse.ArgumentParser(description="Build the demo bundled with prunecli.")
    parser.add_argument("--out", type=Path, default=DEFAULT_OUT, help="folder to write to")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    torch.manual_seed(SEED)
    torch.use_deterministic_algorithms(mode=True)
    make_demo(arguments.out)


if __name__ == "__main__":
    main()
