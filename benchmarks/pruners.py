"""What `benchmarks/peers.py` compares: each candidate cuts a checkpoint to a share of its encoder's MACs.

Glue between this project's sessions and the libraries, which are imported where they are used: this file can be read,
checked and tested without them. All look at the same training rows, in the same batches.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import PreTrainedModel

from prunecli import api, methods
from prunecli.checkpoints.folder import read_checkpoint
from prunecli.config import TrainMasksConfig
from prunecli.encoders import Encoder
from prunecli.masks.budget import LayerShapes
from prunecli.masks.prices import flops
from prunecli.masks.units import linear_shapes
from prunecli.models.loading import load_model
from prunecli.operations.train_masks import read_inputs
from prunecli.training.calibration_rows import calibration_examples
from prunecli.training.session import Session, open_session

METHODS = ("one-shot", "fisher", "taylor", "magnitude")
HALVINGS = 14  # of the pruning ratio: one neuron of 16,384
ITERATIONS = 4  # of TextPruner: its own tables gain most of what there is up to here

Shapes = dict[str, tuple[int, int]]


@dataclass(frozen=True, slots=True)
class Job:
    """What a candidate is asked for.

    Attributes:
        checkpoint: The dense model.
        task: Its task.
        data_dir: Folder with the task's rows; None for those of the hub.
        budget: Share of the encoder's MACs, at the mean length of the training rows.
        rows: Training rows to look at.
        folder: An empty folder to work in.
    """

    checkpoint: Path
    task: str
    data_dir: Path | None
    budget: float
    rows: int
    folder: Path

    @property
    def options(self) -> dict[str, Any]:
        """Return what `train-masks` calls all this, on the CPU."""
        return {
            "data_dir": self.data_dir,
            "target_flops": self.budget,
            "calibration_rows": self.rows,
            "out": self.folder / "run",
            "device": "cpu",
        }

    def session(self) -> Session:
        """Load the dense model and the task's rows."""
        asked = {"model": str(self.checkpoint), "task": self.task, "method": "magnitude", **self.options}
        config = TrainMasksConfig.of(asked)
        return open_session(
            config, *read_inputs(config, [methods.get(config.method_name)]), lambda label, done, total: None
        )


@dataclass(frozen=True, slots=True)
class Cut:
    """What a candidate made of the dense model.

    Attributes:
        model: The cut model.
        seconds: Wall time of scoring, choosing and cutting; without loading, and without the search for a ratio.
        note: What a reader of the numbers has to know.
    """

    model: PreTrainedModel
    seconds: float
    note: str = ""


Candidate = Callable[[Job], Cut]


def live_shapes(model: nn.Module, encoder: Encoder) -> Shapes:
    """Return [out, in] of the linears of all layers, as they stand in a model, by their names in the bare encoder."""
    body = model.get_submodule(encoder.model_type.prefix)
    modules = dict(body.named_modules())
    names = [name for layer in range(encoder.layers) for name in linear_shapes(encoder, layer)]
    linears = {name: module for name in names if isinstance(module := modules.get(name), nn.Linear)}
    shapes = {name: (linear.weight.shape[0], linear.weight.shape[1]) for name, linear in linears.items()}
    return {name: shapes.get(name, (0, 0)) for name in names}  # an attention without heads has none of them


def count_macs(shapes: Mapping[str, tuple[int, int]], encoder: Encoder, tokens: int) -> int:
    """Count multiply-adds of linears and attention for one sequence of `tokens` tokens, by the linears' shapes."""
    total = 0
    for layer in range(encoder.layers):
        linears = {name: shapes[name] for name in linear_shapes(encoder, layer)}
        heads, neurons = (
            linears[encoder.module(layer, sublayer.output)][1]
            for sublayer in (encoder.family.attention, encoder.family.ffn)
        )
        shape = LayerShapes(heads // encoder.head_size, neurons, linears, frozenset())
        total += shape.flops(tokens, encoder.head_size) // 2
    return total * encoder.repeats


def nothing(job: Job) -> Cut:
    """Leave the dense model as it is: its metric, and how far from 1 a speed-up of nothing gets here."""
    return Cut(job.session().loaded.model, 0.0)


def ours(method: str, job: Job) -> Cut:
    """Cut with one of our methods, with the refit that is its default."""
    found = api.train_masks(job.checkpoint, job.task, method=method, **job.options)
    started = time.perf_counter()
    api.apply_masks(job.folder / "run", out=job.folder / "model")
    seconds = found.seconds + time.perf_counter() - started  # type: ignore[union-attr]  # no plan, no sweep
    return Cut(load_model(read_checkpoint(job.folder / "model")).model, seconds)


def torch_pruning(importance: str, everywhere: bool, job: Job) -> Cut:
    """Cut heads and neurons with Torch-Pruning, by the recipe of its BERT example; the hidden size stays.

    Heads go at the ratio that the budget names; the ratio of neurons is searched so that the MACs meet it.

    Args:
        importance: A class of `tp.importance`.
        everywhere: Rank units of all layers together, not each layer's on their own.
        job: What is asked.
    """
    import torch_pruning as tp

    session = job.session()
    model, encoder, tokens = session.loaded.model, session.loaded.encoder, session.features.mean_length
    started = time.perf_counter()
    if importance == "TaylorImportance":
        _fill_gradients(session)
    scored = time.perf_counter()
    dense, scores = live_shapes(model, encoder), getattr(tp.importance, importance)()
    share = partial(_share_after, dense, encoder, tokens)

    def groups(ratio: float) -> Iterable[Any]:
        pruner = _pruner(tp, model, encoder, scores, everywhere, 1 - job.budget, ratio)
        proposed: Iterable[Any] = pruner.step(interactive=True)
        return proposed

    ratio = search_ratio(lambda ratio: share(_removed(model, encoder, groups(ratio))), job.budget)
    searched = time.perf_counter()
    for group in groups(ratio):
        group.prune()
    model.zero_grad()
    return Cut(model, scored - started + time.perf_counter() - searched)


def _fill_gradients(session: Session) -> None:
    """Leave the gradient of the loss, summed over all batches, in the model's parameters."""
    for batch, labels in zip(*calibration_examples(session), strict=True):
        session.loaded.model(**batch, **labels).loss.backward()


def _pruner(
    tp: Any, model: nn.Module, encoder: Encoder, scores: Any, everywhere: bool, heads: float, neurons: float
) -> Any:
    """Return Torch-Pruning's pruner: only inputs of sublayers lose rows, and what else has to shrink follows."""
    body = model.get_submodule(encoder.model_type.prefix)
    family, layers = encoder.family, range(encoder.layers)
    inputs = {
        sublayer: [
            body.get_submodule(encoder.module(layer, name)) for layer in layers for name in sublayer.inputs
        ]
        for sublayer in (family.attention, family.ffn)
    }
    roots = {module for modules in inputs.values() for module in modules}
    leaves = [module for module in model.modules() if not list(module.children())]
    ids = torch.ones(1, 8, dtype=torch.long)
    return tp.pruner.MetaPruner(
        model,
        {"input_ids": ids, "attention_mask": torch.ones_like(ids)},
        importance=scores,
        global_pruning=everywhere,
        pruning_ratio=neurons,
        num_heads=dict.fromkeys(inputs[family.attention], encoder.heads),
        prune_head_dims=False,
        prune_num_heads=True,
        head_pruning_ratio=heads,
        ignored_layers=[module for module in leaves if module not in roots],
        output_transform=lambda output: output.logits.sum(),
    )


def _removed(model: nn.Module, encoder: Encoder, groups: Iterable[Any]) -> dict[tuple[str, int], int]:
    """Return how much groups that Torch-Pruning proposes take from each linear, by name and dimension."""
    names = {module: name for name, module in model.get_submodule(encoder.model_type.prefix).named_modules()}
    return {
        (names[dependency.target.module], int("in_channels" in dependency.handler.__name__)): len(indices)
        for group in groups
        for dependency, indices in group
        if isinstance(dependency.target.module, nn.Linear)
    }


def _share_after(
    dense: Shapes, encoder: Encoder, tokens: int, removed: Mapping[tuple[str, int], int]
) -> float:
    shapes = {
        name: (rows - removed.get((name, 0), 0), columns - removed.get((name, 1), 0))
        for name, (rows, columns) in dense.items()
    }
    return count_macs(shapes, encoder, tokens) / count_macs(dense, encoder, tokens)


def search_ratio(share_at: Callable[[float], float], budget: float) -> float:
    """Return the smallest ratio by halving whose share keeps the budget; where none does, the one nearest to it."""
    low, high, tried = 0.0, 1.0, dict[float, float]()
    for _ in range(HALVINGS):
        ratio = (low + high) / 2
        tried[ratio] = share_at(ratio)
        low, high = (ratio, high) if tried[ratio] > budget else (low, ratio)
    kept = [ratio for ratio, share in tried.items() if share <= budget]
    return min(kept or tried, key=lambda ratio: abs(tried[ratio] - budget))


def textpruner(cuts: bool, job: Job) -> Cut:
    """Prune with TextPruner: layers of one width, heads where they are worth most.

    Args:
        cuts: Cut, as its guide says; or set weights to zero (`keep_shape`), which needs less of transformers.
        job: What is asked.
    """
    from textpruner import GeneralConfig, TransformerPruner, TransformerPruningConfig

    session = job.session()
    encoder, prices = session.loaded.encoder, flops(session.loaded.encoder, session.features.mean_length)
    heads = round(job.budget * encoder.heads)
    left = job.budget * prices.dense - prices.of({"head": [heads] * encoder.layers})
    sizes = TransformerPruningConfig(
        target_num_of_heads=heads,
        target_ffn_size=int(left / prices.tables["ffn_int"][:, 1].sum()),
        pruning_method="iterative",
        n_iters=ITERATIONS,
        head_even_masking=False,
    )
    started = time.perf_counter()
    batches, labels = calibration_examples(session)
    work = GeneralConfig(use_device="cpu", output_dir=str(job.folder / "textpruner"))
    pruner = TransformerPruner(session.loaded.model, sizes, work)
    rows = [{**batch, **answers} for batch, answers in zip(batches, labels, strict=True)]
    pruner.prune(rows, keep_shape=not cuts, save_model=False)
    seconds = time.perf_counter() - started
    masks = {"head": pruner.head_mask, "ffn_int": pruner.ffn_mask}
    share = prices.of({group: _widths(mask) for group, mask in masks.items()}) / prices.dense
    note = "" if cuts else f"zeros in the dense shape; its masks alone keep {share:.4f}"
    return Cut(session.loaded.model, seconds, note)


def _widths(mask_LU: Tensor) -> list[int]:
    return [int(kept) for kept in mask_LU.sum(1)]


CANDIDATES: dict[str, Candidate] = {
    "dense": nothing,
    **{f"prunecli {method}": partial(ours, method) for method in METHODS},
    "torch-pruning Taylor": partial(torch_pruning, "TaylorImportance", False),
    "torch-pruning Taylor, global": partial(torch_pruning, "TaylorImportance", True),
    "torch-pruning magnitude": partial(torch_pruning, "MagnitudeImportance", False),
    "torch-pruning magnitude, global": partial(torch_pruning, "MagnitudeImportance", True),
    "textpruner": partial(textpruner, True),
    "textpruner, keep_shape": partial(textpruner, False),
}
