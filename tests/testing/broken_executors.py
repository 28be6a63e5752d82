"""Executors that break one rule each; the sound one is `rlnas.InProcess`."""

from __future__ import annotations

import dataclasses

from rlnas.evaluation.executors import InProcess
from rlnas.trial import NO_TERMS, Status


class LosesAKey(InProcess):
  submitted = 0

  def submit(self, key, architecture, *, seed, terms=NO_TERMS):
    self.submitted += 1
    if self.submitted != 5:
      super().submit(key, architecture, seed=seed, terms=terms)


class AnswersEqualOnesOnce(InProcess):
  """Takes equal networks with equal seeds for one."""

  known: frozenset[tuple[str, int]] = frozenset()

  def submit(self, key, architecture, *, seed, terms=NO_TERMS):
    if (architecture.digest, seed) not in self.known:
      self.known |= {(architecture.digest, seed)}
      super().submit(key, architecture, seed=seed, terms=terms)


class AnswersTwice(InProcess):
  last = None

  def collect(self, timeout):
    if self.last is None:
      self.last = super().collect(timeout)
      return self.last
    last, self.last = self.last, None
    return last


class MixesKeys(InProcess):
  """Its answers belong to the keys in the order in which they were submitted last."""

  def __init__(self, evaluator):
    super().__init__(evaluator)
    self.keys = []

  def submit(self, key, architecture, *, seed, terms=NO_TERMS):
    self.keys.append(key)
    super().submit(key, architecture, seed=seed, terms=terms)

  def collect(self, timeout):
    arrived = super().collect(timeout)
    return arrived and (self.keys.pop(), arrived[1])


class ForgetsTheSeed(InProcess):
  def submit(self, key, architecture, *, seed, terms=NO_TERMS):
    super().submit(key, architecture, seed=0, terms=terms)


class ForgetsTheTerms(InProcess):
  def submit(self, key, architecture, *, seed, terms=NO_TERMS):
    super().submit(key, architecture, seed=seed)


class LetsErrorsThrough(InProcess):
  def collect(self, timeout):
    if not self._queue:
      return None
    task = self._queue.popleft()
    options = {} if task.terms == NO_TERMS else {'terms': task.terms}
    return task.key, self._evaluator.evaluate(task.value, seed=task.seed, **options)


class HidesTheCause(InProcess):
  def collect(self, timeout):
    arrived = super().collect(timeout)
    if arrived is None or arrived[1].status is not Status.FAILED:
      return arrived
    return arrived[0], dataclasses.replace(arrived[1], detail='something went wrong')


class CallsThemInfeasible(InProcess):
  def collect(self, timeout):
    arrived = super().collect(timeout)
    if arrived is None or arrived[1].status is not Status.FAILED:
      return arrived
    return arrived[0], dataclasses.replace(arrived[1], status=Status.INFEASIBLE)


class WithdrawsInName(InProcess):
  def withdraw(self):
    return [task.key for task in self._queue]


class WithdrawsInSilence(InProcess):
  def withdraw(self):
    super().withdraw()
    return []


class WithdrawsWhatHasCome(InProcess):
  def __init__(self, evaluator):
    super().__init__(evaluator)
    self.come = []

  def collect(self, timeout):
    arrived = super().collect(timeout)
    self.come += [arrived[0]] if arrived else []
    return arrived

  def withdraw(self):
    return [*super().withdraw(), *self.come[:1]]


class FinishesOnClose(InProcess):
  def close(self):
    while self.collect(0.0):
      pass


EXECUTORS = {
  LosesAKey: 'every submitted key comes back: within',
  AnswersEqualOnesOnce: 'every submitted key comes back: within',
  AnswersTwice: 'every submitted key comes back exactly once',
  MixesKeys: 'each key has the measurement of its network and seed',
  ForgetsTheSeed: 'each key has the measurement of its network and seed',
  ForgetsTheTerms: 'each key has the measurement under its terms',
  LetsErrorsThrough: 'an evaluator that raises gives a measurement of status failed',
  CallsThemInfeasible: 'an evaluator that raises gives a measurement of status failed',
  HidesTheCause: 'a failed measurement has its cause in `detail`',
  WithdrawsInName: 'withdrawn keys never come back',
  WithdrawsInSilence: 'every submitted key comes back: within',
  WithdrawsWhatHasCome: 'withdraw returns keys that are under way',
}
