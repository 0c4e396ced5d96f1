"""A drop-in for the CrossEncoder of sentence-transformers: the scores of a PruningEncoder, and a ranking by them.

The same folder gives the same scores in both: pairs are cut to the same length and the same activation is taken. No
code of the folder runs, and sentence-transformers is not needed.

Shapes: P pairs, L labels.
"""

from collections.abc import Callable, Mapping, Sequence
from os import PathLike
from typing import Any

import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from prunecli.checkpoints.folder import read_checkpoint
from prunecli.checkpoints.sentence_files import cross_encoder_settings
from prunecli.checkpoints.source import find_model
from prunecli.errors import InputError
from prunecli.inference.batching import Batcher
from prunecli.inference.runnable import find_device, longest_row
from prunecli.inference.truncated import rows_of
from prunecli.models.loading import load_model, load_tokenizer
from prunecli.models.modeling_pruning_encoder import RERANKING

Pair = Sequence[str]  # query, document
Activation = Callable[[Tensor], Tensor]
ACTIVATIONS = "torch.nn.modules."  # what the name of an activation has to begin with


class PruningCrossEncoder:
    """Scores pairs of query and document.

    Args:
        model_name_or_path: A folder that `convert` wrote, or its hub id.
        max_length: Tokens that a pair is cut to; what the tokenizer and the model take where None.
        device: Where to compute; the best that there is where None.
        activation_fn: What is put on the logits; what the checkpoint says where None, else a sigmoid for one label.
        trust_remote_code: Taken because CrossEncoder has it; no code of the folder runs.

    Raises:
        InputError: The folder is no PruningEncoder of ours with a score.
    """

    def __init__(
        self,
        model_name_or_path: str | PathLike[str],
        *,
        max_length: int | None = None,
        device: str | None = None,
        activation_fn: Activation | None = None,
        trust_remote_code: bool = False,
    ) -> None:
        checkpoint = read_checkpoint(find_model(str(model_name_or_path), ""))
        config = checkpoint.config
        if config.get("model_type") != "pruning_encoder" or config.get("mode") != RERANKING:
            raise InputError(
                f"{model_name_or_path} is not a PruningEncoder with a ranking head",
                f"prunecli convert {model_name_or_path} OUT --to pruning-encoder makes one of a reranker",
            )
        loaded = load_model(checkpoint, "ForSequenceClassification")
        random = [
            name for name in loaded.new if not name.startswith("pruning_head.")
        ]  # no score reads that one
        if random:
            raise InputError(
                f"{model_name_or_path}: tensor {random[0]} is missing", "convert the source again"
            )
        self.tokenizer = load_tokenizer(checkpoint)
        self.max_length = longest_row(checkpoint, loaded.model, self.tokenizer, max_length)
        self.model = loaded.model.to(find_device(device or "auto"))  # type: ignore[arg-type]
        self.activation_fn = activation_fn or _activation(config, self.num_labels)

    @property
    def num_labels(self) -> int:
        """Return how many logits a pair has."""
        return int(self.model.config.num_labels)

    @torch.inference_mode()
    def predict(
        self,
        inputs: Sequence[Pair] | Pair,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
        apply_softmax: bool | None = False,
        convert_to_numpy: bool = True,
        convert_to_tensor: bool = False,
    ) -> Any:
        """Return the scores of pairs.

        Args:
            inputs: Pairs of query and document, or one pair.
            batch_size: Pairs of the longest a batch; of shorter ones it takes more, and less where memory runs out.
            show_progress_bar: Taken because CrossEncoder has it; nothing is shown.
            activation_fn: What is put on the logits; that of the object where None.
            apply_softmax: Whether scores of several labels shall sum to 1.
            convert_to_numpy: Whether an array is returned, [P] or [P, L], rather than a list of tensors.
            convert_to_tensor: Whether one tensor is returned instead.

        Returns:
            The scores in the order of the pairs; of one pair, its own.
        """
        one = len(inputs) > 0 and isinstance(inputs[0], str)
        pairs: Any = [inputs] if one else inputs
        activation = activation_fn or self.activation_fn
        scores_PL = activation(self._logits(pairs, batch_size))
        if apply_softmax and self.num_labels > 1:
            scores_PL = scores_PL.softmax(-1)
        scores = scores_PL[:, 0] if self.num_labels == 1 else scores_PL
        found: Any = scores if convert_to_tensor else _array(scores) if convert_to_numpy else list(scores)
        return found[0] if one else found

    def rank(
        self,
        query: str,
        documents: Sequence[str],
        top_k: int | None = None,
        return_documents: bool = False,
        batch_size: int = 32,
        show_progress_bar: bool | None = None,
        activation_fn: Activation | None = None,
    ) -> list[dict[str, Any]]:
        """Sort documents by how well they answer a query.

        Args:
            query: The query.
            documents: The documents.
            top_k: How many are returned; all where None.
            return_documents: Whether each entry has the `text`.
            batch_size: As in `predict`.
            show_progress_bar: As in `predict`.
            activation_fn: As in `predict`.

        Returns:
            Entries with `corpus_id`, the document's place in the list, and `score`; the best first.

        Raises:
            InputError: The model has several labels, so that nothing says which one ranks.
        """
        if self.num_labels != 1:
            raise InputError(
                f"a model of {self.num_labels} labels has no one score to rank by",
                "sort what predict returns",
            )
        pairs = [(query, document) for document in documents]
        scores = self.predict(pairs, batch_size, show_progress_bar, activation_fn, convert_to_tensor=True)
        order = sorted(range(len(pairs)), key=lambda place: -float(scores[place]))
        return [
            {
                "corpus_id": place,
                "score": scores[place].item(),
                **({"text": documents[place]} if return_documents else {}),
            }
            for place in order[:top_k]
        ]

    def _logits(self, pairs: Sequence[Pair], batch_size: int) -> Tensor:
        """Return logits [P, L], on the CPU.

        Raises:
            InputError: A pair does not fit into memory.
        """
        rows = rows_of(self.tokenizer, pairs, self.max_length)
        budget = batch_size * max((row.tokens for row in rows), default=0)
        found = Batcher(self.model, self.model.device, _logits_of, self.tokenizer, budget).forward(rows)
        logits_PL = torch.zeros(len(rows), self.num_labels)
        for number, output in enumerate(found):
            if output is None:
                raise InputError("a pair does not fit into memory", "give a lower max_length")
            logits_PL[number] = output["logits"]
        return logits_PL


def _logits_of(found: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
    return {"logits": found["logits"].float()}


def _array(scores: Tensor) -> NDArray[Any]:
    array: NDArray[Any] = scores.numpy()
    return array


def _activation(config: dict[str, Any], labels: int) -> Activation:
    """Return the activation that a checkpoint was saved with; a sigmoid for one label where it says none.

    Raises:
        InputError: It names anything but a module of torch that needs no arguments.
    """
    name = (cross_encoder_settings(config) or {}).get("activation_fn")
    if name is None:
        return nn.Sigmoid() if labels == 1 else nn.Identity()
    cls = getattr(nn, str(name).rpartition(".")[2], None)
    is_module = isinstance(cls, type) and issubclass(cls, nn.Module) and str(name).startswith(ACTIVATIONS)
    try:
        made: Activation | None = cls() if cls is not None and is_module else None
    except TypeError:  # a layer with weights, which has to be told how many
        made = None
    if made is None:
        raise InputError(
            f"config.json: activation_fn {name!r} is no activation of torch", "say one: activation_fn="
        )
    return made
