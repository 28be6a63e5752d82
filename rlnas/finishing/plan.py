"""The plan of the full trainings after a search, and the function that runs it."""

from __future__ import annotations

import dataclasses
import enum
from collections.abc import Callable, Sequence

from absl import logging

from rlnas.architecture import Architecture
from rlnas.budget import Budget
from rlnas.child.widths import widened
from rlnas.cost.preprocessing import preprocessing_of
from rlnas.finishing.choice import Choice
from rlnas.finishing.evaluator import Training
from rlnas.finishing.finalists import Candidate, Finalist, Stop, rank_trials
from rlnas.finishing.halving import halved, has_gained, rung_epochs
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
    halving: whether the networks of a round are compared during their training, and only the better
      half continues (`rlnas.finishing.halving`); otherwise each trains for all epochs, under one
      cosine.

  Raises:
    ValueError: a figure is out of its range.
  """

  recipe: Recipe
  top: int = 1
  seeds: int = 1
  teaching: Teaching | None = None
  prune: float | None = None
  halving: bool = True

  def __post_init__(self) -> None:
    if self.prune is not None and not 0 < self.prune < 1:
      raise ValueError(f'prune={self.prune}: must lie in (0, 1)')
    for name in ('top', 'seeds'):
      if getattr(self, name) < 1:
        raise ValueError(f'{name}={getattr(self, name)}: must be at least 1')

  @property
  def finalists(self) -> int:
    """The number of finalists, if there are enough networks and all can be finished."""
    taught = self.teaching is not None
    repeats = self.seeds - 1 + taught
    others = (self.teaching is Teaching.WIDE) + (self.prune is not None)
    return self.top + repeats * min(self.top, LAST_FEW) + others


# Trains candidates, each by its training, given their teachers.
FinishAll = Callable[
  [Sequence[Candidate], Sequence[Training], Sequence[Finalist]], Sequence[Finalist]
]
Prune = Callable[[Finalist, float], tuple[Architecture, str]]


@dataclasses.dataclass(frozen=True)
class Tools:
  """The functions that run the steps of a plan.

  Attributes:
    finish_all: trains candidates, given their teachers; returns them in their order.
    prune: removes a share of the filters; returns the smaller network and the name of its first
      weights.
    judge: chooses among finalists.
    loss: the mean loss of a finalist's int8 model on validation data.
    on_stopped: called with each finalist whose training ends by a comparison, or that fails.
  """

  finish_all: FinishAll
  prune: Prune
  judge: Callable[[Sequence[Finalist]], Choice]
  loss: Callable[[Finalist], float]
  on_stopped: Callable[[Finalist], None]


def run_plan(
  trials: Sequence[Trial], budget: Budget, plan: Plan, *, seed: int, tools: Tools
) -> list[Finalist]:
  """Runs all trainings of a plan, one round after the other.

  The network that would win at the end gets all its epochs, even if it was stopped early.

  Args:
    trials: trials of the search.
    budget: the limits that all finalists must fit.
    plan: what to train, and how.
    seed: decides the seeds of the trainings.
    tools: the functions that train, prune and compare.

  Returns:
    The finalists that fit the budget, the best first; those that were stopped early last.

  Raises:
    SearchError: no trial is feasible, or none could be finished.
  """
  run = _Run(trials, budget, plan, seed, tools)
  found = run.first()
  repeats = [
    dataclasses.replace(f.candidate, seed=run.seed_of(repeat), note=f'seed {repeat + 1}')
    for repeat in range(1, plan.seeds)
    for f in found[:LAST_FEW]
  ]
  repeated = run.halving(repeats)
  taught = []
  if plan.teaching is not None:
    few = _ENSEMBLE if plan.teaching is Teaching.ENSEMBLE else 0
    found = [*run.completed(found[:few]), *found[few:]]
    taught = run.taught(found, plan.teaching)
  best = run.settled([*found, *repeated, *taught])
  return best if plan.prune is None else run.settled([*best, *run.pruned(best[0])])


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
  tools: Tools
  teachers: dict[Candidate, Sequence[Finalist]] = dataclasses.field(default_factory=dict)

  def first(self) -> list[Finalist]:
    """The best networks; the next ones replace those that do not fit."""
    ranked = rank_trials(self.trials, self.budget, top=self.plan.top)
    seed = self.seed_of(0)
    waiting = [Candidate(t.index, t.proposal.architecture, seed) for t in ranked]
    found = self.halving(waiting, count=self.plan.top)
    if not found:
      raise SearchError(self._why_none(len(ranked)))
    return found

  def taught(self, found: Sequence[Finalist], teaching: Teaching) -> list[Finalist]:
    """The best networks, trained with teachers; empty if the teacher cannot be trained."""
    # Teachers read what their students read.
    reads = preprocessing_of(found[0].candidate.architecture)
    found = [f for f in found if preprocessing_of(f.candidate.architecture) == reads]
    teachers = found[:_ENSEMBLE]
    if teaching is Teaching.WIDE:
      best = found[0].candidate
      wide = widened(best.architecture, _WIDER)
      candidate = dataclasses.replace(best, architecture=wide, note='teacher')
      (teacher,) = self.tools.finish_all([candidate], [self._whole(candidate)], ())
      if teacher.measurement.status is not Status.COMPLETE:
        logging.warning('the wide teacher could not be trained: %s', _cause(teacher))
        return []
      teachers = [teacher]
    students = [dataclasses.replace(f.candidate, note='taught') for f in found[:LAST_FEW]]
    self.teachers.update((student, teachers) for student in students)
    return self.halving(students)

  def pruned(self, best: Finalist) -> list[Finalist]:
    """The best network with fewer filters; empty if no filter can be removed."""
    share = self.plan.prune or 0.0
    try:
      smaller, start = self.tools.prune(best, share)
    except ValueError as error:
      logging.warning('trial %d is not pruned: %s', best.candidate.trial, error)
      return []
    note = f'{best.candidate.note} pruned by {share:g}'.strip()
    candidate = dataclasses.replace(best.candidate, architecture=smaller, note=note)
    (found,) = self._fitting([candidate], [self._whole(candidate, start=start)])
    return [] if found is None else [found]

  def halving(self, waiting: Sequence[Candidate], *, count: int | None = None) -> list[Finalist]:
    """Trains the first `count` candidates that fit, all by default, by successive halving."""
    count = min(len(waiting), count or len(waiting))
    if not count:
      return []
    most = self.plan.recipe.epochs
    first, *goals = rung_epochs(count, most) if self.plan.halving else (most,)
    standing: list[Finalist] = []
    while waiting and len(standing) < count:
      missing = count - len(standing)
      now, waiting = waiting[:missing], waiting[missing:]
      begun = self._fitting(now, [Training(c.architecture, first, most) for c in now])
      standing += [f for f in begun if f is not None]
    stopped: list[Finalist] = []
    for goal in goals:
      going, worse = halved(self.tools.judge(standing)) if len(standing) > 1 else (standing, [])
      stopped += [self._stopped(finalist, why) for finalist, why in worse]
      # The last one trains what is left in one piece.
      standing = self._continued(going, goal if len(going) > 1 else most)
      stopped += [f for f in standing if f.stopped is not None]
      standing = [f for f in standing if f.stopped is None]
      if not standing:
        break
    return _sorted([*standing, *stopped])

  def settled(self, finalists: Sequence[Finalist]) -> list[Finalist]:
    """Gives the one that would win all its epochs, until that changes nothing."""
    found = list(finalists)
    while True:
      winner = self.tools.judge(found).finalists[0]
      if winner.stopped is None or not winner.stopped.may_continue:
        return _sorted(found)
      going = dataclasses.replace(winner, stopped=None)
      place = next(i for i, f in enumerate(found) if f is winner)
      found[place] = self._continued([going], self.plan.recipe.epochs)[0]

  def completed(self, finalists: Sequence[Finalist]) -> list[Finalist]:
    """Gives all their epochs to those that only a comparison ended: teachers are trained fully."""
    waiting = [f for f in finalists if f.stopped is not None and f.stopped.may_continue]
    going = [dataclasses.replace(f, stopped=None) for f in waiting]
    after = self._continued(going, self.plan.recipe.epochs)
    done = dict(zip([f.name for f in waiting], after, strict=True))
    return [done.get(f.name, f) for f in finalists]

  def _continued(self, going: Sequence[Finalist], goal: int) -> list[Finalist]:
    """Trains finalists until they have had `goal` epochs; keeps what a part has not made better."""
    most = self.plan.recipe.epochs
    parts = []
    for f in going:
      before = f.epochs or 0
      architecture = f.candidate.architecture
      parts.append(Training(architecture, goal - before, most, before=before, start=f.name))
    after = self._fitting([f.candidate for f in going], parts)
    return [self._better(*pair) for pair in zip(going, after, strict=True)]

  def _better(self, before: Finalist, after: Finalist | None) -> Finalist:
    if after is None:
      return self._stopped(before, Stop.FAILED)
    is_last = after.stopped is not None
    if has_gained(before, after, self.tools.loss, is_last=is_last):
      return after
    kept = dataclasses.replace(before, epochs=after.epochs)
    if is_last:
      return dataclasses.replace(kept, stopped=Stop.NO_GAIN)
    if self.plan.recipe.further_epochs is not None:
      return kept
    return self._stopped(kept, Stop.NO_GAIN)

  def _stopped(self, finalist: Finalist, why: Stop) -> Finalist:
    stopped = dataclasses.replace(finalist, stopped=why)
    self.tools.on_stopped(stopped)
    return stopped

  def _whole(self, candidate: Candidate, *, start: str = '') -> Training:
    most = self.plan.recipe.epochs
    return Training(candidate.architecture, most, most, start=start)

  def _fitting(
    self, candidates: Sequence[Candidate], trainings: Sequence[Training]
  ) -> list[Finalist | None]:
    """Trains candidates; None stands for each that failed or does not fit the budget."""
    if not candidates:
      return []
    teachers = self.teachers.get(candidates[0], ())
    found: list[Finalist | None] = []
    for finalist in self.tools.finish_all(candidates, trainings, teachers):
      fits = is_feasible(finalist.measurement, self.budget)
      found.append(finalist if fits else None)
      if not fits:
        self._warn(finalist)
        self.tools.on_stopped(finalist)
    return found

  def _warn(self, finalist: Finalist) -> None:
    index, measured = finalist.candidate.trial, finalist.measurement
    if measured.status is Status.COMPLETE:
      logging.warning(
        'trial %d exceeds the budget after %s epochs: %s B flash, %s B SRAM',
        index,
        finalist.epochs,
        measured.flash_bytes,
        measured.sram_bytes,
      )
    else:
      logging.warning('trial %d could not be finished: %s', index, _cause(finalist))

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
  """The best first, those that were stopped early last."""

  def rank(finalist: Finalist) -> tuple[bool, tuple[float, float]]:
    why = finalist.stopped
    is_early = why is Stop.FAILED or (why is not None and why.may_continue)
    return not is_early, finalist.score

  return sorted(finalists, key=rank, reverse=True)  # stable: of equals the first
