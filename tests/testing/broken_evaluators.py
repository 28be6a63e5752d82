"""Evaluators that break one rule each; the sound one is `rlnas.testing.executor.Probe`."""

import dataclasses
import os

import numpy as np

from rlnas.testing.executor import Probe
from rlnas.trial import Measurement, Status


class Changed:
  """The measurement of the probe with some figures replaced."""

  def evaluate(self, architecture, *, seed):
    measurement = Probe().evaluate(architecture, seed=seed)
    return dataclasses.replace(measurement, **self.figures(architecture))


class DependsOnCalls(Changed):
  calls = 0

  def figures(self, architecture):
    self.calls += 1
    return {'macs': self.calls}


class DependsOnOrder(Changed):
  """A network keeps the number that it had when it first came."""

  def __init__(self):
    self.known = {}

  def figures(self, architecture):
    return {'macs': self.known.setdefault(architecture.digest, len(self.known))}


_known: dict[str, int] = {}  # of this process


class DependsOnTheProcess(Changed):
  """As above, but all copies within a process share what they know."""

  def figures(self, architecture):
    return {'macs': _known.setdefault(architecture.digest, len(_known))}


class TellsItsProcess(Changed):
  def figures(self, architecture):
    return {'detail': str(os.getpid())}


class CannotBeSent(Changed):
  def __init__(self):
    self.figures = lambda architecture: {}


class WithoutInt8(Changed):
  def figures(self, architecture):
    return {'int8_validation_accuracy': None}


class InPercent(Changed):
  def figures(self, architecture):
    return {'validation_accuracy': 93.5}


class NumpyFigures(Changed):
  def figures(self, architecture):
    return {'macs': np.int64(5)}


class WithoutSource(Changed):
  def figures(self, architecture):
    return {'sram_source': ''}


class WithoutCause(Changed):
  """Finds wide networks infeasible and does not say why."""

  def figures(self, architecture):
    wide = architecture.nodes[1]['filters'] > 1
    return {'status': Status.INFEASIBLE if wide else Status.COMPLETE}


class FailsQuietly:
  def evaluate(self, architecture, *, seed):
    return Measurement(Status.FAILED, detail='something')


class IgnoresItsSeed:
  def evaluate(self, architecture, *, seed):
    return Probe().evaluate(architecture, seed=0)


EVALUATORS = {
  DependsOnCalls: 'equal architecture and seed give an equal measurement, again',
  DependsOnOrder: 'equal measurement, in another order and by a copy of the evaluator',
  DependsOnTheProcess: 'equal architecture and seed give an equal measurement, in any process',
  TellsItsProcess: 'equal architecture and seed give an equal measurement, in any process',
  CannotBeSent: 'an evaluator can be pickled',
  WithoutInt8: 'a complete measurement has int8_validation_accuracy',
  InPercent: r'validation_accuracy is a Python float in \[0, 1\]; found validation_accuracy=93.5',
  NumpyFigures: 'macs is a Python integer of at least 0',
  WithoutSource: "sram_source is 'tflm' or 'analytic'",
  WithoutCause: 'an infeasible measurement says in `detail` why',
  FailsQuietly: 'the network is measured: its status is complete',
  IgnoresItsSeed: 'the seed reaches the result',
}
