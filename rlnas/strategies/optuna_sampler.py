"""Optuna's samplers as a strategy: `pip install rlnas[optuna]`.

Any sampler of Optuna (Akiba et al. 2019, arXiv:1907.10902) can propose from any space. So the
tree-structured Parzen estimator (TPE: Bergstra et al. 2011, "Algorithms for hyper-parameter
optimization", NeurIPS) and others can serve as baselines. Each decision is a categorical parameter
of the same name, suggested when the walk reaches it: Optuna calls this a define-by-run space.
"""

from __future__ import annotations

import contextlib
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from rlnas.spaces.table import ROOT, Table, states_of
from rlnas.strategies.proposals import propose, propose_admitted
from rlnas.strategies.trial_batches import Watch, taught
from rlnas.trial import Proposal, Trial

if TYPE_CHECKING:
  import optuna

_MOST_SEED = 2**31
_SUGGESTED = 64  # walks for each proposal, if `admits` rejects them


class OptunaSampler:
  """Proposes what a sampler of Optuna suggests.

  Each call of `ask` builds a new study in memory, from the trials told and a sampler whose seed
  comes from the generator, so `ask` changes no state. A sampler that keeps a state of its own, in
  addition to the study's trials, starts without it. The time of a proposal grows with the
  number of trials told: after 200 it is about 20 ms (chain, TPE).
  """

  def __init__(
    self,
    table: Table,
    *,
    sampler: Callable[[int], optuna.samplers.BaseSampler] | None = None,
    admits: Callable[[Any], bool] | None = None,
  ) -> None:
    """Starts without trials.

    Args:
      table: the compiled space to propose from.
      sampler: makes a sampler from a seed in [0, 2**31); by default TPE with Optuna's defaults and
        its constant liar, which avoids repeating proposals of the same batch.
      admits: returns whether an architecture is worth an evaluation, such as
        `rlnas.evaluation.screened.may_fit`; by default every architecture is. What it rejects ends
        as a failed trial of the study, which TPE ignores. The wrapper of other strategies
        (`rlnas.strategies.admitting`) would do the same in more time: it calls `ask` again after
        each rejection, and each `ask` fills a new study.

    Raises:
      ImportError: Optuna is not installed.
    """
    self._optuna = _load_optuna()
    self._table = table
    self._sampler = sampler or self._tpe
    self._admits = admits or (lambda value: True)
    self._parameters = _parameters(table)
    self._told: list[optuna.trial.FrozenTrial] = []
    self._watch = Watch()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Lets the sampler suggest `count` walks; each sees the earlier ones of this batch.

    If `admits` rejects 64 suggestions for one of them, it is a uniform sample of the space that is
    admitted, or else the first suggestion.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    with self._silence():
      study = self._optuna.create_study(
        sampler=self._sampler(int(rng.integers(_MOST_SEED))), direction='maximize'
      )
      study.add_trials(self._told)
      return [self._admitted(study, rng) for _ in range(count)]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Adds a batch to the trials of the next studies; failed trials are left out.

    Returns:
      reward_mean, unique_rate and repeat_rate (`rlnas.strategies.trial_batches.Watch`); empty
      if all trials failed.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    kept = taught(trials)
    self._told += [self._frozen(trial) for trial in kept]
    return self._watch.scalars(kept) if kept else {}

  def _admitted(self, study: optuna.Study, rng: np.random.Generator) -> Proposal:
    rejected: list[Proposal] = []
    for _ in range(_SUGGESTED):
      trial = study.ask()
      proposal = propose(self._table, self._walk(trial))
      if self._admits(proposal.value):
        return proposal
      study.tell(trial, state=self._optuna.trial.TrialState.FAIL)
      rejected.append(proposal)
    uniform = propose_admitted(self._table, self._admits, 1, rng)
    return dataclasses.replace((uniform or rejected)[0], log_prob=None)

  def _walk(self, trial: optuna.Trial) -> tuple[int, ...]:
    tokens: list[int] = []
    state = ROOT
    while state != self._table.end:
      offered = len(self._table.choices[state])
      suggested = 0
      if offered > 1:
        suggested = trial.suggest_categorical(self._parameters[state], range(offered))
      tokens.append(suggested)
      state = int(self._table.next[state, suggested])
    return tuple(tokens)

  def _frozen(self, trial: Trial) -> optuna.trial.FrozenTrial:
    tokens = trial.proposal.tokens
    open_decisions = {
      self._parameters[state]: (token, len(self._table.choices[state]))
      for state, token in zip(states_of(self._table, tokens), tokens, strict=True)
      if len(self._table.choices[state]) > 1
    }
    categorical = self._optuna.distributions.CategoricalDistribution
    return self._optuna.create_trial(
      params={name: token for name, (token, _) in open_decisions.items()},
      distributions={name: categorical(range(n)) for name, (_, n) in open_decisions.items()},
      value=trial.reward,
    )

  def _tpe(self, seed: int) -> optuna.samplers.BaseSampler:
    return self._optuna.samplers.TPESampler(seed=seed, constant_liar=True)

  @contextlib.contextmanager
  def _silence(self) -> Iterator[None]:
    """Stops Optuna from logging each new study to the terminal."""
    verbosity = self._optuna.logging.get_verbosity()
    self._optuna.logging.set_verbosity(self._optuna.logging.ERROR)
    try:
      yield
    finally:
      self._optuna.logging.set_verbosity(verbosity)


def _parameters(table: Table) -> tuple[str, ...]:
  """Returns the name of the parameter for each state: that of its decision.

  Optuna requires that the choices of a parameter never change. If states of one name offer
  different choices, depending on earlier decisions, the parameter's name includes the choices.
  """
  offers: dict[str, set[tuple[object, ...]]] = {}
  for name, choices in zip(table.names, table.choices, strict=True):
    offers.setdefault(name, set()).add(choices)
  return tuple(
    name if len(offers[name]) == 1 else f'{name} of {choices}'
    for name, choices in zip(table.names, table.choices, strict=True)
  )


def _load_optuna() -> Any:
  try:
    import optuna
  except ImportError as error:
    raise ImportError('OptunaSampler needs Optuna: pip install rlnas[optuna]') from error
  return optuna
