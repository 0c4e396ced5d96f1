"""One frozen dataclass a verb: the defaults, the options, the config-file keys, the run record's fields.

A default, a range or a help text stands here and nowhere else.
"""

from prunecli.config.apply_masks import ApplyMasksConfig
from prunecli.config.benchmark import BenchmarkConfig
from prunecli.config.compare import CompareConfig
from prunecli.config.convert import ConvertConfig
from prunecli.config.evaluate import EvaluateConfig
from prunecli.config.predict import PredictConfig
from prunecli.config.self_test import SelfTestConfig
from prunecli.config.train_masks import TrainMasksConfig
from prunecli.config.verify_automodel import VerifyConfig

__all__ = [
    "ApplyMasksConfig",
    "BenchmarkConfig",
    "CompareConfig",
    "ConvertConfig",
    "EvaluateConfig",
    "PredictConfig",
    "SelfTestConfig",
    "TrainMasksConfig",
    "VerifyConfig",
]
