"""Removes the weights of networks that can no longer be a parent: a long search has thousands."""

from __future__ import annotations

import collections
import dataclasses
import pathlib
from collections.abc import Sequence

from rlnas.interfaces import Breeding
from rlnas.trial import NO_TERMS, Trial, weights_name


class KeptWeights:
  """An observer of a search whose mutants inherit weights; it prunes their folder.

  A killed search evaluates its last batches again. So weights are kept for some batches after their
  network is no longer a parent, until all of its mutants were told.
  """

  def __init__(self, folder: pathlib.Path, strategy: Breeding, *, lag: int) -> None:
    """Removes nothing yet.

    Args:
      folder: folder of the weights, as `rlnas.evaluation.trained.Trained` writes them.
      strategy: tells which trials may still be parents.
      lag: number of batches that are evaluated while the strategy proposes the next.
    """
    self._folder = folder
    self._strategy = strategy
    self._names: dict[int, str] = {}
    self._removable: set[int] = set()  # trials whose weights may be there
    self._parents: collections.deque[frozenset[int]] = collections.deque(maxlen=lag + 2)

  def on_trial(self, trial: Trial) -> None:
    """Remembers the name of the trial's weights."""
    parent = trial.proposal.parent
    terms = dataclasses.replace(NO_TERMS, parent='' if parent is None else self._names[parent])
    stages = len(trial.measurement.curve)
    self._names[trial.index] = (
      weights_name(trial.proposal.value, trial.seed, terms, stages) if stages else ''
    )
    self._removable.add(trial.index)

  def on_batch(self, trials: Sequence[Trial], scalars: dict[str, float]) -> None:
    """Removes weights that can no longer be inherited. Files that cannot be removed are ignored."""
    del trials, scalars
    parents = self._strategy.parents()
    if not parents:
      return  # nothing is known yet
    self._parents.append(parents)
    kept = frozenset().union(*self._parents)
    names = {self._names[index] for index in kept if index in self._names}
    for index in self._removable - kept:
      self._removable.discard(index)
      if self._names[index] and self._names[index] not in names:
        (self._folder / f'{self._names[index]}.npz').unlink(missing_ok=True)
