"""Priority queue training: the policy imitates the best that it has found itself.

Abolafia et al. 2018 (arXiv:1801.03526), section 3.2: maximum likelihood of the K best sequences so
far, the sampling policy being the same network. Beside REINFORCE it needs neither baseline nor
scale of the rewards, and a lucky find is not forgotten. For searches of some dozens to some
hundred children, where each result is dear:

- the first proposals are uniform over the space, so that the queue starts from a fair sample;
- a share of uniform exploration is mixed into every choice, so that the policy stays wider than
  its queue;
- an architecture whose result is known is not proposed again.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from rlnas import losses
from rlnas.backend import tf
from rlnas.controller import Controller
from rlnas.decision import decode
from rlnas.strategies.learner import Learner, Watch, check_at_least, taught
from rlnas.table import Table, sample_uniform
from rlnas.trial import Proposal, Trial

_DRAWN = 32  # sequences a call of the controller; more only save calls
_DRAWS = 10  # calls before a collapsed policy, or an exhausted space, is given up


class Imitation:
  """Imitates its own best; its state depends on its arguments and the trials told alone."""

  def __init__(
    self,
    table: Table,
    *,
    controller: Controller,
    best: int = 5,
    learning_rate: float = 3e-3,
    updates: int = 3,
    exploration: float = 0.1,
    warm_up: int = 20,
  ) -> None:
    """Prepares the optimizer.

    Args:
      table: the compiled space to propose from.
      controller: the policy that learns; it must know the table's symbols.
      best: how many architectures the queue holds, K in the paper.
      learning_rate: of Adam.
      updates: steps for every trial told.
      exploration: share of the uniform distribution in that of every choice.
      warm_up: proposals are uniform over the space until so many trials were told.

    Raises:
      ValueError: an argument is out of its range.
    """
    check_at_least(1, best=best, updates=updates)
    check_at_least(0, warm_up=warm_up)
    if not 0 <= exploration <= 1:
      raise ValueError(f'exploration={exploration}: must lie in [0, 1]')
    self._table = table
    self._controller = controller
    self._best = best
    self._updates = updates
    self._exploration = exploration
    self._warm_up = warm_up
    self._uniform_log_prob = -math.log(table.size)
    self._told = 0
    self._rewards: dict[str, tuple[float, tuple[int, ...]]] = {}  # by digest, the best result
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
    """Samples `count` architectures that differ from each other and from all that were told.

    Those of batches under way are not known and may be met again; those that failed may too. Only
    where a hundred draws in a row, from the policy and then from the whole space, bring nothing
    new, a known one is proposed. `log_prob` is that of the distribution drawn from, exploration
    included, before known architectures were left out.

    Raises:
      ValueError: `count` is below 1.
    """
    if count < 1:
      raise ValueError(f'count={count}: must be at least 1')
    met = set(self._rewards)
    proposals: list[Proposal] = []
    sources = [self._uniform(rng)]
    if self._told >= self._warm_up:
      sources.insert(0, self._sampled(rng))
    for source in sources:
      for proposal in source:
        if len(proposals) < count and proposal.architecture.digest not in met:
          met.add(proposal.architecture.digest)
          proposals.append(proposal)
        if len(proposals) == count:
          return proposals
    rest = self._uniform(rng)
    return proposals + [next(rest) for _ in range(count - len(proposals))]

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Puts the trials into the queue and imitates it; failed trials are left out.

    Of equal rewards the one told first is the better.

    Returns:
      loss, entropy of the policy in nats (estimated on the queue) and gradient_norm, all before
      the first step; queue_mean, the mean reward of the queue; reward_mean, unique_rate and
      repeat_rate (`rlnas.strategies.learner.Watch`). Nothing where all trials failed.

    Raises:
      ValueError: a reward is not finite, or tokens are not in the space.
    """
    trials = taught(trials)
    if not trials:
      return {}
    for trial in trials:
      digest, reward = trial.proposal.architecture.digest, trial.reward
      if reward is not None and (digest not in self._rewards or reward > self._rewards[digest][0]):
        self._rewards[digest] = (reward, trial.proposal.tokens)
    self._told += len(trials)
    queue = sorted(self._rewards.values(), key=lambda entry: -entry[0])[: self._best]
    times = self._updates * len(trials)
    loss, entropy, norm = self._learner.step([tokens for _, tokens in queue], times=times)
    return {
      'loss': loss,
      'entropy': entropy,
      'gradient_norm': norm,
      'queue_mean': sum(reward for reward, _ in queue) / len(queue),
      **self._watch.scalars(trials),
    }

  def _sampled(self, rng: np.random.Generator) -> Iterator[Proposal]:
    for _ in range(_DRAWS):
      drawn = self._controller.sample(self._table, _DRAWN, rng, exploration=self._exploration)
      for tokens, log_prob in zip(drawn.sequences, drawn.log_prob.tolist(), strict=True):
        yield Proposal(tokens, decode(self._table.space, tokens), log_prob)

  def _uniform(self, rng: np.random.Generator) -> Iterator[Proposal]:
    for _ in range(_DRAWS * _DRAWN):
      tokens = sample_uniform(self._table, rng)
      yield Proposal(tokens, decode(self._table.space, tokens), self._uniform_log_prob)


def _objective(
  log_prob: tf.Tensor,
  entropy: tf.Tensor,
  vectors: tuple[tf.Tensor, ...],
  settings: tuple[tf.Tensor, ...],
) -> tf.Tensor:
  del entropy, vectors, settings
  return losses.imitation(log_prob)
