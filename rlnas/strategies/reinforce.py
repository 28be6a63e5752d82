"""REINFORCE for searches of a few dozen to a few thousand networks; most episodes train nothing.

The controller and its gradient are those of Zoph & Le 2016 (`rlnas.strategies.zoph_le` has their
algorithm to the letter). A search for a microcontroller affords a hundred times fewer networks than
theirs. So the policy also learns from episodes that need no training. Every term can be turned off:

- Imagined episodes (`imagined`): the policy draws networks and is rewarded by a regressor's
  prediction of their accuracy less the exact penalty of the budget (Sutton 1990; Angermueller et
  al. 2020; see `rlnas.strategies.episodes`). Their reward includes -log p, so the policy climbs
  to probabilities proportional to exp(inverse_temperature * prediction - penalty) and never
  collapses. The prediction does not count while the regressor predicts held-back trials no better
  than chance (as in DyNA-PPO); with `caution`, it counts less where the regressor is uncertain.
- Real episodes (`real`): the trials of each batch, rewarded by their own score. Those whose
  probability has fallen since count less (`losses.truncated_importance`).
- The elite's sequences (`elite`): the policy also imitates the best networks so far (priority queue
  training mixed with policy gradient: Abolafia et al. 2018, arXiv:1801.03526, section 3).
- A warm start (`warm_start`) by the estimate alone, before the first result
  (`rlnas.strategies.warm_start`).
- Earlier searches of the same space (`earlier`): a regressor of their results is the prior of this
  search's regressor, so warm start and first proposals follow what they found, in place of the
  uniform warm-up (`rlnas.strategies.earlier_results`).
- Candidates (`candidates`): of several draws from the policy, the one with the best prediction is
  proposed. Networks that were tried, or that `admits` rejects, are skipped.
- Restarts (`patience`): after many trials without a better one, policy, elite and regressor start
  again, since another descent can reach another optimum. Half as many are enough once most of the
  policy's own draws are networks that were tried: it has converged. The journal keeps all trials.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.spaces.table import Table, sample_uniform
from rlnas.strategies.controller import Controller
from rlnas.strategies.earlier_results import Earlier, digest_of, prior_of
from rlnas.strategies.episodes import Episodes, imagine, objective, to_imitate
from rlnas.strategies.learner import Learner
from rlnas.strategies.proposals import propose
from rlnas.strategies.trial_batches import (
  Watch,
  check_at_least,
  check_settings,
  settings_of,
  taught,
)
from rlnas.strategies.warm_start import Penalty, WarmStart, budget_value
from rlnas.trial import Proposal, Status, Trial, derive_seed

Tokens = tuple[int, ...]
FloatArray = npt.NDArray[np.float64]

_PATIENCE = 3  # trials for each nat
_TILT = 0.5  # nats by which one unit of score tilts the policy, for each nat of the space
_CONVERGED = 0.5  # share of the policy's own draws that were tried
_DRAWN = 32  # sequences for each call of the controller
_CALLS = 10  # calls of the controller for one proposal, before uniform samples are tried


class Reinforce:
  """Learns by policy gradient from real and imagined episodes.

  Its state depends only on its arguments and on the trials that `tell` received.
  """

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    learning_rate: float = 3e-3,
    updates: int = 3,
    imagined: int = 32,
    inverse_temperature: float | None = None,
    caution: float = 0.0,
    real: bool = True,
    elite: int = 5,
    elite_weight: float = 0.25,
    warm_up: int = 8,
    warm_start: int = 100,
    exploration: float = 0.1,
    candidates: int = 32,
    patience: int | None = None,
    seed: int = 0,
    admits: Callable[[Any], bool] | None = None,
    penalty: Penalty | None = None,
    earlier: Sequence[Earlier] = (),
  ) -> None:
    """Prepares the optimiser.

    Args:
      table: the compiled space to propose from.
      controller: the policy that learns; it must know the table's symbols.
      learning_rate: learning rate of Adam.
      updates: gradient steps for each trial.
      imagined: number of imagined episodes in each gradient step; 0 switches them off.
      inverse_temperature: nats of log-probability that a network gains for each unit of its
        predicted score (scores are normal scores, so a unit is a standard deviation of the
        rewards); by default ln(size of the space) / 2. The larger the space, the more strongly the
        policy must prefer good predictions to end at a few networks.
      caution: number of standard deviations of a prediction that are subtracted from it in imagined
        episodes.
      real: whether the policy learns from the trials as episodes.
      elite: number of the best networks so far that the policy imitates; 0 switches that off.
      elite_weight: weight of the elite's log-likelihood, where an episode one standard deviation
        better than the mean has weight 1.
      warm_up: number of trials at the start of each descent whose proposals are drawn uniformly
        from the space; with earlier searches, only those before the first result are, and the
        prediction from what they found picks among uniform draws.
      warm_start: number of steps that the policy learns from the estimate alone, before the first
        result; there are none without a budget or earlier searches.
      exploration: share of the uniform distribution, in [0, 1], in the mixture that each choice of
        a proposal is drawn from.
      candidates: number of samples, at most 32, from which the regressor picks each proposal; 1
        proposes the policy's own draws.
      patience: number of trials without a better one after which a new descent begins, or half of
        it if at least half of the imagined episodes are networks that were tried; by default
        3 * ln(size of the space).
      seed: seed of the imagined episodes.
      admits: returns whether an architecture is worth an evaluation, such as
        `rlnas.evaluation.screened.may_fit`; by default every architecture is.
      penalty: returns by how much an architecture exceeds the budget, such as
        `rlnas.evaluation.screened.excess`; by default, nothing does.
      earlier: networks of earlier searches of this space, perhaps on other data; by default none.

    Raises:
      ValueError: an argument is out of its range, or an earlier walk is not in the space.
    """
    from rlnas.strategies.surrogate import Surrogate

    if patience is None:
      patience = max(1, round(_PATIENCE * math.log(table.size)))
    if inverse_temperature is None:
      inverse_temperature = _TILT * math.log(table.size)
    check_at_least(1, candidates=candidates, patience=patience, updates=updates)
    check_at_least(
      0,
      imagined=imagined,
      inverse_temperature=inverse_temperature,
      caution=caution,
      elite=elite,
      elite_weight=elite_weight,
      warm_up=warm_up,
      warm_start=warm_start,
    )
    if candidates > _DRAWN:
      raise ValueError(f'candidates={candidates}: must be at most {_DRAWN}')
    if not 0 <= exploration <= 1:
      raise ValueError(f'exploration={exploration}: must lie in [0, 1]')
    self._table = table
    self._controller = controller
    self._updates = updates
    self._imagined = imagined
    self._inverse_temperature = inverse_temperature
    self._caution = caution
    self._real = real
    self._elite = elite
    self._warm_up = warm_up
    self._exploration = exploration
    self._candidates = candidates
    self._patience = patience
    self._seed = seed
    self._settings = settings_of(
      *(learning_rate, updates, imagined, inverse_temperature, caution, real, elite, elite_weight),
      *(warm_up, warm_start, exploration, candidates, patience, seed, digest_of(earlier)),
    )
    self._admits = admits or (lambda value: True)
    self._budget_value = penalty and budget_value(table, penalty)
    self._known: set[str] = set()  # digests of all trials told
    self._walks: set[Tokens] = set()  # the same, as tokens, which are quicker to compare
    self._found: dict[str, tuple[float, Tokens]] = {}  # results of this descent, by digest
    self._prior = prior_of(table, earlier)
    self._surrogate = Surrogate(table, prior=self._prior)
    self._told = 0  # trials of this descent
    self._idle = 0  # trials since its best
    self._descents = 1
    self._restarts: list[int] = []  # the numbers of batches, as `_batches` counts, that ended one
    self._batches = 0  # with a result, in all descents
    self._watch = Watch()
    self._learner = Learner(
      table,
      controller=controller,
      objective=functools.partial(objective, imitation_weight=elite_weight),
      learning_rate=learning_rate,
    )
    self._warm_start = WarmStart(
      table,
      controller=controller,
      value=functools.partial(self._value, trusted=self._prior is not None),
      steps=warm_start if penalty or self._prior else 0,
      seed=seed,
    )

  @property
  def controller(self) -> Controller:
    """The policy that learns: what to save after a search (`Controller.save`).

    Its weights are those of the current descent; if one has just begun, those of the warm start.
    """
    return self._controller

  def prepare(self) -> bool:
    """Takes a step of the warm start; the search calls it while it waits for the first results.

    Returns:
      Whether there is more to do for another call.
    """
    return self._warm_start.prepare()

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Proposes `count` architectures that differ from each other and from all trials told.

    They may repeat architectures of batches that are still being evaluated. If hundreds of samples,
    first from the policy and then from the whole space, contain no new architecture that `admits`
    accepts, the strategy proposes a new one that `admits` rejects, or else one already evaluated.
    `log_prob` is the log-probability under the distribution sampled from, exploration included; it
    does not account for the samples skipped or for the regressor's choice.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    proposals: list[Proposal] = []
    met = set(self._known)
    for _ in range(count):
      proposal = self._propose(met, rng)
      met.add(proposal.digest)
      proposals.append(proposal)
    return proposals

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Learns from a batch of trials and from newly imagined episodes.

    Failed trials teach nothing, and their architectures are not proposed again. Infeasible trials
    teach nothing either if there is a penalty, which is known without them. If two rewards are
    equal, the trial told first ranks higher.

    Returns:
      loss, entropy of the policy in nats (estimated on the sequences learnt from) and
      gradient_norm, all of the first step; elite_mean, the mean reward of the elite; descents, the
      number begun so far; reward_mean, unique_rate and repeat_rate
      (`rlnas.strategies.trial_batches.Watch`). With imagined episodes also imagined_score, the mean
      prediction of the policy's own draws, fit_rate, the share of these draws that have no penalty,
      tried_rate, the share of all that the batch imagined that had been tried, and
      surrogate_correlation of the regressor (`Surrogate.held_back_correlation`); and, if the
      regressor was trained before, score, the mean of the batch's scores, predicted_score, the mean
      of what it had predicted for them, and surrogate_error, their mean distance. Empty if no trial
      teaches anything.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    nothing_learnt = not self._batches
    learnt = self._take(trials)
    self._warm_start.finish()
    if nothing_learnt:
      self._learner.keep()
    if not learnt:
      return {}
    predicted = self._predictions(learnt)
    rewards, walks = zip(*self._found.values(), strict=True)
    scores = dict(zip(self._found, self._surrogate.learn(walks, rewards).tolist(), strict=True))
    now = [scores[trial.proposal.digest] for trial in learnt]
    scalars = {
      **self._improve(learnt, now),
      'descents': float(self._descents),
      **self._watch.scalars(learnt),
    }
    if predicted is not None:
      scalars['score'] = float(np.mean(now))
      scalars['predicted_score'] = float(predicted.mean())
      scalars['surrogate_error'] = float(np.abs(np.array(now) - predicted).mean())
    converged = scalars.get('tried_rate', 0.0) >= _CONVERGED
    if self._idle >= self._patience / (2 if converged else 1):
      self._learner.reset()
      self._restart()
    return scalars

  def state(self) -> dict[str, npt.NDArray[Any]]:
    """Weights, Adam's moments, settings and restarts; the trials say the rest to `restore`."""
    restarts = np.array(self._restarts, np.int64)
    return {**self._learner.state(), **self._settings, 'restarts': restarts}

  def restore(self, state: Mapping[str, npt.NDArray[Any]], told: Sequence[Sequence[Trial]]) -> None:
    """Restores the state after the batches `told`. Raises ValueError for another strategy's."""
    check_settings(state, self._settings)
    if 'restarts' not in state:
      raise ValueError('state: restarts: must be there')
    restarts = set(state['restarts'].tolist())
    self._learner.restore(state)
    self._warm_start.skip()
    for trials in map(self._take, told):
      if trials:
        self._watch.scalars(trials)
        if self._batches in restarts:
          self._restart()
    if self._found:
      rewards, walks = zip(*self._found.values(), strict=True)
      self._surrogate.learn(walks, rewards)

  def _take(self, trials: Sequence[Trial]) -> list[Trial]:
    """Counts and remembers a batch; returns the trials to learn from."""
    kept = [trial for trial in taught(trials) if not self._said_by_penalty(trial)]
    self._batches += bool(kept)
    self._known.update(trial.proposal.digest for trial in trials)
    self._walks.update(trial.proposal.tokens for trial in trials)
    for trial in kept:
      self._remember(trial)
    return kept

  def _said_by_penalty(self, trial: Trial) -> bool:
    """Whether a trial says only what the penalty says already: that it does not fit.

    A regressor that learnt such trials as bad ones would keep away from the limits.
    """
    return self._budget_value is not None and trial.measurement.status is Status.INFEASIBLE

  def _remember(self, trial: Trial) -> None:
    tokens, digest, reward = trial.proposal.tokens, trial.proposal.digest, trial.reward
    if reward is None:
      return
    best = max((known for known, _ in self._found.values()), default=-math.inf)
    self._idle = 0 if reward > best else self._idle + 1
    self._told += 1
    if digest not in self._found or reward > self._found[digest][0]:
      self._found[digest] = (reward, tokens)

  def _restart(self) -> None:
    """Begins a new descent; the weights are the learner's."""
    from rlnas.strategies.surrogate import Surrogate

    self._surrogate = Surrogate(self._table, prior=self._prior)
    self._found, self._told, self._idle = {}, 0, 0
    self._descents += 1
    self._restarts.append(self._batches)

  def _improve(self, trials: Sequence[Trial], scores: Sequence[float]) -> dict[str, float]:
    """Takes the gradient steps of a batch, each on new imagined episodes.

    Args:
      trials: the batch.
      scores: their scores.
    """
    correlation = self._surrogate.held_back_correlation()
    rng = np.random.default_rng(derive_seed(self._seed, 'imagined', self._batches))
    best = sorted(self._found.values(), key=lambda entry: -entry[0])[: self._elite]
    fixed = to_imitate([tokens for _, tokens in best]).and_also(self._episodes_of(trials, scores))
    first: dict[str, float] = {}
    tried: list[bool] = []
    for _ in range(self._updates * len(trials)):
      learnt = fixed
      if self._imagined:
        value = functools.partial(self._value, trusted=correlation > 0)
        drawn = imagine(self._controller, self._table, self._imagined, rng, value)
        learnt = fixed.and_also(drawn)
        tried += [walk in self._walks for walk in drawn.walks]
      if learnt.walks:
        loss, entropy, norm = self._learner.step(*learnt)
        first = first or {'loss': loss, 'entropy': entropy, 'gradient_norm': norm}
    if best:
      first['elite_mean'] = sum(reward for reward, _ in best) / len(best)
    if self._imagined:
      walks = drawn.walks
      first['imagined_score'] = float(self._surrogate.predict(walks)[0].mean())
      first['fit_rate'] = float(np.mean(self._value_of_budget(walks) == 0))
      first['tried_rate'] = float(np.mean(tried))
      first['surrogate_correlation'] = correlation
    return first

  def _value(self, walks: Sequence[Tokens], *, trusted: bool) -> FloatArray:
    """Values of imagined episodes, in nats; `trusted` says whether predictions count."""
    value = self._value_of_budget(walks)
    if trusted:
      mean, deviation = self._surrogate.predict(walks)
      value = value + self._inverse_temperature * (mean - self._caution * deviation)
    return value

  def _value_of_budget(self, walks: Sequence[Tokens]) -> FloatArray:
    return np.zeros(len(walks)) if self._budget_value is None else self._budget_value(walks)

  def _episodes_of(self, trials: Sequence[Trial], scores: Sequence[float]) -> Episodes:
    """The trials as episodes, those that a policy drew."""
    drawn = [
      (t.proposal.tokens, score, t.proposal.log_prob)
      for t, score in zip(trials, scores, strict=True)
      if self._real and t.proposal.log_prob is not None
    ]
    walks = tuple(walk for walk, _, _ in drawn)
    value = np.array([self._inverse_temperature * score for _, score, _ in drawn])
    log_prob = np.array([log_prob for _, _, log_prob in drawn])
    value += self._value_of_budget(walks)
    return Episodes(walks, value, log_prob, np.zeros(len(drawn)))

  def _predictions(self, trials: Sequence[Trial]) -> FloatArray | None:
    """The scores that the regressor expects of trials, before it learns them."""
    if not self._surrogate.trained:
      return None
    return self._surrogate.predict([trial.proposal.tokens for trial in trials])[0]

  def _propose(self, met: set[str], rng: np.random.Generator) -> Proposal:
    new = None
    for drawn in self._draws(rng):
      for tokens, log_prob in drawn:
        proposal = propose(self._table, tokens, log_prob=log_prob)
        if proposal.digest not in met:
          if self._admits(proposal.value):
            return proposal
          new = new or proposal
    return new or proposal  # no new one that `admits` accepts was found

  def _draws(self, rng: np.random.Generator) -> Iterator[list[tuple[Tokens, float]]]:
    """Yields lists of (walk, log-probability); in each list the preferred walk comes first."""
    # Before the first result the warm start may still be running, and the policy is not asked.
    learnt = self._batches > 0 and (self._prior is not None or self._told >= self._warm_up)
    uniform = -math.log(self._table.size)
    for _ in range(_CALLS if learnt else 0):
      sample = self._controller.sample(self._table, _DRAWN, rng, exploration=self._exploration)
      drawn = dict(zip(sample.sequences, sample.log_prob.tolist(), strict=True))
      fresh = [pair for pair in drawn.items() if pair[0] not in self._walks]
      yield self._ranked(fresh[: self._candidates]) + fresh[self._candidates :]
    if not learnt and self._prior is not None:
      drawn = dict.fromkeys(sample_uniform(self._table, rng) for _ in range(self._candidates))
      yield self._ranked([(walk, uniform) for walk in drawn])
    for _ in range(_CALLS * _DRAWN):
      yield [(sample_uniform(self._table, rng), uniform)]

  def _ranked(self, drawn: list[tuple[Tokens, float]]) -> list[tuple[Tokens, float]]:
    if len(drawn) < 2 or not self._surrogate.trained:
      return drawn
    scores, _ = self._surrogate.predict([tokens for tokens, _ in drawn])
    return [drawn[i] for i in np.argsort(-scores.round(9), kind='stable').tolist()]
