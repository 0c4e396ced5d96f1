"""`apply-masks --prune-vocab`: what it writes, reads and refuses, and how `verify-automodel` proves it."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
import pytest
from safetensors.torch import load_file, save_file

from prunecli.checkpoints.folder import KEPT_TOKENS, WEIGHTS, read_checkpoint
from prunecli.config import ApplyMasksConfig, VerifyConfig
from prunecli.errors import InputError
from prunecli.masks import formats
from prunecli.operations import apply_masks, verify_automodel
from prunecli.shrink.vocabulary import numbering_of, rows_that_stay, word_tensors
from prunecli.verification.vocabulary import check_vocabulary
from tests import tiny, trained

FEW, FEWER = trained.texts(30, seed=1), trained.texts(5, seed=1)
WORDS = "bert.embeddings.word_embeddings.weight"


def corpus(folder: Path, texts: list[str]) -> Path:
    """Write texts as lines of a file."""
    folder.mkdir(parents=True, exist_ok=True)
    file = folder / f"corpus-{len(texts)}.txt"
    file.write_text("\n".join(texts), encoding="utf-8")
    return file


def apply(source: Path, out: Path, texts: list[str], **options: Any) -> apply_masks.ApplyMasksResult:
    file = corpus(out.parent, texts)
    return apply_masks.run(
        ApplyMasksConfig.of({"source": source, "out": out, "prune_vocab": file, **options})
    )


def verdicts(folder: Path, **options: Any) -> dict[str, str]:
    """Run every check and return its status by name."""
    found = verify_automodel.run(VerifyConfig.of({"checkpoint": folder, **options}))
    return {finding.check: finding.status for finding in found.findings}


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return a tiny BERT with a trained tokenizer: never write into it."""
    return trained.save(tmp_path_factory.mktemp("source") / "model", "bert")


@pytest.fixture(scope="module")
def pruned(source: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Return its cut: never write into it."""
    out = tmp_path_factory.mktemp("pruned") / "cut"
    apply(source, out, FEW)
    return out


@pytest.fixture
def copy(pruned: Path, tmp_path: Path) -> Path:
    """Return a copy of the cut to spoil."""
    return Path(shutil.copytree(pruned, tmp_path / "copy"))


def test_a_plan_says_what_will_be_written(source: Path, tmp_path: Path) -> None:
    planned = apply(source, tmp_path / "cut", FEW, dry_run=True)
    assert not (tmp_path / "cut").exists()
    done = apply(source, tmp_path / "cut", FEW)
    assert done.files == planned.files == tuple(sorted(path.name for path in (tmp_path / "cut").iterdir()))
    assert planned.vocabulary is not None
    rows, left = planned.vocabulary
    assert left < rows == read_checkpoint(source).config["vocab_size"]
    assert done.parameters[0] - done.parameters[1] == (rows - left) * tiny.HIDDEN
    assert planned.native and not (tmp_path / "cut" / "masks.safetensors").exists()


def test_only_the_size_of_the_config_changes(source: Path, pruned: Path) -> None:
    before, after = (json.loads((folder / "config.json").read_text()) for folder in (source, pruned))
    assert after == {**before, "vocab_size": len(numbering_of(read_checkpoint(pruned)).ids)}


def test_ids_in_the_config_follow(source: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(source, tmp_path / "source"))
    config = json.loads((source / "config.json").read_text())
    entries = {"mask_token_id": 5, "eos_token_id": [3, 4], "bos_token_id": 9000}
    (changed / "config.json").write_text(json.dumps({**config, **entries}))
    apply(changed, tmp_path / "cut", FEW)
    found = json.loads((tmp_path / "cut" / "config.json").read_text())
    names = load_vocabulary(tmp_path / "cut")
    special = [names["[MASK]"], [names["[CLS]"], names["[SEP]"]], 9000]
    assert [found[key] for key in entries] == special
    assert "[unused0]" not in names, "nothing moved"


def load_vocabulary(folder: Path) -> dict[str, int]:
    """Return the ids of a word piece tokenizer."""
    found: dict[str, int] = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return found


@pytest.mark.parametrize("model_type", ["roberta", "mpnet"])
def test_rows_up_to_the_padding_stay_where_positions_are_counted_from_it(
    model_type: str, tiny_checkpoint: Callable[..., Path]
) -> None:
    checkpoint = read_checkpoint(tiny_checkpoint(model_type))
    assert rows_that_stay(checkpoint, tiny.sizes(checkpoint.path), {50})[:2].tolist() == [0, 1]


def test_lists_of_every_token_do_not_go_stale(source: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(source, tmp_path / "source"))
    for name in ("vocab.txt", "spiece.model", "added_tokens.json"):
        (changed / name).write_text("stale")
    settings = json.loads((source / "tokenizer_config.json").read_text())
    settings["added_tokens_decoder"] = {"5": {"content": "[MASK]"}, "1": {"content": "[unused0]"}}
    (changed / "tokenizer_config.json").write_text(json.dumps(settings))
    (changed / "vocab.txt").write_text(
        "\n".join(sorted(load_vocabulary(source), key=load_vocabulary(source).get))
    )
    apply(changed, tmp_path / "cut", FEW)
    assert not {"vocab.txt", "spiece.model", "added_tokens.json"} & {
        path.name for path in (tmp_path / "cut").iterdir()
    }
    added = json.loads((tmp_path / "cut" / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    names = load_vocabulary(tmp_path / "cut")
    assert {int(number): token["content"] for number, token in added.items()} == {
        names[token]: token for token in ("[MASK]", "[unused0]")
    }


def rows(kind: str, folder: Path, texts: list[str]) -> Path:
    """Write texts as a file of some format, under a name that is not known."""
    file = folder / f"texts.{kind}"
    if kind == "parquet":
        pyarrow.parquet.write_table(pyarrow.table({"body": texts}), file)
    elif kind == "jsonl":
        file.write_text("\n".join(json.dumps({"body": text}) for text in texts))
    else:
        file.write_text("body\n" + "\n".join(f'"{text}"' for text in texts))
    return file


@pytest.mark.parametrize("kind", ["parquet", "jsonl", "csv"])
def test_a_corpus_may_be_of_any_format(kind: str, source: Path, tmp_path: Path) -> None:
    wanted = apply(source, tmp_path / "cut", FEW, dry_run=True)
    files = [rows(kind, tmp_path, FEW[:15]), corpus(tmp_path, FEW[15:])]
    with pytest.raises(InputError, match="no field with a known name"):
        apply(source, tmp_path / "cut", [], prune_vocab=files, dry_run=True)
    found = apply(
        source,
        tmp_path / "cut",
        [],
        prune_vocab=[files[0], rows("tsv", tmp_path, FEW[15:])],
        fields="body",
        dry_run=True,
    )
    assert found.vocabulary == wanted.vocabulary


def test_the_folder_is_proven(source: Path, pruned: Path) -> None:
    found = verdicts(pruned, against=source)
    assert set(found.values()) == {"pass"} and {"vocabulary", "parity"} <= found.keys()


def test_a_head_that_predicts_words_is_proven(tmp_path: Path) -> None:
    source = trained.save(tmp_path / "source", "roberta", "ForMaskedLM")
    apply(source, tmp_path / "cut", FEW)
    assert set(verdicts(tmp_path / "cut", against=source).values()) == {"pass"}


def finding(folder: Path, source: Path) -> Any:
    return check_vocabulary(read_checkpoint(folder), tiny.sizes(folder), source)


def test_a_wrong_row_is_found(copy: Path, source: Path) -> None:
    state = load_file(copy / WEIGHTS)
    state[WORDS][[20, 21]] = state[WORDS][[21, 20]]
    save_file(state, copy / WEIGHTS)
    assert (finding(copy, source).status, finding(copy, source).detail) == (
        "fail",
        f"rows of {WORDS} are not those of {source}",
    )


def test_wrong_rows_fail_parity(copy: Path, source: Path) -> None:
    state = load_file(copy / WEIGHTS)
    state[WORDS] = state[WORDS].roll(1, 0)
    save_file(state, copy / WEIGHTS)
    found = verdicts(copy, against=source)
    assert {check for check, status in found.items() if status == "fail"} == {
        "manifest",
        "vocabulary",
        "parity",
    }


def test_another_spelling_is_found(copy: Path, source: Path) -> None:
    text = (copy / "tokenizer.json").read_text()
    document = json.loads(text)
    vocabulary = document["model"]["vocab"]
    first, second = list(vocabulary)[30:32]
    vocabulary[first], vocabulary[second] = vocabulary[second], vocabulary[first]
    (copy / "tokenizer.json").write_text(json.dumps(document))
    assert finding(copy, source).status == "fail"
    assert finding(copy, source).detail.startswith(f"token {vocabulary[second]} is {second!r}, but {first!r}")


@pytest.mark.parametrize("spoil", ["order", "count", "type"])
def test_a_broken_list_of_kept_tokens_is_refused(spoil: str, copy: Path, source: Path) -> None:
    ids = load_file(copy / KEPT_TOKENS)["ids"]
    changed = {"order": ids.flip(0), "count": ids[1:].clone(), "type": ids.int()}[spoil]
    save_file({"ids": changed}, copy / KEPT_TOKENS, {"vocab_size": "9999"})
    with pytest.raises(InputError, match="does not say which"):
        finding(copy, source)


def test_another_reference_is_refused(bert: Path, pruned: Path) -> None:
    for folder, reference in ((pruned, bert), (bert, pruned)):
        with pytest.raises(InputError, match=rf"that {reference} has not"):
            finding(folder, reference)


def test_without_a_reference_nothing_is_compared(pruned: Path) -> None:
    assert check_vocabulary(read_checkpoint(pruned), tiny.sizes(pruned), None).status == "skip"


def test_words_and_units_go_together(source: Path, tmp_path: Path) -> None:
    masks = tiny.random_masks(tiny.sizes(source), ("head", "ffn_int", "ffn_out"), seed=0)
    (tmp_path / "masks").mkdir()
    formats.write(masks, tiny.sizes(source), tmp_path / "masks")
    result = apply(source, tmp_path / "cut", FEW, masks=tmp_path / "masks" / formats.FILE)
    assert not result.native and result.vocabulary is not None
    found = verdicts(tmp_path / "cut", against=source, masks=tmp_path / "cut" / formats.FILE)
    assert set(found.values()) == {"pass"}


def test_cuts_one_after_the_other_are_the_cut_of_all(source: Path, pruned: Path, tmp_path: Path) -> None:
    masks = tiny.random_masks(tiny.sizes(source), ("head", "ffn_in"), seed=0)
    once = tiny.cut(pruned, masks, tmp_path / "once")
    assert (once / KEPT_TOKENS).read_bytes() == (pruned / KEPT_TOKENS).read_bytes()
    apply(once, tmp_path / "twice", FEWER)
    both = {"masks": tmp_path / "once-masks" / formats.FILE}
    apply(source, tmp_path / "at-once", FEWER, **both)
    folders = [tmp_path / "twice", tmp_path / "at-once"]
    tensors = [read_checkpoint(folder).tensors for folder in folders]
    assert tensors[0].keys() == tensors[1].keys()
    assert all(entry.read() == tensors[1][name].read() for name, entry in tensors[0].items())
    for name in ("config.json", "tokenizer.json", KEPT_TOKENS):
        assert (folders[0] / name).read_bytes() == (folders[1] / name).read_bytes(), name
    for against in (source, pruned):
        assert finding(folders[0], against).status == "pass"
    assert set(verdicts(folders[0], against=once).values()) == {"pass"}


def test_a_corpus_that_uses_everything_is_refused(source: Path) -> None:
    checkpoint = read_checkpoint(source)
    everything = set(range(checkpoint.config["vocab_size"]))
    with pytest.raises(InputError, match="nothing of its vocabulary goes"):
        rows_that_stay(checkpoint, tiny.sizes(source), everything)


@pytest.mark.parametrize("texts", [[], [""], ["  "]])
def test_a_corpus_without_texts_is_refused(texts: list[str], source: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="holds no text"):
        apply(source, tmp_path / "cut", texts)


def test_a_checkpoint_without_a_tokenizer_is_refused(bert: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(bert, tmp_path / "source"))
    for file in changed.glob("tokenizer*"):
        file.unlink()
    with pytest.raises(InputError, match="has no tokenizer"):
        apply(changed, tmp_path / "cut", FEW)


def test_a_tokenizer_that_runs_in_python_is_refused(tmp_path: Path) -> None:
    source = tiny.save_tiny(tmp_path / "source", "bert")
    for file in source.glob("tokenizer*"):
        file.unlink()
    (source / "vocab.txt").write_text("\n".join(("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "ka", "lo")))
    (source / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "BertJapaneseTokenizer", "word_tokenizer_type": "basic"})
    )
    with pytest.raises(InputError, match=r"has no tokenizer\.json") as raised:
        apply(source, tmp_path / "cut", FEW)
    assert "fast tokenizer" in str(raised.value.fix)


def test_an_id_without_a_row_is_named(source: Path) -> None:
    checkpoint = read_checkpoint(source)
    rows = checkpoint.config["vocab_size"]
    with pytest.raises(InputError, match=f"an id {rows}, the model has {rows:,} rows"):
        rows_that_stay(checkpoint, tiny.sizes(source), {rows})


def test_fields_without_texts_are_refused() -> None:
    with pytest.raises(InputError, match="--fields says where texts stand"):
        ApplyMasksConfig.of({"source": "x", "fields": "a"})


def test_embeddings_of_another_size_are_refused(source: Path, tmp_path: Path) -> None:
    changed = Path(shutil.copytree(source, tmp_path / "source"))
    config = json.loads((source / "config.json").read_text())
    (changed / "config.json").write_text(json.dumps({**config, "vocab_size": 700}))
    with pytest.raises(InputError, match=f"{WORDS} has .* rows, config.json says 700"):
        word_tensors(read_checkpoint(changed), tiny.sizes(changed))


def test_rows_keep_their_order(pruned: Path) -> None:
    numbering = numbering_of(read_checkpoint(pruned))
    assert (np.diff(numbering.ids) > 0).all() and numbering.rows > numbering.ids[-1]
