"""Proposals, measurements and trials: the data that the parts of a search exchange.

All are immutable and can be written to JSON and read back without loss, so a journal of trials is
the whole state of a search. Only the field `seconds` can differ between two runs of one seed.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from collections.abc import Hashable
from typing import Any

from rlnas.architecture import Architecture
from rlnas.budget import Resources


class Status(str, enum.Enum):
  """How an evaluation ended."""

  COMPLETE = 'complete'  # measured
  INFEASIBLE = 'infeasible'  # a result: no microcontroller runs the network; it has a reward
  FAILED = 'failed'  # an error, recorded with its cause; strategies do not learn from it


@dataclasses.dataclass(frozen=True)
class Terms:
  """The conditions of an evaluation besides network and seed; by default none.

  Attributes:
    thresholds: one for each stage of the training but the last; training ends after the stage if
      the validation accuracy of the float network is below it (see `Measurement`).
    parent: name of the weights that training starts from, or '' for new weights.
  """

  thresholds: tuple[float, ...] = ()
  parent: str = ''


NO_TERMS = Terms()


@dataclasses.dataclass(frozen=True)
class Proposal:
  """A proposal for evaluation: a walk through the space, and the value that it returned.

  Attributes:
    tokens: the genotype, the index of the choice at each decision.
    value: the phenotype that the tokens decode to, an `Architecture` in a space of networks. Other
      spaces return another hashable value that JSON can hold (`check_value`).
    log_prob: log-probability of the tokens under the policy that proposed them (natural log,
      at most 0), or None if the strategy has no policy.
    parent: index of the trial whose network was mutated to this one, or None.
  """

  tokens: tuple[int, ...]
  value: Hashable
  log_prob: float | None = None
  parent: int | None = None

  @property
  def architecture(self) -> Architecture:
    """The value as a network, for what builds, costs or draws it. Raises ValueError if it is none.

    The space decides which type the values have.
    """
    if not isinstance(self.value, Architecture):
      raise ValueError(
        f'value={self.value!r}: is not a network; the space must return an Architecture to have it '
        'built, costed or drawn'
      )
    return self.value

  @property
  def digest(self) -> str:
    """SHA-256 of the JSON form of the value as 64 hexadecimal digits (`value_digest`).

    Nodes that a network's output does not depend on are left out: networks that differ in nothing
    else are one to a strategy, which does not try it twice.
    """
    if isinstance(self.value, Architecture):
      return self.value.digest_without_unread
    return value_digest(self.value)


@dataclasses.dataclass(frozen=True)
class Measurement:
  """The results of an evaluation. Figures that were not measured are None.

  Accuracy is the share of the examples that are recognised. In a search with another metric
  (`rlnas.data.metrics`), such as R² of a regression, these fields and all that is computed from
  them hold that metric.

  Attributes:
    status: how the evaluation ended.
    validation_accuracy: validation accuracy of the float network, in [0, 1].
    int8_validation_accuracy: validation accuracy of the quantized network, in [0, 1].
    flash_bytes: size of the .tflite file in bytes.
    sram_bytes: size of the smallest tensor arena in which TFLite Micro can load the network, in
      bytes.
    sram_source: 'tflm' if TFLite Micro loaded it on this machine, 'analytic' if it was computed
      without.
    macs: multiply-accumulate operations of one inference.
    parameters: number of trainable weights.
    latency_ms: estimated time of one inference on the board, in milliseconds; None if the board's
      speed is unknown.
    curve: validation accuracy of the float network after each stage of its training.
    seconds: wall time of the evaluation.
    detail: cause of a failure or infeasibility, as a message.
    sram_build: name of the build of TFLite Micro that the arena is for, from
      `rlnas.cost.builds.BUILDS`.
    instructions: estimated instructions of one inference on the board; None if they are unknown.
  """

  status: Status
  validation_accuracy: float | None = None
  int8_validation_accuracy: float | None = None
  flash_bytes: int | None = None
  sram_bytes: int | None = None
  sram_source: str = ''
  macs: int | None = None
  parameters: int | None = None
  latency_ms: float | None = None
  curve: tuple[float, ...] = ()
  seconds: float = 0.0
  detail: str = ''
  sram_build: str = ''
  instructions: int | None = None

  @property
  def quality(self) -> float | None:
    """The metric that the search maximises, in [0, 1]: `int8_validation_accuracy`."""
    return self.int8_validation_accuracy

  @property
  def resources(self) -> Resources:
    """The resources that the network takes."""
    return Resources(self.flash_bytes, self.sram_bytes, self.macs, self.latency_ms)

  def to_record(self) -> dict[str, Any]:
    """Returns a dict that JSON can hold."""
    return {**dataclasses.asdict(self), 'status': self.status.value, 'quality': self.quality}

  @classmethod
  def from_record(cls, record: dict[str, Any]) -> Measurement:
    """The exact inverse of `to_record`. Raises ValueError or TypeError for another record.

    Records of earlier versions also held a predicted accuracy. It is left out here, since it now
    belongs to the trial. They measured the arena on their own machine, so its build is 'host'.
    """
    status, curve = Status(record['status']), tuple(record.get('curve', ()))
    fields = {**record, 'status': status, 'curve': curve}
    fields.pop(_EARLIER_PREDICTION, None)
    fields.pop('quality', None)  # follows from the others
    fields.setdefault('sram_build', 'host' if fields.get('sram_source') else '')
    return cls(**fields)


_EARLIER_PREDICTION = 'expected_accuracy'


@dataclasses.dataclass(frozen=True)
class Trial:
  """One evaluated proposal: a line of the journal.

  Attributes:
    index: number of the trial in the search, from 0.
    batch: number of the batch of its proposal, from 0.
    seed: seed of its evaluation.
    proposal: the network evaluated.
    measurement: the results.
    reward: the reward that the strategy learns from; None if the evaluation failed.
    predicted_accuracy: int8 validation accuracy after all stages, as a `Pruner` predicts it; None
      if the network was trained for all stages, or without a prediction.
  """

  index: int
  batch: int
  seed: int
  proposal: Proposal
  measurement: Measurement
  reward: float | None
  predicted_accuracy: float | None = None

  @property
  def rewarded_measurement(self) -> Measurement:
    """The measurement to compute the reward from: a predicted accuracy replaces the measured one.

    So `reward(trial.rewarded_measurement, budget)` computes a new reward for a trial of a journal.
    """
    if self.predicted_accuracy is None:
      return self.measurement
    return dataclasses.replace(self.measurement, int8_validation_accuracy=self.predicted_accuracy)

  def to_json(self) -> str:
    """One line of JSON."""
    record: dict[str, Any] = {
      'index': self.index,
      'batch': self.batch,
      'seed': self.seed,
      'reward': self.reward,
      'predicted_accuracy': self.predicted_accuracy,
      'tokens': list(self.proposal.tokens),
      'log_prob': self.proposal.log_prob,
      'parent': self.proposal.parent,
      'digest': self.proposal.digest,
      'measurement': self.measurement.to_record(),
    }
    value = self.proposal.value
    if isinstance(value, Architecture):
      record['architecture'] = json.loads(value.to_json())
    else:
      record['value'] = value
    return json.dumps(record, separators=(',', ':'), allow_nan=False)

  @classmethod
  def from_json(cls, text: str) -> Trial:
    """The exact inverse of `to_json`. Raises ValueError if the text is not a trial.

    In lines of earlier versions, the record of the measurement holds the predicted accuracy.
    """
    try:
      record: dict[str, Any] = json.loads(text)
      value = (
        _with_tuples(record['value'])
        if 'value' in record
        else Architecture.from_rows(record['architecture'])
      )
      measurement = Measurement.from_record(record['measurement'])
      earlier = record['measurement'].get(_EARLIER_PREDICTION)
      return cls(
        index=record['index'],
        batch=record['batch'],
        seed=record['seed'],
        proposal=Proposal(tuple(record['tokens']), value, record['log_prob'], record.get('parent')),
        measurement=measurement,
        reward=record['reward'],
        predicted_accuracy=record.get('predicted_accuracy', earlier),
      )
    except (KeyError, TypeError, ValueError) as error:
      raise ValueError(f'not a trial: {type(error).__name__}: {error}') from error


def check_value(value: object) -> None:
  """Checks that a value can be what a walk through a space returns.

  An `Architecture` can; so can text, numbers, True, False, and tuples of these and None, to any
  depth: they are hashable and the same after JSON.

  Raises:
    ValueError: it is another value.
  """
  if not isinstance(value, Architecture):
    value_digest(value)


def value_digest(value: object) -> str:
  """SHA-256 of the JSON form as 64 hexadecimal digits: the key of a value in caches and searches.

  Raises:
    ValueError: no walk can return the value (`check_value`).
  """
  if isinstance(value, Architecture):
    return value.digest
  try:
    hash(value)
    text = json.dumps(value, separators=(',', ':'), allow_nan=False)
    same = value is not None and _with_tuples(json.loads(text)) == value
  except (TypeError, ValueError):
    same = False
  if not same:
    raise ValueError(
      f'space: a walk returned {value!r}: must be an Architecture, or another hashable value that '
      'JSON can hold: text, a finite number, a bool, or a tuple of these'
    )
  return hashlib.sha256(text.encode()).hexdigest()


def _with_tuples(value: Any) -> Any:
  """Parsed JSON with tuples in place of lists, which are not hashable."""
  return tuple(map(_with_tuples, value)) if isinstance(value, list) else value


_NUMBER = (int, float)
_NONE = type(None)
_TYPES: dict[str, tuple[type, ...]] = {
  'int': (int,),
  'float': _NUMBER,
  'str': (str,),
  'bool': (bool,),
  'int | None': (int, _NONE),
  'float | None': (*_NUMBER, _NONE),
}
_MEASURED = [(f.name, str(f.type)) for f in dataclasses.fields(Measurement) if f.type in _TYPES]


def check_types(trial: Trial) -> None:
  """Raises ValueError if a value of a trial has a wrong type.

  This is necessary since files, evaluators and rewards of users can contain or return anything.
  """
  measurement, proposal = trial.measurement, trial.proposal
  values = [
    ('reward', trial.reward, 'float | None'),
    ('predicted_accuracy', trial.predicted_accuracy, 'float | None'),
    ('log_prob', proposal.log_prob, 'float | None'),
    ('parent', proposal.parent, 'int | None'),
  ]
  values += [(name, getattr(trial, name), 'int') for name in ('index', 'batch', 'seed')]
  values += [('tokens', token, 'int') for token in proposal.tokens]
  values += [('curve', accuracy, 'float') for accuracy in measurement.curve]
  values += [(name, getattr(measurement, name), kind) for name, kind in _MEASURED]
  for name, value, kind in values:
    allowed = _TYPES[kind]
    if not isinstance(value, allowed) or (isinstance(value, bool) and bool not in allowed):
      raise ValueError(f'{name}={value!r}: must be {kind}')
    if isinstance(value, float) and not math.isfinite(value):
      raise ValueError(f'{name}={value}: must be finite')
  if (trial.reward is None) != (measurement.status is Status.FAILED):
    raise ValueError(f'reward={trial.reward}: does not go with status {measurement.status.value}')


def derive_seed(*parts: int | str) -> int:
  """Derives a seed in [0, 2**31) from a run's seed and a place in it, such as (7, 'trial', 12)."""
  digest = hashlib.sha256(json.dumps(parts).encode()).digest()
  return int.from_bytes(digest[:4], 'big') >> 1


def weights_name(value: Hashable, seed: int, terms: Terms, stages: int) -> str:
  """Names the weights of a trained network by all that they depend on but evaluator settings.

  Args:
    value: the network, as the space returned it.
    seed: seed of its evaluation.
    terms: terms of its evaluation.
    stages: number of stages that it was trained.
  """
  parts = [value_digest(value), seed, terms.parent, stages]
  return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
