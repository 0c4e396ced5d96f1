"""A vector for a text, by an encoder without a head: the mean of its tokens, or the first token's state.

    embedding    list of numbers

Where the folder says how (sentence-transformers' files), that is done, with its prompt for every text, the dense layers
and the normalisation that follow. A folder that does more is refused, unless --pooling asks for the encoder alone.
Shape suffixes: R rows, T tokens, H hidden.
"""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor
from torch.nn.functional import normalize

from prunecli.checkpoints import strict_json
from prunecli.checkpoints.folder import Checkpoint, inside
from prunecli.checkpoints.sentence_files import MODULE_CONFIG, MODULES, SETTINGS
from prunecli.errors import InputError
from prunecli.inference.dense_module import Dense
from prunecli.inference.formats.base import Record
from prunecli.inference.kinds.base import Kind, Outputs, Row, Setting
from prunecli.inference.text_fields import known_single_fields, text_in
from prunecli.inference.truncated import truncated_rows

DONE_HERE = ("Transformer", "Pooling", "Dense", "Normalize")
MODES = {"mean": "pooling_mode_mean_tokens", "cls": "pooling_mode_cls_token"}


class Embeddings(Kind):
    """Vectors of texts."""

    known = known_single_fields()
    writes = ("embedding",)
    options = ("pooling",)

    def __init__(self, setting: Setting) -> None:
        super().__init__(setting)
        asked = setting.options.pooling
        modules = _modules(setting.checkpoint) if asked == "auto" else []
        folder = dict(modules).get("Pooling")
        self.prompt, self.lower = _reading(setting.checkpoint) if modules else ("", False)
        self.pooling = _pooling(setting.checkpoint, folder, bool(self.prompt)) if asked == "auto" else asked
        # What follows, in the order of the list.
        self.after: list[Callable[[Tensor], Tensor]] = [
            normalize if name == "Normalize" else Dense(setting.checkpoint, path)
            for name, path in modules
            if name in ("Dense", "Normalize")
        ]

    @classmethod
    def is_meant(cls, checkpoint: Checkpoint) -> bool:
        """Say whether it is an encoder without a head."""
        bare = (checkpoint.architecture or "").endswith("Model")
        return bare and checkpoint.config.get("model_type") not in ("masked_seq", "pruning_encoder")

    can = is_meant

    def parse(self, record: Record, fields: tuple[str, ...]) -> tuple[str, ...]:
        """Take the text out of a record."""
        text = self.prompt + text_in(record, fields[0])
        return (text.lower() if self.lower else text,)

    def encode(self, inputs: Sequence[tuple[str, ...]]) -> list[list[Row]]:
        """Return a row each, cut to what fits."""
        return [[row] for row in truncated_rows(self.setting, inputs)]

    def outputs(self, found: Mapping[str, Tensor], batch: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the embeddings [R, H]."""
        states_RTH = found["last_hidden_state"].float()
        if self.pooling == "cls":
            pooled_RH = states_RTH[:, 0]
        else:
            mask_RT1 = batch["attention_mask"][..., None]
            pooled_RH = (states_RTH * mask_RT1).sum(1) / mask_RT1.sum(1).clamp(min=1)
        for step in self.after:
            pooled_RH = step(pooled_RH)
        return {"embedding": pooled_RH}

    def decode(self, given: tuple[str, ...], rows: Sequence[Row], outputs: Sequence[Outputs]) -> Record:
        """Return the vector."""
        return {"embedding": outputs[0]["embedding"].tolist()}


def _modules(checkpoint: Checkpoint) -> list[tuple[str, str]]:
    """Return class and folder of each of sentence-transformers' modules; nothing where there are none.

    Raises:
        InputError: One of them is not done here.
    """
    file = checkpoint.path / MODULES
    if not file.is_file():
        return []
    found = []
    for module in strict_json.read_array(inside(checkpoint.path, MODULES)):
        kind, folder = (module.get("type"), module.get("path")) if isinstance(module, dict) else (None, None)
        name = str(kind).rpartition(".")[2]
        if name not in DONE_HERE or not isinstance(folder, str):
            raise InputError(
                f"{file}: module {kind!r} is none that predict can run (it can: {', '.join(DONE_HERE)})",
                "load the folder with sentence-transformers, or take the encoder alone with --pooling mean",
            )
        found.append((name, folder))
    return found


def _reading(checkpoint: Checkpoint) -> tuple[str, bool]:
    """Return what sentence-transformers puts before a text by default, and whether it lowers the case."""
    said = [
        strict_json.read_object(inside(checkpoint.path, name)) if (checkpoint.path / name).is_file() else {}
        for name in SETTINGS
    ]
    prompts, name = said[0].get("prompts"), said[0].get("default_prompt_name")
    prompt = prompts.get(name) if isinstance(prompts, dict) and isinstance(name, str) else None
    return prompt if isinstance(prompt, str) else "", said[1].get("do_lower_case") is True


def _pooling(checkpoint: Checkpoint, folder: str | None, prompted: bool) -> str:
    """Return how sentence-transformers pools; the mean where no module says it.

    Raises:
        InputError: It pools in another way.
    """
    if folder is None:
        return "mean"
    said = strict_json.read_object(inside(checkpoint.path, folder, MODULE_CONFIG))
    modes = [mode for mode, key in MODES.items() if said.get(key) or said.get("pooling_mode") == mode]
    others = [key for key, value in said.items() if key.startswith("pooling_mode_") and value is True]
    if prompted and said.get("include_prompt") is False:
        others.append("the tokens behind the prompt")
    if len(modes) != 1 or not set(others) <= set(MODES.values()):
        raise InputError(
            f"{checkpoint.path} pools by {', '.join(others) or said.get('pooling_mode')}",
            "choose with --pooling mean or --pooling cls",
        )
    return modes[0]


KIND = Embeddings
