"""Methods tried one after the other on one model, at several targets each.

Methods that score go down from target to target, and share scorings; methods that train start anew at each. Either
gives the model that a run of its own gives on the same rows.
"""

import copy
import dataclasses
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from torch import nn
from transformers import set_seed

from prunecli.methods.base import GateMethod, Method, ScoreMethod
from prunecli.progress import Progress
from prunecli.training.arguments import changed
from prunecli.training.calibration_rows import check_rows
from prunecli.training.learning import learn
from prunecli.training.outcome import check_outcome
from prunecli.training.recovery import recover
from prunecli.training.scoring import Pruner, Stop
from prunecli.training.session import Learned, Session
from prunecli.training.target import Target


@dataclass(frozen=True, slots=True)
class Trial:
    """One method at one target with one seed.

    Attributes:
        method: The method.
        share: The target, as a share of the dense price.
        reached: The share of the dense price that is left.
        learned: What was found.
    """

    method: str
    share: float
    reached: float
    learned: Learned


class Trials:
    """A model, and what tries methods on it.

    Args:
        session: Model, data, and the options of all trials; the model gets gates, which stay.
        target: The prices.
        teacher: What training learns from besides the labels.
    """

    def __init__(self, session: Session, target: Target, teacher: nn.Module | None) -> None:
        self.session, self.target, self.teacher = session, target, teacher
        self.dense = copy.deepcopy(session.loaded.model)

    @cached_property
    def pruner(self) -> Pruner:
        """Return what scores and cuts: one, so that methods share what it computes of the dense model."""
        return Pruner(self.session, self.dense)

    def of(self, name: str, method: Method, draw: int = 0) -> Iterator[tuple[Trial, Session]]:
        """Try a method at every target.

        Args:
            name: What it is called.
            method: The method.
            draw: Added to the seed.

        Yields:
            What was found, and the session of a run of its own; its model stands as it was found until the next trial
            is asked for.
        """
        if isinstance(method, ScoreMethod):
            trials = self._by_scores(name, method, draw)
        else:
            trials = self._by_training(name, method, draw)
        for share, session, learned in trials:
            check_outcome(session.config, session.loaded, learned.masks)
            reached = self.target.prices.of(learned.masks.counts) / self.target.prices.dense
            yield Trial(name, share, reached, learned), session

    def _by_scores(
        self, name: str, method: ScoreMethod, draw: int
    ) -> Iterator[tuple[float, Session, Learned]]:
        shares, seed = self.session.config.shares, self.session.config.seed + draw
        if seed != self.pruner.seed:
            session = self._alone(name, shares[0], draw, self.session.loaded.model)
            check_rows(session, [method])
            self.pruner.draw(session)
        for stop in self.pruner.descend(method, self.target, shares, self._progress(name, draw)):
            session = self._alone(name, stop.share, draw, self.session.loaded.model)
            yield stop.share, *self._recovered(session, stop)

    def _recovered(self, session: Session, stop: Stop) -> tuple[Session, Learned]:
        """Train a copy of the cut model where that was asked for; the way down goes on from what it was."""
        masked = session.evaluate(session.loaded.model)
        learned = Learned(stop.masks, masked, refit=stop.refit, seconds=stop.seconds)
        if not session.config.recovery:
            return session, learned
        session = _with_model(session, copy.deepcopy(session.loaded.model))
        set_seed(session.config.seed)
        return session, recover(session, learned, copy.deepcopy(self.dense), self.teacher)

    def _by_training(
        self, name: str, method: GateMethod, draw: int
    ) -> Iterator[tuple[float, Session, Learned]]:
        for share in self.session.config.shares:
            session = self._alone(name, share, draw, copy.deepcopy(self.dense))
            set_seed(session.config.seed)
            started = time.perf_counter()
            target = dataclasses.replace(self.target, share=share)
            learned = learn(session, method, target, self.teacher, None)
            learned.seconds = time.perf_counter() - started
            if session.config.recovery:
                learned = recover(session, learned, copy.deepcopy(self.dense), self.teacher)
            yield share, session, learned

    def _alone(self, name: str, share: float, draw: int, model: nn.Module) -> Session:
        """Return the session of a run of its own."""
        config, seed = self.session.config, self.session.config.seed + draw
        out = config.out_folder / f"{share:g}"
        config = dataclasses.replace(config, sweep=None, target_flops=share, out=out, method=name, seed=seed)
        called = f"{self.session.arguments.run_name}-{name}-{share:g}-{seed}"
        arguments = changed(self.session.arguments, seed=seed, save_strategy="no", run_name=called)
        session = dataclasses.replace(
            self.session, config=config, arguments=arguments, progress=self._progress(name, draw)
        )
        return _with_model(session, model)

    def _progress(self, name: str, draw: int) -> Progress:
        def progress(label: str, done: int, total: int) -> None:
            self.session.progress(f"{name}, draw {draw + 1}: {label}", done, total)

        return progress


def _with_model(session: Session, model: Any) -> Session:
    return dataclasses.replace(session, loaded=dataclasses.replace(session.loaded, model=model))
