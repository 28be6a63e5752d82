"""Priority queue training: the policy imitates the best that it has found itself.

Abolafia et al. 2018 (arXiv:1801.03526), section 3: maximum likelihood of the K best sequences so
far, sampled by the same network. It needs neither a baseline nor a scale of the rewards, and a
lucky find is not forgotten. Five things suit it to some dozens to some hundred children, where
each result is dear:

- The first proposals are uniform over the space, so that the queue starts from a fair sample.
- A share of the uniform distribution is mixed into every choice, so that the policy stays wider
  than its queue.
- An architecture whose result is known is not proposed again, and of what the policy draws, the one
  is proposed that a regressor of the results so far ranks best (`rlnas.strategies.surrogate`).
- What is known not to fit, without training, is not proposed at all, if the caller can tell.
- When nothing better was found for long, policy, queue and regressor start anew: another descent
  leads to another optimum (random restarts), and the best of all stays in the journal.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from rlnas.architecture import Architecture
from rlnas.backend import tf
from rlnas.spaces.table import Table, sample_uniform
from rlnas.strategies import losses
from rlnas.strategies.controller import Controller
from rlnas.strategies.learner import Learner
from rlnas.strategies.proposals import propose
from rlnas.strategies.surrogate import Surrogate
from rlnas.strategies.trial_batches import Watch, check_at_least, taught
from rlnas.trial import Proposal, Trial

Tokens = tuple[int, ...]
_UPDATES = 3  # steps of Adam a trial; one to three made no difference
_PATIENCE = 3  # trials a nat
_DRAWN = 32  # sequences a call of the controller
_CALLS = 10  # calls without a new one before a collapsed policy, or an exhausted space, is given up


class Imitation:
  """Imitates its own best; its state depends on its arguments and the trials told alone."""

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    best: int = 5,
    learning_rate: float = 3e-3,
    exploration: float = 0.1,
    warm_up: int = 10,
    candidates: int = 32,
    patience: int | None = None,
    admits: Callable[[Architecture], bool] | None = None,
  ) -> None:
    """Prepares the optimizer.

    Args:
      table: the compiled space to propose from.
      controller: the policy that learns; it must know the table's symbols.
      best: how many architectures the queue holds, K in the paper.
      learning_rate: of Adam.
      exploration: share of the uniform distribution in that of every choice.
      warm_up: proposals are uniform over the space until a descent was told so many trials.
      candidates: from how many draws, at most 32, the regressor picks; 1 does without it.
      patience: trials without a better one after which another descent begins; by default three
        for each nat of the space, the logarithm of its size.
      admits: tells whether an architecture is worth an evaluation, such as
        `rlnas.evaluation.screened.may_fit`; by default all are.

    Raises:
      ValueError: an argument is out of its range.
    """
    if patience is None:
      patience = max(1, round(_PATIENCE * math.log(table.size)))
    check_at_least(1, best=best, candidates=candidates, patience=patience)
    check_at_least(0, warm_up=warm_up)
    if candidates > _DRAWN:
      raise ValueError(f'candidates={candidates}: must be at most {_DRAWN}')
    if not 0 <= exploration <= 1:
      raise ValueError(f'exploration={exploration}: must lie in [0, 1]')
    self._table = table
    self._controller = controller
    self._best = best
    self._exploration = exploration
    self._warm_up = warm_up
    self._candidates = candidates
    self._patience = patience
    self._admits = admits or (lambda architecture: True)
    self._uniform_log_prob = -math.log(table.size)
    self._known: set[str] = set()  # digests of all that was told
    self._walks: set[Tokens] = set()  # the same, as tokens, which are quicker to compare
    self._found: dict[str, tuple[float, Tokens]] = {}  # of this descent, by digest
    self._surrogate = Surrogate(table)
    self._stale = True  # whether the regressor has still to learn what was told last
    self._told = 0  # trials of this descent
    self._idle = 0  # trials since its best
    self._descents = 1
    self._watch = Watch()
    self._learner = Learner(
      table,
      controller=controller,
      objective=_objective,
      vectors=0,
      settings=(),
      learning_rate=learning_rate,
    )

  def ask(self, count: int, rng: np.random.Generator) -> list[Proposal]:
    """Proposes `count` architectures that differ from each other and from all that were told.

    Those of batches under way are not known and may be met again. Where hundreds of draws, from the
    policy and then from the whole space, bring nothing new that is admitted, a new one that is not
    is proposed, or else a known one. `log_prob` is that of the distribution drawn from, exploration
    included, before any were left out and the regressor picked.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    proposals: list[Proposal] = []
    met = set(self._known)
    for _ in range(count):
      proposal = self._propose(met, rng)
      met.add(proposal.architecture.digest)
      proposals.append(proposal)
    return proposals

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Puts the trials into the queue and imitates it; those that failed are not repeated.

    Of equal rewards the one told first is the better.

    Returns:
      loss, entropy of the policy in nats (estimated on the queue) and gradient_norm, all before
      the first step; queue_mean, the mean reward of the queue; descents, how many were begun;
      reward_mean, unique_rate and repeat_rate (`rlnas.strategies.learner.Watch`). Nothing where
      all trials failed.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    self._known.update(trial.proposal.architecture.digest for trial in trials)
    self._walks.update(trial.proposal.tokens for trial in trials)
    trials = taught(trials)
    if not trials:
      return {}
    for trial in trials:
      self._remember(trial)
    queue = sorted(self._found.values(), key=lambda entry: -entry[0])[: self._best]
    times = _UPDATES * len(trials)
    loss, entropy, norm = self._learner.step([tokens for _, tokens in queue], times=times)
    scalars = {
      'loss': loss,
      'entropy': entropy,
      'gradient_norm': norm,
      'queue_mean': sum(reward for reward, _ in queue) / len(queue),
      'descents': float(self._descents),
      **self._watch.scalars(trials),
    }
    if self._idle >= self._patience:
      self._learner.reset()
      self._found, self._told, self._idle = {}, 0, 0
      self._descents += 1
    return scalars

  def _remember(self, trial: Trial) -> None:
    tokens, digest, reward = trial.proposal.tokens, trial.proposal.architecture.digest, trial.reward
    if reward is None:
      return
    best = max((known for known, _ in self._found.values()), default=-math.inf)
    self._idle = 0 if reward > best else self._idle + 1
    self._told += 1
    self._stale = True
    if digest not in self._found or reward > self._found[digest][0]:
      self._found[digest] = (reward, tokens)

  def _propose(self, met: set[str], rng: np.random.Generator) -> Proposal:
    new = None
    for drawn in self._draws(rng):
      for tokens, log_prob in drawn:
        proposal = propose(self._table, tokens, log_prob=log_prob)
        if proposal.architecture.digest not in met:
          if self._admits(proposal.architecture):
            return proposal
          new = new or proposal
    return new or proposal  # the space is exhausted, as far as one can see

  def _draws(self, rng: np.random.Generator) -> Iterator[list[tuple[Tokens, float]]]:
    """Walks and their log-probabilities, call by call, the one to be preferred first."""
    for _ in range(_CALLS if self._told >= self._warm_up else 0):
      sample = self._controller.sample(self._table, _DRAWN, rng, exploration=self._exploration)
      drawn = dict(zip(sample.sequences, sample.log_prob.tolist(), strict=True))
      fresh = [pair for pair in drawn.items() if pair[0] not in self._walks]
      yield self._ranked(fresh[: self._candidates]) + fresh[self._candidates :]
    for _ in range(_CALLS * _DRAWN):
      yield [(sample_uniform(self._table, rng), self._uniform_log_prob)]

  def _ranked(self, drawn: list[tuple[Tokens, float]]) -> list[tuple[Tokens, float]]:
    if len(drawn) < 2 or not self._found:
      return drawn
    if self._stale:
      rewards, walks = zip(*self._found.values(), strict=True)
      self._surrogate.learn(walks, rewards)
      self._stale = False
    scores = self._surrogate.predict([tokens for tokens, _ in drawn])
    return [drawn[i] for i in np.argsort(-scores.round(9), kind='stable').tolist()]


def _objective(
  log_prob: tf.Tensor,
  entropy: tf.Tensor,
  vectors: tuple[tf.Tensor, ...],
  settings: tuple[tf.Tensor, ...],
) -> tf.Tensor:
  del entropy, vectors, settings
  return losses.imitation(log_prob)
