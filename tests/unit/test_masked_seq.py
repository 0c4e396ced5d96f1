"""AutoModelForMaskedSeqModeling: inputs, losses, saving and loading, for eight families; each promise of its origin."""

import ast
import functools
import json
import logging
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from datasets import Dataset
from safetensors.torch import load_file, save_file
from torch.nn import functional
from transformers import AutoModel, Trainer, TrainingArguments

from prunecli import AutoModelForMaskedSeqModeling
from prunecli.errors import InputError, UnsupportedModelError
from prunecli.models import modeling_masked_seq
from prunecli.models.modeling_masked_seq import MaskedSeqConfig
from tests import tiny

FAMILIES = ("bert", "roberta", "deberta-v2", "xlm-roberta", "modernbert", "electra", "distilbert", "mpnet")
INDICES_BM = torch.tensor([[1, 4, 8], [0, 5, 2]])  # the second row has six tokens
NAMES = {0: "person", 1: "place", 2: "date"}

Save = Callable[..., Path]


@pytest.fixture(scope="module", autouse=True)
def quiet() -> None:
    """Say nothing of the heads that encoders are loaded without."""
    transformers.utils.logging.set_verbosity_error()


@pytest.fixture
def model(tiny_checkpoint: Save) -> Any:
    """Return a multilabel model of three labels on a tiny BERT."""
    return AutoModelForMaskedSeqModeling.from_pretrained(tiny_checkpoint("bert", "Model"), num_labels=3)


@pytest.fixture
def classes(tiny_checkpoint: Save) -> Any:
    """Return a multiclass model of three labels on a tiny BERT."""
    source = tiny_checkpoint("bert", "Model")
    return AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=3, task="multiclass")


def inputs(model: Any) -> dict[str, Any]:
    """Return two rows, the second padded, and three positions in each."""
    return {**tiny.tiny_inputs(model), "mask_indices": INDICES_BM}


@pytest.mark.parametrize("model_type", FAMILIES)
@torch.no_grad()
def test_logits_are_those_of_the_head_on_the_encoders_states(model_type: str, tiny_checkpoint: Save) -> None:
    source = tiny_checkpoint(model_type, "ForMaskedLM")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=3, strict_mlm_check=True)
    stock = AutoModel.from_pretrained(source).eval()
    given = inputs(model)
    hidden_BTH = stock(given["input_ids"], attention_mask=given["attention_mask"]).last_hidden_state
    wanted_BML = model.head(hidden_BTH[torch.arange(2)[:, None], INDICES_BM])
    assert torch.equal(model(**given).logits, wanted_BML)
    everywhere_BTL = model(**tiny.tiny_inputs(model)).logits
    assert torch.allclose(everywhere_BTL[torch.arange(2)[:, None], INDICES_BM], wanted_BML, atol=1e-6)


CHILD = """
import json, sys
sys.modules["prunecli"] = None  # an import of it fails
from safetensors.torch import load_file, save_file
from transformers import AutoModel
for folder in json.loads(sys.argv[1]):
    model = AutoModel.from_pretrained(folder, trust_remote_code=True, local_files_only=True).eval()
    assert type(model).__module__.startswith("transformers_modules."), type(model)
    save_file({"logits": model(**load_file(f"{folder}/inputs.st")).logits.detach()}, f"{folder}/outputs.st")
    model.save_pretrained(f"{folder}/again")
"""


def run_child(folders: list[str], tmp_path: Path) -> None:
    """Load folders as anyone would, where there is no prunecli; write outputs and save again."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_HOME": str(tmp_path / "home"), "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-I", "-c", CHILD, json.dumps(folders)],
        env=offline, stdin=subprocess.DEVNULL, cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_a_saved_folder_loads_without_prunecli(tiny_checkpoint: Save, tmp_path: Path) -> None:
    wanted, folders = {}, []
    for model_type in FAMILIES:
        source = tiny_checkpoint(model_type, "Model")
        model = AutoModelForMaskedSeqModeling.from_pretrained(source, id2label=NAMES, task="multiclass")
        folder = tmp_path / model_type
        model.save_pretrained(folder)
        save_file(inputs(model), folder / "inputs.st")
        wanted[folder] = model(**inputs(model)).logits
        folders.append(str(folder))
    run_child(folders, tmp_path)
    for folder, logits in wanted.items():
        assert torch.allclose(load_file(folder / "outputs.st")["logits"], logits, atol=1e-6), folder.name
        for name in ("model.safetensors", "modeling_masked_seq.py"):
            assert (folder / "again" / name).read_bytes() == (folder / name).read_bytes(), folder.name
        again = json.loads((folder / "again" / "config.json").read_text())
        assert again == json.loads((folder / "config.json").read_text())


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_a_saved_folder_loads_as_it_was(task: str, tiny_checkpoint: Save, tmp_path: Path) -> None:
    source = tiny_checkpoint("bert", "Model")
    model = AutoModelForMaskedSeqModeling.from_pretrained(
        source, task=task, label2id={"b": 1, "a": 0}, base_model_attr_name="Text Encoder"
    )
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert (again.config.task, again.config.id2label) == (task, {0: "a", 1: "b"})
    assert torch.equal(again(**inputs(model)).logits, model(**inputs(model)).logits)
    assert any(name.startswith("text_encoder.") for name in load_file(tmp_path / "model.safetensors"))
    assert {path.name for path in tmp_path.iterdir()} == {
        "config.json", "model.safetensors", "modeling_masked_seq.py", "modeling_pruned.py",
    }  # fmt: skip
    assert again.base_model is again.text_encoder


def test_a_reload_does_not_swallow_what_is_asked_for(classes: Any, tmp_path: Path) -> None:
    classes.save_pretrained(tmp_path)
    load = AutoModelForMaskedSeqModeling.from_pretrained
    for asked in ({"num_labels": 7}, {"task": "multilabel"}, {"base_model_attr_name": "other"}):
        with pytest.raises(InputError, match=f"was saved with {next(iter(asked))}"):
            load(tmp_path, **asked)
    with pytest.raises(InputError, match="num_labels 3, but 2"):
        load(tmp_path, id2label={0: "a", 1: "b"})
    assert load(tmp_path, num_labels=3, task="multiclass", id2label=NAMES).config.label2id["date"] == 2


def test_half_a_checkpoint_is_refused(classes: Any, tmp_path: Path) -> None:
    classes.save_pretrained(tmp_path)
    tensors = load_file(tmp_path / "model.safetensors")
    del tensors["head.3.bias"]
    save_file(tensors, tmp_path / "model.safetensors", {"format": "pt"})
    with pytest.raises(InputError, match=r"tensor head\.3\.bias is missing"):
        AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)


def test_a_checkpoint_cannot_ask_for_code(classes: Any, tmp_path: Path) -> None:
    """Neither the folder's own file nor anything that its config names is run."""
    classes.save_pretrained(tmp_path)
    ran = tmp_path / "ran"
    evil = f"open({str(ran)!r}, 'w')\n"
    (tmp_path / "modeling_masked_seq.py").write_text(evil)
    (tmp_path / "evil.py").write_text(evil)
    config = json.loads((tmp_path / "config.json").read_text())
    config |= {"trust_remote_code": True, "attn_implementation": "evil/kernel"}
    config["base_model_config"] |= {
        "trust_remote_code": True, "_attn_implementation": "evil/kernel",
        "auto_map": {"AutoModel": "evil.Evil", "AutoConfig": "evil.Evil"},
    }  # fmt: skip
    (tmp_path / "config.json").write_text(json.dumps(config))
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert torch.equal(again(**inputs(again)).logits, classes(**inputs(again)).logits)
    assert not ran.exists()


CODE = """
from pathlib import Path
from transformers import BertConfig, BertModel
Path({ran!r}).touch()


class OwnConfig(BertConfig):
    model_type = "own_bert"


class OwnModel(BertModel):
    config_class = OwnConfig
"""


@pytest.fixture
def own(tiny_checkpoint: Save, tmp_path: Path) -> Path:
    """Return a folder with an encoder that needs its own Python, which notes that it ran."""
    folder = Path(shutil.copytree(tiny_checkpoint("bert", "Model"), tmp_path / "own"))
    config = json.loads((folder / "config.json").read_text())
    code = {"AutoConfig": "own_bert.OwnConfig", "AutoModel": "own_bert.OwnModel"}
    config |= {"model_type": "own_bert", "auto_map": code, "trust_remote_code": True}
    (folder / "config.json").write_text(json.dumps(config))
    (folder / "own_bert.py").write_text(CODE.format(ran=str(tmp_path / "ran")))
    return folder


def test_an_encoders_own_code_runs_if_the_caller_says_so_and_travels_along(
    own: Path, tiny_checkpoint: Save, tmp_path: Path
) -> None:
    load = AutoModelForMaskedSeqModeling.from_pretrained
    with pytest.raises(UnsupportedModelError, match="encoder 'own_bert' needs Python"):
        load(own, num_labels=2)
    assert not (tmp_path / "ran").exists()

    model = load(own, num_labels=2, trust_remote_code=True)
    stock = AutoModel.from_pretrained(tiny_checkpoint("bert", "Model")).eval()
    given = tiny.tiny_inputs(model)
    assert torch.equal(model.base_model(**given).last_hidden_state, stock(**given).last_hidden_state)
    saved = tmp_path / "saved"
    model.save_pretrained(saved)
    shutil.rmtree(own)
    (tmp_path / "ran").unlink()
    with pytest.raises(UnsupportedModelError, match="encoder 'own_bert' needs Python"):
        load(saved)
    assert not (tmp_path / "ran").exists()
    assert torch.equal(load(saved, trust_remote_code=True)(**given).logits, model(**given).logits)

    save_file(given, saved / "inputs.st")
    run_child([str(saved)], tmp_path)
    assert torch.allclose(load_file(saved / "outputs.st")["logits"], model(**given).logits, atol=1e-6)
    assert (saved / "again" / "own_bert.py").read_bytes() == (saved / "own_bert.py").read_bytes()


@pytest.mark.parametrize("model_type", ["bert", "modernbert", "mpnet"])
def test_a_pruned_encoder_carries_its_file_into_the_saved_folder(
    model_type: str, tiny_checkpoint: Save, tmp_path: Path
) -> None:
    source = tiny_checkpoint(model_type, "Model")
    masks = tiny.random_masks(tiny.sizes(source), ("head", "ffn_int"), seed=0, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    load = AutoModelForMaskedSeqModeling.from_pretrained
    model = load(cut, num_labels=2, trust_remote_code=True)
    given = tiny.tiny_inputs(model)
    wanted = tiny.load(cut, attention=model.base_model.config._attn_implementation)(**given).last_hidden_state
    assert torch.equal(model.base_model(**given).last_hidden_state, wanted)
    saved = tmp_path / "saved"
    model.save_pretrained(saved)
    save_file(given, saved / "inputs.st")
    run_child([str(saved)], tmp_path)
    assert torch.allclose(load_file(saved / "outputs.st")["logits"], model(**given).logits, atol=1e-6)


def test_code_outside_of_the_folder_is_never_run(own: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside.py"
    outside.write_text((own / "own_bert.py").read_text())
    config = json.loads((own / "config.json").read_text())
    for module in (str(outside.with_suffix("")), "../outside", "other/repo--outside"):
        config["auto_map"] = {"AutoConfig": f"{module}.OwnConfig", "AutoModel": f"{module}.OwnModel"}
        (own / "config.json").write_text(json.dumps(config))
        with pytest.raises(InputError, match="is no class in a file of"):
            AutoModelForMaskedSeqModeling.from_pretrained(own, num_labels=2, trust_remote_code=True)
    assert not (tmp_path / "ran").exists()


# What the caller says of labels, and what of it is wrong.
WRONG_LABELS: list[tuple[dict[str, Any], str]] = [
    ({}, "say how many labels|num_labels is None"),
    ({"num_labels": 2, "id2label": NAMES}, "num_labels is 2, and 3 labels have names"),
    ({"id2label": {0: "a", 4: "b"}}, "give each id from 0 a name of its own"),
    ({"id2label": {0: "a", 1: "a"}}, "give each id from 0 a name of its own"),
    ({"label2id": {"a": 0, "b": 0}}, "give each id from 0 a name of its own"),
    ({"id2label": {0: "a"}, "label2id": {"b": 0}}, "give each id from 0 a name of its own"),
    ({"num_labels": 2, "task": "regression"}, "neither 'multilabel' nor 'multiclass'"),
    ({"num_labels": 2, "base_model_attr_name": "head"}, "is taken"),
    ({"num_labels": 2, "base_model_attr_name": "config class"}, "is taken"),
    ({"num_labels": 2, "base_model_attr_name": "training"}, "is taken"),
]


@pytest.mark.parametrize(("said", "message"), WRONG_LABELS)
def test_labels_and_names_that_make_no_sense_are_refused(
    said: dict[str, Any], message: str, tiny_checkpoint: Save
) -> None:
    with pytest.raises(InputError, match=message):
        AutoModelForMaskedSeqModeling.from_pretrained(tiny_checkpoint("bert", "Model"), **said)


@pytest.mark.parametrize("strict", [False, True])
def test_a_strict_check_refuses_an_encoder_without_a_language_model(strict: bool, tmp_path: Path) -> None:
    sizes = {"hidden_size": 32, "num_hidden_layers": 1, "num_attention_heads": 4, "intermediate_size": 48}
    config = transformers.SplinterConfig(vocab_size=50, max_position_embeddings=32, **sizes)
    transformers.SplinterModel(config).save_pretrained(tmp_path)
    load = functools.partial(AutoModelForMaskedSeqModeling.from_pretrained, tmp_path, num_labels=2)
    if strict:
        with pytest.raises(UnsupportedModelError, match="AutoModelForMaskedLM knows no splinter"):
            load(strict_mlm_check=True)
    else:
        assert load()(torch.full((1, 4), 7)).logits.shape == (1, 4, 2)


def test_multilabel_loss_is_the_mean_over_counted_positions(model: Any) -> None:
    labels_BML = torch.randint(0, 2, (2, 3, 3)).float()
    labels_BML[0, 2] = -100
    labels_BML[1, 1, 0] = -100
    output = model(**inputs(model), labels=labels_BML)
    kept = torch.tensor([[True, True, False], [True, False, True]])
    wanted = functional.binary_cross_entropy_with_logits(output.logits[kept], labels_BML[kept])
    assert torch.allclose(output.loss, wanted)


def test_multiclass_loss_is_the_mean_over_counted_positions(classes: Any) -> None:
    labels_BM = torch.tensor([[1, 2, -100], [0, -100, 2]])
    output = classes(**inputs(classes), labels=labels_BM)
    wanted = functional.cross_entropy(output.logits.flatten(0, 1), labels_BM.flatten())
    assert torch.allclose(output.loss, wanted)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_a_batch_that_is_ignored_whole_costs_nothing(task: str, request: pytest.FixtureRequest) -> None:
    model = request.getfixturevalue("model" if task == "multilabel" else "classes")
    labels = torch.full((2, 3, 3) if task == "multilabel" else (2, 3), -100)
    loss = model(**inputs(model), labels=labels).loss
    loss.backward()
    assert loss.item() == 0
    assert all(parameter.grad is None or not parameter.grad.any() for parameter in model.parameters())


def test_no_positions_give_no_logits(model: Any) -> None:
    none = {**tiny.tiny_inputs(model), "mask_indices": torch.zeros((2, 0), dtype=torch.long)}
    output = model(**none, labels=torch.zeros((2, 0, 3)))
    assert (output.logits.shape, output.loss.item()) == ((2, 0, 3), 0)


@pytest.mark.parametrize(
    ("indices", "message"),
    [
        (INDICES_BM.int(), r"torch\.int32, but they must be torch\.long"),
        (INDICES_BM.float(), r"torch\.float32, but they must be torch\.long"),
        (INDICES_BM[0], r"shape \[3\], but they must be \[2, M\]"),
        (INDICES_BM[:1], r"shape \[1, 3\], but they must be \[2, M\]"),
        (
            torch.tensor([[0, 9], [0, 0]]),
            r"shape \[2, 2\] go from 0 to 9, but the input has the tokens 0 to 8",
        ),
        (torch.tensor([[0, -1], [0, 0]]), r"shape \[2, 2\] go from -1 to 0"),
    ],
)
def test_positions_that_make_no_sense_are_refused(indices: torch.Tensor, message: str, model: Any) -> None:
    with pytest.raises((TypeError, ValueError), match=message):
        model(**{**inputs(model), "mask_indices": indices})


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 3), r"labels have shape \[2, 3\], .* must be \[2, 3, 3\]"),
        (torch.zeros(2, 2, 3), r"labels have shape \[2, 2, 3\]"),
        (torch.tensor([0.0, 1, -100]).expand(2, 3, 3), r"hold -100, but for multilabel they go from 0 to 1"),
        (torch.full((2, 3, 3), 2.0), r"hold 2, but for multilabel they go from 0 to 1"),
    ],
)
def test_multilabel_labels_that_make_no_sense_are_refused(
    labels: torch.Tensor, message: str, model: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        model(**inputs(model), labels=labels)


@pytest.mark.parametrize(
    ("labels", "message"),
    [
        (torch.zeros(2, 3, 3, dtype=torch.long), r"must be \[2, 3\]"),
        (torch.full((2, 3), 3), r"hold 3, but for multiclass they go from 0 to 2"),
        (torch.full((2, 3), -1), "hold -1"),
    ],
)
def test_multiclass_labels_that_make_no_sense_are_refused(
    labels: torch.Tensor, message: str, classes: Any
) -> None:
    with pytest.raises(ValueError, match=message):
        classes(**inputs(classes), labels=labels)


def test_a_labelled_position_at_padding_is_refused(classes: Any) -> None:
    given = {**inputs(classes), "mask_indices": torch.tensor([[1, 4], [0, 7]])}
    with pytest.raises(ValueError, match=r"mask_indices\[1, 1\] is 7, which is padding"):
        classes(**given, labels=torch.zeros(2, 2, dtype=torch.long))
    assert classes(**given, labels=torch.tensor([[0, 0], [0, -100]])).loss > 0


def test_an_unlabelled_position_at_padding_is_warned_of(
    classes: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    said: list[str] = []
    monkeypatch.setattr(modeling_masked_seq.logger, "warning_once", said.append, raising=False)
    classes(**inputs(classes))
    assert said == []
    classes(**{**inputs(classes), "mask_indices": torch.tensor([[1], [7]])})
    assert len(said) == 1 and "padding" in said[0]


@pytest.mark.parametrize("labelled", [False, True])
def test_a_tuple_comes_where_one_is_asked_for(labelled: bool, classes: Any) -> None:
    labels = {"labels": torch.zeros(2, 3, dtype=torch.long)} if labelled else {}
    output = classes(**inputs(classes), **labels)
    found = classes(**inputs(classes), **labels, return_dict=False)
    assert isinstance(found, tuple) and torch.equal(found[-1], output.logits)
    assert len(found) == len(output)


def test_segments_are_passed_on_where_the_encoder_has_them(tiny_checkpoint: Save) -> None:
    for model_type, moves in (
        ("bert", True),
        ("electra", True),
        ("distilbert", False),
        ("modernbert", False),
    ):
        model = AutoModelForMaskedSeqModeling.from_pretrained(
            tiny_checkpoint(model_type, "Model"), num_labels=2
        )
        given = inputs(model)
        segments = torch.ones_like(given["input_ids"])
        same = torch.equal(model(**given).logits, model(**given, token_type_ids=segments).logits)
        assert same != moves, model_type


def test_probabilities_are_those_of_the_task(model: Any, classes: Any) -> None:
    logits = torch.randn(2, 3, 3)
    assert torch.equal(model.predict_proba(logits), torch.sigmoid(logits))
    assert torch.equal(classes.predict_proba(logits), torch.softmax(logits, dim=-1))


@pytest.mark.parametrize("model_type", FAMILIES)
def test_resized_embeddings_survive_saving(model_type: str, tiny_checkpoint: Save, tmp_path: Path) -> None:
    source = tiny_checkpoint(model_type, "Model")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=2)
    before = model.get_input_embeddings().weight.clone()
    embeddings = model.resize_token_embeddings(tiny.VOCABULARY + 7)
    assert embeddings is model.get_input_embeddings() is model.base_model.get_input_embeddings()
    assert torch.equal(embeddings.weight[: tiny.VOCABULARY], before)
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert again.config.vocab_size == again.base_model.config.vocab_size == tiny.VOCABULARY + 7
    given = {"input_ids": torch.full((1, 3), tiny.VOCABULARY + 6)}
    assert torch.equal(again(**given).logits, model(**given).logits)


def test_embeddings_can_be_replaced_and_fed(model: Any) -> None:
    given = inputs(model)
    wanted = model(**given).logits
    embedded = model.get_input_embeddings()(given.pop("input_ids"))
    assert torch.allclose(model(**given, inputs_embeds=embedded).logits, wanted, atol=1e-6)
    table = torch.nn.Embedding(5, tiny.HIDDEN)
    model.set_input_embeddings(table)
    assert model.base_model.get_input_embeddings() is table


def test_a_trainer_trains_saves_and_reloads(classes: Any, tmp_path: Path) -> None:
    generator = torch.Generator().manual_seed(0)
    ids = torch.randint(5, tiny.VOCABULARY, (16, 6), generator=generator)
    rows = {
        "input_ids": ids,
        "attention_mask": torch.ones_like(ids),
        "mask_indices": ids % 6,
        "labels": ids % 3,
    }
    data = Dataset.from_dict({name: values.tolist() for name, values in rows.items()})
    arguments = TrainingArguments(
        str(tmp_path), max_steps=3, per_device_train_batch_size=8, learning_rate=1e-2, report_to=[],
        use_cpu=True, save_strategy="no", disable_tqdm=True, logging_strategy="no",
    )  # fmt: skip
    trainer = Trainer(classes, arguments, train_dataset=data)
    before = classes(**rows).loss
    trainer.train()
    classes.eval()
    assert classes(**rows).loss < before
    trainer.save_model(str(tmp_path / "model"))
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path / "model")
    assert torch.equal(again(**rows).logits, classes(**rows).logits)


def test_gradients_are_the_same_with_checkpointing(classes: Any) -> None:
    given = {**inputs(classes), "labels": torch.zeros(2, 3, dtype=torch.long)}
    weight = classes.base_model.encoder.layer[0].output.dense.weight
    classes(**given).loss.backward()
    wanted, weight.grad = weight.grad, None
    with pytest.warns(FutureWarning):  # transformers 5.23 has another name for it, too new for others
        classes.gradient_checkpointing_enable()
    classes.train()
    for module in classes.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = 0.0
    classes(**given).loss.backward()
    assert torch.allclose(weight.grad, wanted, atol=1e-6)


@pytest.mark.parametrize("task", ["multilabel", "multiclass"])
def test_the_self_test_passes(task: str, tiny_checkpoint: Save) -> None:
    base = tiny_checkpoint("modernbert", "ForMaskedLM")
    assert AutoModelForMaskedSeqModeling.run_self_test(base=base, task=task, num_labels=3) == 0


def test_a_number_type_and_an_attention_can_be_asked_for(tiny_checkpoint: Save, tmp_path: Path) -> None:
    asked: dict[str, Any] = {"dtype": torch.bfloat16, "attn_implementation": "eager"}
    source = tiny_checkpoint("bert", "Model")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=2, **asked)
    model.save_pretrained(tmp_path)
    again = AutoModelForMaskedSeqModeling.from_pretrained(tmp_path, **asked)
    for found in (model, again):
        assert {parameter.dtype for parameter in found.parameters()} == {torch.bfloat16}
        assert found.base_model.config._attn_implementation == "eager"
    assert torch.equal(model(**inputs(model)).logits, again(**inputs(model)).logits)


def test_a_half_precision_encoder_gets_its_head_in_float32(tiny_checkpoint: Save) -> None:
    source = tiny_checkpoint("bert", "Model", "float16")
    model = AutoModelForMaskedSeqModeling.from_pretrained(source, num_labels=2)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


def test_the_config_alone_builds_a_model() -> None:
    config = MaskedSeqConfig(base_model_config=tiny.tiny_config("bert").to_dict(), num_labels=4)
    model = modeling_masked_seq.MaskedSeqModel(config)
    assert model(torch.full((1, 5), 7)).logits.shape == (1, 5, 4)
    assert "pooler" not in "".join(model.state_dict())


def test_nothing_is_said_that_is_not_needed(
    classes: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    classes.save_pretrained(tmp_path)
    with caplog.at_level(logging.WARNING):
        AutoModelForMaskedSeqModeling.from_pretrained(tmp_path)
    assert caplog.records == []


def test_the_file_that_travels_needs_only_torch_and_transformers() -> None:
    names = []
    for file in modeling_masked_seq.FILES:
        tree = ast.parse(Path(modeling_masked_seq.__file__).with_name(file).read_text(encoding="utf-8"))
        for node in ast.walk(tree):
            if isinstance(node, ast.Import):
                names += [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                names.append(str(node.module) if node.level == 0 else node.module)
    others = {name.split(".")[0] for name in names} - set(sys.stdlib_module_names)
    assert others == {"torch", "transformers", "modeling_pruned"}
