"""Priority queue training: the policy imitates the best networks that it has found.

Abolafia et al. 2018 (arXiv:1801.03526), section 3: the policy maximises the likelihood of the K
best sequences that it has sampled so far. This needs neither a baseline nor a scale of the rewards,
and a good network stays in the queue until better ones replace it. Five additions suit a search of
some dozens to some hundred networks, where each evaluation is expensive:

- The first proposals are uniform over the space, so the queue starts from a fair sample.
- A share of the uniform distribution is mixed into every choice, so the policy also samples
  networks that are unlike those in its queue.
- The strategy skips architectures that already have a result. Of several samples it proposes the
  one that a regressor, fitted to the results so far, ranks best (`rlnas.strategies.surrogate`).
- The strategy skips architectures that `admits` rejects, for example those too large for the board.
- After many trials without a better one, policy, queue and regressor start again (random restart),
  since another descent can reach another optimum. The journal keeps the trials of all descents.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from rlnas.architecture import Architecture
from rlnas.spaces.table import Table, sample_uniform
from rlnas.strategies.proposals import propose
from rlnas.strategies.trial_batches import Watch, check_at_least, taught
from rlnas.trial import Proposal, Trial

if TYPE_CHECKING:
  from rlnas.backend import tf
  from rlnas.strategies.controller import Controller

Tokens = tuple[int, ...]
_UPDATES = 3  # steps of Adam for each trial; one to three made no difference
_PATIENCE = 3  # trials for each nat
_DRAWN = 32  # sequences for each call of the controller
_CALLS = 10  # calls of the controller for one proposal, before uniform samples are tried


class Imitation:
  """Imitates the best networks found so far.

  Its state depends only on its arguments and on the trials that `tell` received.
  """

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
      best: number of architectures in the queue, K in the paper.
      learning_rate: learning rate of Adam.
      exploration: share of the uniform distribution, in [0, 1], in the mixture that each choice is
        drawn from.
      warm_up: number of trials at the start of each descent whose proposals are drawn uniformly
        from the space.
      candidates: number of samples, at most 32, from which a regressor picks each proposal; 1
        switches the regressor off.
      patience: number of trials without a better one after which a new descent begins; by default
        3 * ln(size of the space).
      admits: returns whether an architecture is worth an evaluation, such as
        `rlnas.evaluation.screened.may_fit`; by default every architecture is.

    Raises:
      ValueError: an argument is out of its range.
    """
    from rlnas.strategies.learner import Learner  # TensorFlow
    from rlnas.strategies.surrogate import Surrogate  # scikit-learn

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
    self._known: set[str] = set()  # digests of all trials told
    self._walks: set[Tokens] = set()  # the same, as tokens, which are quicker to compare
    self._found: dict[str, tuple[float, Tokens]] = {}  # results of this descent, by digest
    self._surrogate = Surrogate(table)
    self._stale = True  # whether the regressor has yet to learn the last trials
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

  @property
  def controller(self) -> Controller:
    """The policy that learns: what to save after a search (`Controller.save`).

    Its weights are those of the current descent; if one has just begun, the initial weights.
    """
    return self._controller

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
      met.add(proposal.architecture.digest)
      proposals.append(proposal)
    return proposals

  def tell(self, trials: Sequence[Trial]) -> dict[str, float]:
    """Adds the trials to the queue and imitates the queue.

    Failed trials are not added, and their architectures are not proposed again. If two rewards are
    equal, the trial told first ranks higher.

    Returns:
      loss, entropy of the policy in nats (estimated on the queue) and gradient_norm, all before
      the first step; queue_mean, the mean reward of the queue; descents, the number begun so far;
      reward_mean, unique_rate and repeat_rate (`rlnas.strategies.trial_batches.Watch`). Empty if
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
    return new or proposal  # no new one that `admits` accepts was found

  def _draws(self, rng: np.random.Generator) -> Iterator[list[tuple[Tokens, float]]]:
    """Yields lists of (walk, log-probability); in each list the preferred walk comes first."""
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
  from rlnas.strategies import losses

  del entropy, vectors, settings
  return losses.imitation(log_prob)
