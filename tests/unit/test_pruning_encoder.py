"""The PruningEncoder classes: any encoder, both modes, what Trainer, pipeline and others do with a model."""

import copy
import pickle
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file
from torch.nn import functional as F

from prunecli import (
    PruningEncoderConfig,
    PruningEncoderForSequenceClassification,
    PruningEncoderForTokenClassification,
)
from tests import tiny

FAMILIES = (
    "bert", "roberta", "deberta-v2", "xlm-roberta", "modernbert", "electra", "distilbert", "mpnet", "albert",
)  # fmt: skip
MODES = {
    "reranking_pruning": PruningEncoderForSequenceClassification,
    "pruning_only": PruningEncoderForTokenClassification,
}


def build(model_type: str, mode: str = "reranking_pruning", labels: int = 1, **pruning: Any) -> Any:
    """Build a tiny model with every weight drawn."""
    base = tiny.tiny_config(model_type, num_labels=labels).to_dict()
    config = PruningEncoderConfig(mode=mode, base_model_config=base, pruning_config=pruning)
    model = MODES[mode](config)
    tiny.randomise(model, seed=1)
    return model.eval()


def auto(model: Any, folder: Path) -> Any:
    """Load what a model saved with the auto class for it; nothing may be missing."""
    task = "Sequence" if "Sequence" in type(model).__name__ else "Token"
    loader = getattr(transformers, f"AutoModelFor{task}Classification")
    again, report = loader.from_pretrained(folder, output_loading_info=True)
    assert not any(report[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    return again.eval()


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("model_type", FAMILIES)
@torch.no_grad()
def test_the_heads_stand_on_the_stock_model(model_type: str, mode: str, tmp_path: Path) -> None:
    model = build(model_type, mode)
    inputs = tiny.tiny_inputs(model)
    state = {
        name: tensor for name, tensor in model.state_dict().items() if not name.startswith("pruning_head")
    }
    head = model.pruning_head.classifier
    stock_class = type(model.stock)
    stock = stock_class(model.config.base_config()).eval()
    prefix = f"{stock.base_model_prefix}."
    if mode == "pruning_only":
        state = {name.removeprefix(prefix): tensor for name, tensor in state.items()}
    stock.load_state_dict(state, strict=mode == "reranking_pruning")  # names are the stock ones
    found, wanted = model(**inputs), stock(**inputs)
    hidden = stock.base_model(**inputs).last_hidden_state
    pruning = found.logits if mode == "pruning_only" else found.pruning_logits
    torch.testing.assert_close(pruning, F.linear(hidden, head.weight, head.bias), atol=1e-5, rtol=0)
    if mode == "reranking_pruning":
        torch.testing.assert_close(found.logits, wanted.logits, atol=1e-5, rtol=0)
    model.save_pretrained(tmp_path)
    again = auto(model, tmp_path)
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())
    type(again)(again.config)  # a second model of a config that was used


def test_hidden_states_and_tuples_are_as_of_stock_models() -> None:
    model = build("bert")
    inputs = tiny.tiny_inputs(model)
    found = model(**inputs, output_hidden_states=True)
    assert isinstance(found.hidden_states, tuple) and len(found.hidden_states) == tiny.LAYERS + 1
    logits, pruning = model(**inputs, return_dict=False)
    assert torch.equal(pruning, found.pruning_logits) and torch.equal(logits, found.logits)
    assert "pruning_logits" in found and list(found) == ["logits", "hidden_states", "pruning_logits"]


def test_one_label_is_a_probability_and_more_are_classes() -> None:
    """P12: the loss was the same for both."""
    one, three = build("bert", labels=1), build("bert", labels=3)
    inputs = tiny.tiny_inputs(one)
    labels = torch.tensor([1, 0])
    found = one(**inputs, labels=labels)
    wanted = F.binary_cross_entropy_with_logits(found.logits.view(-1), labels.float())
    torch.testing.assert_close(found.loss, wanted)
    found = three(**inputs, labels=labels)
    torch.testing.assert_close(found.loss, F.cross_entropy(found.logits, labels))


def test_tokens_without_a_label_do_not_count() -> None:
    model = build("bert", "pruning_only")
    inputs = tiny.tiny_inputs(model)
    labels = torch.full_like(inputs["input_ids"], -100)
    assert model(**inputs, labels=labels).loss == 0
    labels[:, 2] = 1
    found = model(**inputs, labels=labels)
    torch.testing.assert_close(found.loss, F.cross_entropy(found.logits[:, 2], labels[:, 2]))


def test_keep_or_prune_and_the_score_are_trained_together(tmp_path: Path) -> None:
    build("bert", labels=2).save_pretrained(tmp_path)
    model = PruningEncoderForTokenClassification.from_pretrained(tmp_path)
    inputs = tiny.tiny_inputs(model)
    labels, relevance = torch.full_like(inputs["input_ids"], 1), torch.tensor([1.0, 0.0])
    found = model(**inputs, labels=labels, relevance=relevance)
    alone = model(**inputs, labels=labels).loss
    torch.testing.assert_close(found.loss, alone + F.cross_entropy(found.ranking_logits, relevance.long()))
    without = build("bert", "pruning_only")
    assert torch.equal(
        without(**inputs, labels=labels, relevance=relevance).loss, without(**inputs, labels=labels).loss
    )


def test_a_state_that_the_encoder_does_not_have_is_refused() -> None:
    with pytest.raises(ValueError, match="BertModel has no hidden state 'pre_final_norm'"):
        build("bert", hidden_state="pre_final_norm")
    with pytest.raises(ValueError, match="mode 'both'"):
        PruningEncoderConfig(mode="both")


@torch.no_grad()
def test_copies_and_threads_do_not_mix_their_states() -> None:
    model = build("modernbert", hidden_state="pre_final_norm")
    batches = [tiny.tiny_inputs(model, seed=seed) for seed in range(8)]
    wanted = [model(**batch).pruning_logits for batch in batches]
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda batch: model(**batch).pruning_logits, batches * 4))
    assert all(torch.equal(one, other) for one, other in zip(found, wanted * 4, strict=True))
    for other in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert other.stock._modules is other._modules and other.stock is not model.stock
        assert torch.equal(other(**batches[0]).pruning_logits, wanted[0])


def test_a_module_that_is_replaced_is_replaced_for_the_score_too() -> None:
    """Adapters and pruning put modules of their own into a model."""
    model = build("bert")
    inputs = tiny.tiny_inputs(model)
    model.classifier = torch.nn.Linear(tiny.HIDDEN, 1)
    torch.nn.init.zeros_(model.classifier.weight)
    torch.nn.init.constant_(model.classifier.bias, 7.0)
    assert model(**inputs).logits.tolist() == [[7.0], [7.0]]


def test_more_words_survive_saving(tmp_path: Path) -> None:
    model = build("bert")
    model.resize_token_embeddings(tiny.VOCABULARY + 8, mean_resizing=False)
    model.save_pretrained(tmp_path)
    again = auto(model, tmp_path)
    assert again.get_input_embeddings().num_embeddings == again.config.vocab_size == tiny.VOCABULARY + 8


def test_saved_by_one_task_and_loaded_by_the_other(tmp_path: Path) -> None:
    model = build("bert", labels=1)
    model.save_pretrained(tmp_path / "first")
    tokens = PruningEncoderForTokenClassification.from_pretrained(tmp_path / "first")
    tokens.save_pretrained(tmp_path / "second")
    again = auto(model, tmp_path / "second")
    assert again.config.num_labels == 1
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_a_head_that_is_missing_is_drawn_and_nothing_else(tmp_path: Path) -> None:
    model = build("modernbert")
    model.save_pretrained(tmp_path)
    file = tmp_path / "model.safetensors"
    state = load_file(file)
    del state["pruning_head.classifier.weight"]
    save_file(state, file, metadata={"format": "pt"})
    again = PruningEncoderForSequenceClassification.from_pretrained(tmp_path)
    weight = again.pruning_head.classifier.weight
    assert 0.005 < weight.std() < 0.05
    left = {
        name: tensor for name, tensor in again.state_dict().items() if tensor is not weight and name in state
    }
    assert all(torch.equal(tensor, state[name]) for name, tensor in left.items())


def test_trainer_trains_saves_and_reloads(tmp_path: Path) -> None:
    model = build("bert")
    rows = [{"input_ids": [2, 7, 8, 3], "attention_mask": [1] * 4, "labels": row % 2} for row in range(8)]
    arguments = transformers.TrainingArguments(
        str(tmp_path), max_steps=2, per_device_train_batch_size=4, report_to=[], use_cpu=True, save_steps=2,
        disable_tqdm=True,
    )  # fmt: skip
    trainer = transformers.Trainer(model, arguments, train_dataset=rows, eval_dataset=rows)
    trainer.train()
    assert "eval_loss" in trainer.evaluate()
    assert trainer.predict(rows).predictions.shape == (8, 1)  # of the score alone
    again = auto(model, tmp_path / "checkpoint-2")
    assert all(torch.equal(tensor, again.state_dict()[name]) for name, tensor in model.state_dict().items())


def test_pipelines(tmp_path: Path) -> None:
    model, tokenizer = build("bert"), tiny.tiny_tokenizer("bert")
    ranks = transformers.pipeline("text-classification", model=model, tokenizer=tokenizer)
    assert 0 <= ranks({"text": "the film", "text_pair": "was good"})["score"] <= 1
    model.save_pretrained(tmp_path)
    tokens = PruningEncoderForTokenClassification.from_pretrained(tmp_path)
    keeps = transformers.pipeline("token-classification", model=tokens, tokenizer=tokenizer, ignore_labels=[])
    assert {item["entity"] for item in keeps("the film was good")} <= {"prune", "keep"}


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_the_way_of_attention_reaches_the_encoder(attention: str, tmp_path: Path) -> None:
    build("bert").save_pretrained(tmp_path)
    model = PruningEncoderForSequenceClassification.from_pretrained(tmp_path, attn_implementation=attention)
    assert model.base_model.config._attn_implementation == model.config._attn_implementation == attention


def test_no_config_inside_asks_for_code() -> None:
    """Attention may be named `org/repo`, which is code of the hub."""
    base = {
        **tiny.tiny_config("bert").to_dict(),
        "attn_implementation": "org/kernel",
        "auto_map": {"AutoModel": "x.Y"},
    }
    config = PruningEncoderConfig(base_model_config=base)
    assert "org/kernel" not in str(config.to_dict()) and "x.Y" not in str(config.to_dict())
    assert config.base_config()._attn_implementation is None


def test_gradients_reach_everything_with_checkpointing() -> None:
    model = build("bert").train()
    model.activation_checkpointing_enable()
    inputs = tiny.tiny_inputs(model)
    output = model(**inputs, labels=torch.tensor([0, 1]))
    (output.loss + output.pruning_logits.sum()).backward()
    assert [name for name, parameter in model.named_parameters() if parameter.grad is None] == []
