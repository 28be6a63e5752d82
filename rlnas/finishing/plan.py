"""The plan of the full trainings after a search, and the function that runs it."""

from __future__ import annotations

import dataclasses
import enum
import pathlib
from collections.abc import Callable, Sequence

from absl import logging

from rlnas.architecture import Architecture
from rlnas.budget import Budget
from rlnas.child.widths import widened
from rlnas.finishing.finalists import Candidate, Finalist, rank_trials
from rlnas.finishing.recipe import Recipe
from rlnas.reward import is_feasible
from rlnas.search.loop import SearchError
from rlnas.trial import Status, Trial, derive_seed

# So many of the best finalists are trained again with other seeds, and with teachers.
LAST_FEW = 2
_ENSEMBLE = 3  # largest number of finalists that teach together
_WIDER = 2  # a wide teacher has so many times the filters


class Teaching(enum.Enum):
  """The teachers from which the best finalists learn, besides the labels, in one more training."""

  ENSEMBLE = 'ensemble'  # the best finalists together
  WIDE = 'wide'  # a wider copy of the best one, which need not fit the budget


@dataclasses.dataclass(frozen=True)
class Plan:
  """The full trainings from which the winner is chosen.

  Attributes:
    recipe: how to train each network.
    top: number of networks to train (`rank_trials`).
    seeds: number of seeds with which the best `LAST_FEW` of them are trained.
    teaching: the teachers of one more training of these; None for no such training.
    prune: share of the filters to remove from a copy of the best network (`rlnas.child.prune`). The
      copy is trained by the recipe from its remaining weights. It may become the winner, and its
      file is kept in any case. None for no such copy.

  Raises:
    ValueError: a figure is out of its range.
  """

  recipe: Recipe
  top: int = 1
  seeds: int = 1
  teaching: Teaching | None = None
  prune: float | None = None

  def __post_init__(self) -> None:
    if self.prune is not None and not 0 < self.prune < 1:
      raise ValueError(f'prune={self.prune}: must lie in (0, 1)')
    for name in ('top', 'seeds'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')

  @property
  def trainings(self) -> int:
    """The number of trainings, if there are enough networks and all can be finished."""
    taught = self.teaching is not None
    repeats = self.seeds - 1 + taught
    others = (self.teaching is Teaching.WIDE) + (self.prune is not None)
    return self.top + repeats * min(self.top, LAST_FEW) + others


FinishAll = Callable[[Sequence[Candidate], Sequence[Finalist], pathlib.Path | None], list[Finalist]]
Prune = Callable[[Finalist, float], tuple[Architecture, pathlib.Path]]


def run_plan(
  trials: Sequence[Trial],
  budget: Budget,
  plan: Plan,
  *,
  seed: int,
  finish_all: FinishAll,
  prune: Prune,
) -> list[Finalist]:
  """Runs all trainings of a plan, one round after the other.

  Args:
    trials: trials of the search.
    budget: the limits that all finalists must fit.
    plan: what to train, and how.
    seed: decides the seeds of the trainings.
    finish_all: finishes candidates, given their teachers and a file of first weights.
    prune: removes a share of the filters; returns the smaller network and a file of its first
      weights.

  Returns:
    The finalists that fit the budget, the best first.

  Raises:
    SearchError: no trial is feasible, or none could be finished.
  """
  run = _Run(trials, budget, plan, seed, finish_all, prune)
  found = run.first()
  repeats = [
    dataclasses.replace(f.candidate, seed=run.seed_of(repeat), note=f'seed {repeat + 1}')
    for repeat in range(1, plan.seeds)
    for f in found[:LAST_FEW]
  ]
  repeated = run.fitting(repeats)
  taught = [] if plan.teaching is None else run.taught(found, plan.teaching)
  best = _sorted([*found, *repeated, *taught])
  return best if plan.prune is None else _sorted([*best, *run.pruned(best[0])])


def trial_of(finalist: Finalist, trials: Sequence[Trial]) -> Trial:
  """The trial that found a finalist's network."""
  return next(t for t in trials if t.index == finalist.candidate.trial)


@dataclasses.dataclass(frozen=True)
class _Run:
  """The arguments of `run_plan`, with its rounds as methods."""

  trials: Sequence[Trial]
  budget: Budget
  plan: Plan
  seed: int
  finish_all: FinishAll
  prune: Prune

  def first(self) -> list[Finalist]:
    """The best networks, each trained once; the next ones replace those that do not fit."""
    waiting = rank_trials(self.trials, self.budget, top=self.plan.top)
    feasible = len(waiting)
    found: list[Finalist] = []
    while waiting and len(found) < self.plan.top:
      missing = self.plan.top - len(found)
      now, waiting = waiting[:missing], waiting[missing:]
      seed = self.seed_of(0)
      found += self.fitting([Candidate(t.index, t.proposal.architecture, seed) for t in now])
    if not found:
      raise SearchError(self._why_none(feasible))
    return _sorted(found)

  def taught(self, found: Sequence[Finalist], teaching: Teaching) -> list[Finalist]:
    """The best networks, trained with teachers; empty if the teacher cannot be trained."""
    teachers = found[:_ENSEMBLE]
    if teaching is Teaching.WIDE:
      best = found[0].candidate
      wide = widened(best.architecture, _WIDER)
      candidate = dataclasses.replace(best, architecture=wide, note='teacher')
      (teacher,) = self.finish_all([candidate], (), None)
      if teacher.measurement.status is not Status.COMPLETE:
        logging.warning('the wide teacher could not be trained: %s', _cause(teacher))
        return []
      teachers = [teacher]
    students = [dataclasses.replace(f.candidate, note='taught') for f in found[:LAST_FEW]]
    return self.fitting(students, teachers)

  def pruned(self, best: Finalist) -> list[Finalist]:
    """The best network with fewer filters; empty if no filter can be removed."""
    share = self.plan.prune or 0.0
    try:
      smaller, start = self.prune(best, share)
    except ValueError as error:
      logging.warning('trial %d is not pruned: %s', best.candidate.trial, error)
      return []
    note = f'{best.candidate.note} pruned by {share:g}'.strip()
    candidate = dataclasses.replace(best.candidate, architecture=smaller, note=note)
    return self.fitting([candidate], start=start)

  def fitting(
    self,
    candidates: Sequence[Candidate],
    teachers: Sequence[Finalist] = (),
    start: pathlib.Path | None = None,
  ) -> list[Finalist]:
    """Finishes candidates, and returns those that fit the budget."""
    kept = []
    for finalist in self.finish_all(candidates, teachers, start):
      trial, measured = trial_of(finalist, self.trials), finalist.measurement
      if is_feasible(measured, self.budget):
        kept.append(finalist)
      elif measured.status is Status.COMPLETE:
        logging.warning(
          'trial %d exceeds the budget after its full training: %s B flash, %s B SRAM',
          trial.index,
          measured.flash_bytes,
          measured.sram_bytes,
        )
      else:
        logging.warning('trial %d could not be finished: %s', trial.index, _cause(finalist))
    return kept

  def seed_of(self, repeat: int) -> int:
    return derive_seed(self.seed, 'repeat', repeat)

  def _why_none(self, feasible: int) -> str:
    if feasible:
      return f'none of {feasible} feasible networks could be finished within the budget'
    found = f'none of {len(self.trials)} trials fits {self.budget}'
    return f'{found}; try more --trials, a larger budget or a smaller space'


def _cause(finalist: Finalist) -> str:
  return ''.join(finalist.measurement.detail.strip().splitlines()[-1:])


def _sorted(finalists: Sequence[Finalist]) -> list[Finalist]:
  return sorted(finalists, key=lambda f: f.score, reverse=True)  # stable: of equals the first
