"""Local search with restarts: moves to the first neighbour that is better.

White, Nolen & Savani 2021 ("Exploring the loss landscape in neural architecture search",
arXiv:2005.02960) and Den Ottelander et al. 2021 ("Local search is a remarkably strong baseline for
neural architecture search", arXiv:2004.08996) show that it equals or beats more elaborate
strategies. So it is a baseline that every comparison should have.

A climb starts at the best of some uniform samples. It evaluates neighbours, which differ in one
decision (`rlnas.spaces.table.mutate`), in random order, and moves as soon as one is better. If all
neighbours are known, or after many trials without a better one, another climb starts.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from rlnas.spaces.table import Table, mutate, sample_uniform, states_of
from rlnas.strategies.proposals import propose
from rlnas.strategies.trial_batches import Watch, check_at_least, taught
from rlnas.trial import Proposal, Trial, derive_seed

_PATIENCE = 3  # trials for each nat, as in `rlnas.strategies.reinforce`
# Mutants, and uniform samples, to find a new one. A neighbourhood of 24 of which one is unknown is
# taken for exhausted once in 350,000 times.
_DRAWN = 300


@dataclasses.dataclass(frozen=True)
class _Point:
  tokens: tuple[int, ...]
  reward: float
  index: int  # of its trial


class LocalSearch:
  """Climbs by single mutations to the first better network, and restarts.

  Its state depends only on its arguments and on the trials that `tell` received.
  """

  def __init__(
    self,
    table: Table,
    *,
    samples: int = 10,
    patience: int | None = None,
    admits: Callable[[Any], bool] | None = None,
  ) -> None:
    """Begins the first climb.

    Args:
      table: the compiled space to propose from.
      samples: number of uniform samples at the start of each climb, which continues from the best
        one.
      patience: number of trials without a better one after which another climb starts; by default
        3 * ln(size of the space), which is about the number of neighbours.
      admits: returns whether an architecture is worth an evaluation, such as
        `rlnas.evaluation.screened.may_fit`; by default every architecture is. Those that it rejects
        are not neighbours.

    Raises:
      ValueError: an argument is out of its range.
    """
    if patience is None:
      patience = max(1, round(_PATIENCE * math.log(table.size)))
    check_at_least(1, samples=samples, patience=patience)
    self._table = table
    self._samples = samples
    self._patience = patience
    self._admits = admits or (lambda value: True)
    self._known: set[str] = set()  # digests of all trials told
    # Tokens of these and of others that `admits` rejects: a cache, quicker to ask than to decode.
    self._skipped: set[tuple[int, ...]] = set()
    self._starts: list[_Point] = []  # samples of this climb
    self._incumbent: _Point | None = None  # None until there are `samples` of them
    self._path: set[int] = set()  # indices of this climb's incumbents
    self._idle = 0  # trials since the last move
    self._climbs = 1
    self._watch = Watch()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Proposes neighbours of the incumbent, or uniform samples at the start of a climb.

    They differ from each other and from all trials told; they may repeat networks of batches that
    are still being evaluated. If no further neighbour is found, the rest of the batch are uniform
    samples. If hundreds of these contain no new one that `admits` accepts, the strategy proposes a
    new one that `admits` rejects, or else one already evaluated.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    proposals: list[Proposal] = []
    met = set(self._known)
    neighbour: Proposal | None = None
    for i in range(count):
      if i == 0 or neighbour is not None:  # else there are no more
        neighbour = self._neighbour(met, rng)
      proposal = neighbour or self._sample(met, rng)
      met.add(proposal.digest)
      proposals.append(proposal)
    return proposals

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Moves, or restarts, trial by trial, so it does not matter how trials are batched.

    Of the trials that were proposed before a restart and told after it, neighbours of the earlier
    climb are only remembered, and uniform samples count for the new climb. Failed trials are not
    proposed again.

    Returns:
      climbs, the number begun so far; incumbent_reward, if the climb has left its start;
      reward_mean, unique_rate and repeat_rate (`rlnas.strategies.trial_batches.Watch`). Empty if
      all trials failed.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    kept = taught(trials)
    for trial in kept:
      states_of(self._table, trial.proposal.tokens)
    for trial in trials:
      self._known.add(trial.proposal.digest)
      self._skipped.add(trial.proposal.tokens)
      self._learn(trial)
    if not kept:
      return {}
    scalars = {'climbs': float(self._climbs), **self._watch.scalars(kept)}
    if self._incumbent is not None:
      scalars['incumbent_reward'] = self._incumbent.reward
    return scalars

  def parents(self) -> frozenset[int]:
    """The trial that the climb has reached, or may start from (`rlnas.interfaces.Breeding`)."""
    points = [self._incumbent] if self._incumbent is not None else self._starts
    return frozenset(point.index for point in points)

  def _learn(self, trial: Trial) -> None:
    parent = trial.proposal.parent
    if trial.reward is None or not (parent is None or parent in self._path):
      return
    point = _Point(trial.proposal.tokens, trial.reward, trial.index)
    if self._incumbent is None:
      self._starts.append(point)
      if len(self._starts) == self._samples:
        self._move(max(self._starts, key=lambda start: start.reward))
    elif point.reward > self._incumbent.reward:
      self._move(point)
    else:
      self._idle += 1
    if self._incumbent is not None and (self._idle >= self._patience or self._exhausted()):
      self._starts, self._incumbent, self._path = [], None, set()
      self._climbs += 1

  def _move(self, point: _Point) -> None:
    self._incumbent, self._idle = point, 0
    self._path.add(point.index)

  def _exhausted(self) -> bool:
    """Whether no unknown neighbour is found; the draws follow from the trials told."""
    index = -1 if self._incumbent is None else self._incumbent.index
    rng = np.random.default_rng(derive_seed(index, 'neighbours', self._idle))
    return self._neighbour(self._known, rng) is None

  def _neighbour(self, met: set[str], rng: np.random.Generator) -> Proposal | None:
    """A new neighbour of the incumbent; None if none is found or there is no incumbent."""
    if self._incumbent is None:
      return None
    for _ in range(_DRAWN):
      tokens = mutate(self._table, self._incumbent.tokens, rng)
      if tokens in self._skipped:
        continue
      proposal = propose(self._table, tokens, parent=self._incumbent.index)
      digest = proposal.digest
      if digest in self._known or not self._admits(proposal.value):
        self._skipped.add(tokens)
      elif digest not in met:
        return proposal
    return None

  def _sample(self, met: set[str], rng: np.random.Generator) -> Proposal:
    new = None
    for _ in range(_DRAWN):
      proposal = propose(self._table, sample_uniform(self._table, rng))
      if proposal.digest not in met:
        if self._admits(proposal.value):
          return proposal
        new = new or proposal
    return new or proposal  # no new one that `admits` accepts was found
