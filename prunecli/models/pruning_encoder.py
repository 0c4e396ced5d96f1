"""The PruningEncoder classes as a library; importing this registers them with transformers' auto classes."""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForSequenceClassification,
    AutoModelForTokenClassification,
)

from prunecli.models.modeling_pruning_encoder import (
    PruningEncoderConfig,
    PruningEncoderForSequenceClassification,
    PruningEncoderForTokenClassification,
    PruningEncoderModel,
)

__all__ = [
    "PruningEncoderConfig",
    "PruningEncoderForSequenceClassification",
    "PruningEncoderForTokenClassification",
    "PruningEncoderModel",
    "register_auto_models",
]


def register_auto_models() -> None:
    """Let `AutoConfig` and the auto classes of models load PruningEncoder folders without remote code."""
    AutoConfig.register(PruningEncoderConfig.model_type, PruningEncoderConfig, exist_ok=True)
    for auto, cls in (
        (AutoModel, PruningEncoderModel),
        (AutoModelForSequenceClassification, PruningEncoderForSequenceClassification),
        (AutoModelForTokenClassification, PruningEncoderForTokenClassification),
    ):
        auto.register(PruningEncoderConfig, cls, exist_ok=True)


register_auto_models()
