"""A sound strategy, and some that break one rule each."""

from __future__ import annotations

import dataclasses
import itertools

import numpy as np

from rlnas.strategies.evolution import Evolution


class Sound:
  """Evolution, whose population is soon full."""

  def __init__(self, table):
    self.inner = Evolution(table, population=8, sample=3)
    self.calls = itertools.count()

  def ask(self, count, rng):
    return self.inner.ask(count, rng)

  def tell(self, trials):
    return self.inner.tell(trials)


class ShortOfOne(Sound):
  def ask(self, count, rng):
    return super().ask(count, rng)[: max(1, count - 1)]


class OfAnotherNetwork(Sound):
  def ask(self, count, rng):
    proposals = super().ask(count, rng)
    return [dataclasses.replace(p, value=proposals[0].value) for p in proposals]


class OutOfTheSpace(Sound):
  def ask(self, count, rng):
    return [dataclasses.replace(p, tokens=(*p.tokens, 0)) for p in super().ask(count, rng)]


class NumpyTokens(Sound):
  def ask(self, count, rng):
    proposals = super().ask(count, rng)
    return [dataclasses.replace(p, tokens=tuple(np.array(p.tokens))) for p in proposals]


class LogProbAboveZero(Sound):
  def ask(self, count, rng):
    return [dataclasses.replace(p, log_prob=0.5) for p in super().ask(count, rng)]


class ParentIsAPlace(Sound):
  """Takes a trial's place in its batch for its index."""

  def tell(self, trials):
    return super().tell([dataclasses.replace(t, index=i) for i, t in enumerate(trials)])


class ParentIsTheNeighbour(Sound):
  def ask(self, count, rng):
    return [
      p if p.parent is None else dataclasses.replace(p, parent=p.parent + 1)
      for p in super().ask(count, rng)
    ]


class AskCounts(Sound):
  def ask(self, count, rng):
    return super().ask(count, np.random.default_rng(next(self.calls)))


class LearnsByAsking(Sound):
  """Asked twice alike, it answers alike; asked something else, it forgets what it was told."""

  seen: frozenset[int] = frozenset()

  def ask(self, count, rng):
    self.seen |= {count}
    return super().ask(count, rng)

  def tell(self, trials):
    return super().tell(trials if len(self.seen) < 2 else trials[:1])


class TellsHowOftenItWasAsked(Sound):
  asked = 0.0

  def ask(self, count, rng):
    self.asked += 1
    return super().ask(count, rng)

  def tell(self, trials):
    return {**super().tell(trials), 'asked': self.asked}


class SoundPreparing(Sound):
  """Has three steps to take before it learns from the first trials."""

  left = 3

  def prepare(self):
    self.left = max(0, self.left - 1)
    return self.left > 0

  def tell(self, trials):
    self.left = 0
    return super().tell(trials)


class ProposesByItsSteps(SoundPreparing):
  def ask(self, count, rng):
    rng.random(3 - self.left if self.left else 0)
    return super().ask(count, rng)


class LearnsByItsSteps(SoundPreparing):
  """Learns next to nothing unless it was prepared."""

  def tell(self, trials):
    return super().tell(trials[:1] if self.left else trials)


class TellsItsSteps(SoundPreparing):
  def tell(self, trials):
    left = float(self.left)
    return {**super().tell(trials), 'left': left}


class NeverPrepared(SoundPreparing):
  def prepare(self):
    return super().prepare() or True


class PreparesAfterTheFirstTrials(SoundPreparing):
  def tell(self, trials):
    left = self.left
    scalars = super().tell(trials)
    self.left = left
    return scalars


class OwnRandomness(Sound):
  def ask(self, count, rng):
    return super().ask(count, np.random.default_rng(0))


class LearnsFromItsOwn(Sound):
  """Learns only from what it proposed itself since it was made."""

  own: frozenset[tuple[int, ...]] = frozenset()

  def ask(self, count, rng):
    proposals = super().ask(count, rng)
    self.own |= {p.tokens for p in proposals}
    return proposals

  def tell(self, trials):
    return super().tell([t for t in trials if t.proposal.tokens in self.own])


class LearnsFromFailures(Sound):
  def tell(self, trials):
    return super().tell([dataclasses.replace(t, reward=t.reward or 5.0) for t in trials])


class SpreadOfOne(Sound):
  def tell(self, trials):
    return {**super().tell(trials), 'spread': float('nan') if len(trials) == 1 else 0.0}


class AnyCount(Sound):
  def ask(self, count, rng):
    return super().ask(count, rng) if count else []


STRATEGIES = {
  ShortOfOne: r'ask\(5\) gives 5 proposals; found proposals=4',
  OfAnotherNetwork: 'the architecture is the one that the tokens decode to',
  OutOfTheSpace: 'tokens are a walk of the space',
  NumpyTokens: 'tokens are a tuple of Python integers',
  LogProbAboveZero: 'log_prob is None or a Python float, finite and at most 0',
  ParentIsAPlace: 'parent is None or the index of a trial that was told before',
  ParentIsTheNeighbour: 'parent is None or the index of a trial that was told before',
  AskCounts: 'ask changes no state: asked again with an equal generator',
  LearnsByAsking: 'ask changes no state: .* fewer calls of ask',
  TellsHowOftenItWasAsked: 'ask changes no state: .* fewer calls of ask returns equal scalars',
  ProposesByItsSteps: 'prepare changes nothing: .* proposals are equal',
  LearnsByItsSteps: 'prepare changes nothing: .* scalars are equal',
  TellsItsSteps: 'prepare changes nothing: .* scalars are equal',
  NeverPrepared: 'prepare returns False once nothing is left to do',
  PreparesAfterTheFirstTrials: 'prepare returns False once the first trials were told',
  OwnRandomness: 'ask takes its randomness from the generator',
  LearnsFromItsOwn: 'told the trials of a journal, without being asked, proposes the same',
  LearnsFromFailures: 'failed trials teach nothing',
  SpreadOfOne: 'tell returns finite Python floats by name; found spread=nan',
  AnyCount: 'ask refuses a count below 1',
}
