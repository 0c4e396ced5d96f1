"""Each defect that was found in the packages whose checkpoints are read has a test that ours does not have it."""

import ast
from pathlib import Path

import pytest
import torch
import transformers
from safetensors.torch import load_file, save_file

from prunecli import PruningEncoder, PruningEncoderConfig, PruningEncoderForSequenceClassification
from prunecli.errors import InputError
from tests import tiny

TESTS = Path(__file__).parents[1]
CONTEXT = "inference/test_context_pruning.py"
MODEL, TEXTS = "unit/test_pruning_encoder.py", "inference/test_pruning_encoder.py"
OUTPUTS, LAYOUTS = "convert/test_originals.py", "convert/test_original_layouts.py"
CROSS = "inference/test_pruning_cross_encoder.py"
REFUSALS, IRTI, HERE = (
    "convert/test_original_refusals.py",
    "unit/test_irti_masked_seq.py",
    "contract/test_defects.py",
)

# Of the training package of PruningEncoder (P), OpenProvence (O) and irti_custom (I): what was wrong, and the test.
DEFECTS: dict[str, tuple[str, str, str]] = {
    "P1": ("the modeling file imports the package", LAYOUTS, "test_the_folder_is_flat_and_says_everything"),
    "P2": ("a base model is loaded first", LAYOUTS, "test_the_folder_is_flat_and_says_everything"),
    "P3": ("from_pretrained drops its arguments", MODEL, "test_the_way_of_attention_reaches_the_encoder"),
    "P4": ("the head is a pickle", LAYOUTS, "test_the_folder_is_flat_and_says_everything"),
    "P5": ("segments are swallowed", OUTPUTS, "test_segments_reach_the_model"),
    "P6": ("device and dtype are mixed up", HERE, "test_device_and_dtype_are_what_they_are"),
    "P7": ("hidden_states is one tensor", MODEL, "test_hidden_states_and_tuples_are_as_of_stock_models"),
    "P8": ("the document is looked for between separators", TEXTS, "test_every_token_of_the_document_is_there_once"),
    "P9": ("white space is lost", TEXTS, "test_what_is_kept_has_the_documents_own_white_space"),
    "P10": ("return_tokens raises", TEXTS, "test_tokens_come_along_where_they_are_asked_for"),
    "P11": ("weights of a pooling that nothing computes", LAYOUTS, "test_pooling_weights_are_left_out_and_said"),
    "P12": ("one loss for any number of labels", MODEL, "test_one_label_is_a_probability_and_more_are_classes"),
    "P13": ("post_init is not called", HERE, "test_every_model_is_initialised_as_transformers_5_asks"),
    "P14": ("auto_map with a dotted module", LAYOUTS, "test_the_folder_is_flat_and_says_everything"),
    "P15": ("its check writes into the folder", "convert/test_story.py", "test_from_the_package_to_predictions"),
    "O1": ("a title shifts the spans", CONTEXT, "test_a_title_is_read_and_shifts_no_span"),
    "O2": (
        "means of fragments, not of tokens",
        CONTEXT,
        "test_spans_are_exact_and_probabilities_are_means_of_tokens",
    ),
    "O3": ("a query is never cut", TEXTS, "test_a_long_query_leaves_room_for_the_document"),
    "O4": ("transformers 5 does not load it", OUTPUTS, "test_scores_and_pruning_logits_are_those_of_the_package"),
    "O5": ("another hidden state since 5.1", OUTPUTS, "test_the_last_hidden_state_would_be_another_one"),
    "O6": ("the tokenizer's limit is lost", LAYOUTS, "test_the_folder_is_flat_and_says_everything"),
    "O7": ("a ranking loses the indices", CROSS, "test_the_best_documents_come_first"),
    "O8": ("all reports are silenced, any error retried", HERE, "test_loading_says_what_is_wrong_and_silences_nothing"),
    "O9": ("sentences are tokenised alone", TEXTS, "test_scores_and_probabilities_are_the_models"),
    "O10": ("code is trusted by default", REFUSALS, "test_the_name_of_a_base_model_is_not_followed"),
    "I1": ("a reload ignores what is asked", IRTI, "test_i1_a_reload_does_not_swallow_what_is_asked_for"),
    "I2": ("a local encoder is taken for a saved model", IRTI, "test_i2_a_local_encoder_is_no_saved_model"),
    "I3": ("it does not load offline", IRTI, "test_i3_nothing_is_looked_for_where_it_was_trained"),
    "I4": ("NaN where all is ignored", IRTI, "test_i4_all_labels_ignored_cost_nothing"),
    "I5": ("-100 as a target", IRTI, "test_i5_ignored_in_another_channel_is_no_target"),
    "I6": ("resizing does not survive saving", IRTI, "test_i6_resized_embeddings_survive_saving"),
    "I7": ("no input embeddings", IRTI, "test_i7_there_are_input_embeddings"),
    "I8": ("no positions, padding, tuples", IRTI, "test_i8_no_positions_padding_and_tuples"),
    "I9": ("ids of labels with gaps", IRTI, "test_i9_names_of_labels_that_the_head_has_not"),
    "I10": ("a checkpoint runs code", IRTI, "test_i10_a_checkpoint_cannot_run_code"),
}  # fmt: skip


@pytest.mark.parametrize("defect", DEFECTS)
def test_every_defect_has_its_test(defect: str) -> None:
    _, file, name = DEFECTS[defect]
    tree = ast.parse((TESTS / file).read_text(encoding="utf-8"))
    assert name in {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def test_no_defect_is_left_out() -> None:
    counts = {letter: sum(key.startswith(letter) for key in DEFECTS) for letter in "POI"}
    assert counts == {"P": 15, "O": 10, "I": 10}


@pytest.fixture
def saved(tmp_path: Path) -> Path:
    """Return a folder with a tiny PruningEncoder."""
    config = PruningEncoderConfig(base_model_config=tiny.tiny_config("bert", num_labels=1).to_dict())
    PruningEncoderForSequenceClassification(config).save_pretrained(tmp_path)
    tiny.tiny_tokenizer("bert").save_pretrained(tmp_path)
    return tmp_path


def test_device_and_dtype_are_what_they_are(saved: Path) -> None:
    model = PruningEncoderForSequenceClassification.from_pretrained(
        saved, dtype=torch.float16, device_map=None, output_loading_info=False
    )
    assert (model.dtype, model.device) == (torch.float16, torch.device("cpu"))
    assert (model.to(torch.bfloat16).dtype, model.device) == (torch.bfloat16, torch.device("cpu"))
    assert PruningEncoder.from_pretrained(saved, device="cpu").model.device == torch.device("cpu")


@pytest.mark.parametrize("model_type", ["bert", "modernbert"])
def test_every_model_is_initialised_as_transformers_5_asks(model_type: str) -> None:
    config = PruningEncoderConfig(base_model_config=tiny.tiny_config(model_type).to_dict())
    with torch.device("meta"):  # as from_pretrained builds it
        model = PruningEncoderForSequenceClassification(config)
    inner = [module for module in model.modules() if isinstance(module, transformers.PreTrainedModel)]
    assert all(hasattr(module, "all_tied_weights_keys") for module in (model, model.stock, *inner))


def test_loading_says_what_is_wrong_and_silences_nothing(saved: Path) -> None:
    verbosity = transformers.utils.logging.get_verbosity()
    PruningEncoder.from_pretrained(saved, device="cpu")
    assert transformers.utils.logging.get_verbosity() == verbosity
    state = load_file(saved / "model.safetensors")
    state["classifier.weight"] = torch.ones(3, 3)
    save_file(state, saved / "model.safetensors")
    with pytest.raises(InputError, match="weights do not fit"):
        PruningEncoder.from_pretrained(saved, device="cpu")
