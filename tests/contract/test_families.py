"""Every family's table against a tiny live model of transformers: a rename there is caught here by name."""

import functools
import inspect
import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import nn
from transformers import AutoConfig, AutoTokenizer

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.tokenizer_files import SETTINGS, write_tokenizer
from prunecli.masks.units import GROUPS, ROWS, biased_linears, linear_shapes, mask_shape, touches
from prunecli.models.loading import load_tokenizer, longest_input
from prunecli.models.pruned import AUTO_CLASSES
from prunecli.models.shipped import encoder_of
from prunecli.shrink.vocabulary import word_tensors
from tests import tiny

pytestmark = pytest.mark.parametrize("model_type", tiny.MODEL_TYPES)


@functools.cache
def shared(model_type: str) -> transformers.PreTrainedModel:
    """Return a tiny model that a test only looks at or runs."""
    return tiny.tiny_model(model_type)


def test_each_linear_stands_where_the_table_says_with_that_shape(model_type: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    for layer in range(encoder.layers):
        for name, shape in linear_shapes(encoder, layer).items():
            linear = model.base_model.get_submodule(name)
            assert isinstance(linear, nn.Linear), name
            assert tuple(linear.weight.shape) == shape, name


def test_the_table_knows_every_linear_of_a_layer(model_type: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    prefix = encoder.family.layer.format(layer=0)
    found = {name for name, module in model.base_model.named_modules() if isinstance(module, nn.Linear)}
    assert {name for name in found if name.startswith(prefix)} == linear_shapes(encoder, 0).keys()


def test_there_are_as_many_layers_as_the_config_says(model_type: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    stack = model.base_model.get_submodule(encoder.family.layer.split(".{")[0])
    assert len(stack) == encoder.layers == tiny.LAYERS


def test_each_layer_is_computed_as_often_as_the_table_says(model_type: str) -> None:
    model = tiny.tiny_model(model_type)
    encoder = tiny.table(model)
    calls: Counter[str] = Counter()
    names = [encoder.module(layer, encoder.family.attention.output) for layer in range(encoder.layers)]
    for name in names:
        hook = functools.partial(lambda name, *_: calls.update([name]), name)
        model.base_model.get_submodule(name).register_forward_hook(hook)
    model(**tiny.tiny_inputs(model))
    assert calls == dict.fromkeys(names, encoder.repeats)


def test_the_table_knows_which_linears_have_a_bias(model_type: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    biased = {
        name
        for name in linear_shapes(encoder, 0)
        if model.base_model.get_submodule(name).bias is not None  # type: ignore[union-attr]
    }
    assert biased == biased_linears(encoder, 0)


# Their attention counts heads under transformers 4 only; what the table says of it is checked there.
COUNTED_ONCE = ("modernbert",)


def whole_numbers(module: nn.Module, value: int) -> set[str]:
    """Return the attributes of a module that are a whole number."""
    return {name for name, found in vars(module).items() if type(found) is int and found == value}


def test_the_core_is_the_module_that_counts_heads(model_type: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    core = encoder.family.core
    layer = model.base_model.get_submodule(encoder.module(0, "").removesuffix("."))
    counting = {
        (name, attribute)
        for name, module in layer.named_modules()
        for attribute in whole_numbers(module, encoder.heads)
        if "heads" in attribute
    }
    assert counting == (
        set() if core is None or model_type in COUNTED_ONCE else {(core.name, core.head_count)}
    )


def test_the_core_knows_its_width_and_whether_it_can_go(model_type: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    core = encoder.family.core
    if core is None:
        pytest.skip("its attention counts nothing")
    module = model.base_model.get_submodule(encoder.module(0, core.name))
    if model_type not in COUNTED_ONCE:
        width = whole_numbers(module, encoder.heads * encoder.head_size) - {
            "hidden_size"
        }  # no cut changes that
        assert width == ({core.width} if core.width else set())
    linears = (*encoder.family.attention.inputs, encoder.family.attention.output)
    known = {name.removeprefix(f"{core.name}.") for name in linears}
    learned = {name.rpartition(".")[0] for name, _ in module.named_parameters()}
    assert core.can_go == (learned <= known)


def test_an_argument_with_an_entry_a_head_is_called_what_the_table_says(model_type: str) -> None:
    """Look at what the core really gets: tensors [batch, heads, ...] are the ones that a cut has to select from."""
    model = tiny.tiny_model(model_type)
    tiny.use_attention(model, "eager")
    encoder = tiny.table(model)
    core = encoder.family.core
    parent = core.name if core is not None else encoder.family.attention.output.rpartition(".")[0]
    module = model.base_model.get_submodule(encoder.module(0, parent))
    places = list(inspect.signature(module.forward).parameters)
    seen: set[str] = set()

    def look(_module: nn.Module, args: tuple[Any, ...], kwargs: dict[str, Any]) -> None:
        for name, value in {**dict(zip(places, args, strict=False)), **kwargs}.items():
            if isinstance(value, torch.Tensor) and value.dim() > 2 and value.shape[1] == encoder.heads:
                seen.add(name)

    module.register_forward_pre_hook(look, with_kwargs=True)
    model(**tiny.tiny_inputs(model))
    assert seen == (set() if core is None or core.per_head is None else {core.per_head})


def test_the_prefix_is_the_base_models(model_type: str) -> None:
    model = shared(model_type)
    assert tiny.row(model_type).prefix == model.base_model_prefix
    assert model.base_model is getattr(model, tiny.row(model_type).prefix)


def test_the_sizes_are_those_of_the_config(model_type: str) -> None:
    encoder = tiny.table(shared(model_type))
    assert (encoder.heads, encoder.hidden, encoder.intermediate) == (
        tiny.ATTENTION_HEADS, tiny.HIDDEN, tiny.INTERMEDIATE,
    )  # fmt: skip


def test_the_default_config_has_the_fields(model_type: str) -> None:
    config = AutoConfig.for_model(model_type).to_dict()
    family = tiny.table(shared(model_type)).family
    fields = (family.layers_field, family.heads_field, family.hidden_field, family.intermediate_field)
    assert set(fields) <= config.keys()


@pytest.mark.parametrize("head", AUTO_CLASSES)
def test_the_stem_names_a_class_for_every_head(model_type: str, head: str) -> None:
    stock = getattr(transformers, tiny.row(model_type).stem + head, None)
    if head in tiny.HEADLESS.get(model_type, ()):
        assert stock is None
        return
    assert (
        getattr(transformers, AUTO_CLASSES[head])._model_mapping[type(tiny.tiny_config(model_type))] is stock
    )


def test_the_tokenizer_class_exists_and_gives_the_models_inputs(model_type: str) -> None:
    row = tiny.row(model_type)
    assert hasattr(transformers, row.tokenizer)
    encoded = tiny.tiny_tokenizer(model_type)(
        "good", "film", return_token_type_ids="token_type_ids" in row.model_inputs
    )
    assert set(row.model_inputs) == encoded.keys()
    model = shared(model_type)
    model(**{name: torch.tensor([values]) for name, values in encoded.items()})


def test_a_tokenizer_gives_the_same_before_and_after_it_is_written(model_type: str, tmp_path: Path) -> None:
    """Else a pair is trained with other inputs than the folder that ships is used with."""
    source = tiny.save_tiny(tmp_path / "source", model_type)
    settings = json.loads((source / SETTINGS).read_text())
    settings.pop("model_input_names", None)
    (source / SETTINGS).write_text(json.dumps(settings))
    checkpoint = read_checkpoint(source)
    (tmp_path / "written").mkdir()
    write_tokenizer(checkpoint, encoder_of(checkpoint), tmp_path / "written")
    written = AutoTokenizer.from_pretrained(tmp_path / "written")
    assert dict(load_tokenizer(checkpoint)("good", "film")) == dict(written("good", "film"))


def test_the_longest_input_fits(model_type: str) -> None:
    model = shared(model_type)
    with torch.no_grad():
        model(input_ids=torch.full((1, longest_input(model, tiny.table(model))), 7))


def test_one_token_more_than_the_longest_input_does_not_fit(model_type: str) -> None:
    model = shared(model_type)
    if not any("position_embeddings" in name for name, _ in model.named_parameters()):
        pytest.skip("its positions are computed, not learned")
    with pytest.raises((IndexError, RuntimeError)):
        model(input_ids=torch.full((1, longest_input(model, tiny.table(model)) + 1), 7))


@pytest.mark.parametrize("group", GROUPS)
def test_a_groups_units_fill_each_side_that_they_touch(model_type: str, group: str) -> None:
    model = shared(model_type)
    encoder = tiny.table(model)
    for touch in touches(encoder, group, 0):
        weight = model.base_model.get_submodule(touch.module).weight
        assert weight.shape[touch.dim] == mask_shape(encoder, group)[1] * touch.width * touch.blocks


@pytest.mark.parametrize("group", GROUPS)
def test_removing_a_unit_by_hand_is_what_closing_its_gate_does(model_type: str, group: str) -> None:
    """Zero what `touches` calls gated, in the weights themselves: the unit's other sides then do not matter."""
    model = tiny.tiny_model(model_type)
    encoder = tiny.table(model)
    inputs = tiny.tiny_inputs(model)
    gated = [touch for touch in touches(encoder, group, 1) if touch.gated]
    inner = [touch for touch in touches(encoder, group, 1) if not touch.gated]
    with torch.no_grad():
        for touch in gated:
            linear = model.base_model.get_submodule(touch.module)
            linear.weight.narrow(touch.dim, 0, touch.width).zero_()
            if touch.dim == ROWS and linear.bias is not None:
                linear.bias[: touch.width] = 0
        before = tiny.outputs(model, inputs)
        for touch in inner:
            model.base_model.get_submodule(touch.module).weight[: touch.width] = 3.0
    assert torch.allclose(tiny.outputs(model, inputs), before, atol=1e-6)


def test_the_word_embeddings_stand_where_the_table_says(model_type: str) -> None:
    model = shared(model_type)
    words = model.base_model.get_submodule(tiny.table(model).family.words)
    assert words is model.get_input_embeddings()


@pytest.mark.parametrize("head", ["Model", "ForMaskedLM"])
def test_the_tensors_with_a_row_a_word_are_known(model_type: str, head: str, tmp_path: Path) -> None:
    rows = 3 * tiny.VOCABULARY + 1  # no other size of a tiny model
    source = tiny.save_tiny(tmp_path / "source", model_type, head, vocab_size=rows)
    checkpoint = read_checkpoint(source)
    found = word_tensors(checkpoint, tiny.sizes(source))
    assert sorted(found) == sorted(name for name, entry in checkpoint.tensors.items() if rows in entry.shape)


@pytest.mark.parametrize("head", tiny.HEADS)
def test_a_cut_folder_loads_through_the_auto_class(model_type: str, head: str, tmp_path: Path) -> None:
    if head in tiny.HEADLESS.get(model_type, ()):
        pytest.skip("transformers has no such class")
    source = tiny.save_tiny(tmp_path / "source", model_type, head)
    masks = tiny.random_masks(tiny.sizes(source), GROUPS, seed=0, empty=True)
    cut = tiny.cut(source, masks, tmp_path / "cut")
    model = getattr(transformers, AUTO_CLASSES[head]).from_pretrained(cut, trust_remote_code=True).eval()
    ours = tiny.load(cut, attention=model.config._attn_implementation)
    inputs = tiny.tiny_inputs(model)
    assert torch.equal(tiny.outputs(model, inputs), tiny.outputs(ours, inputs))
