"""What passes between the parts of a search: proposals, measurements and trials.

All are frozen and round-trip through JSON, so that a journal of trials is the whole state of a
search. `seconds` is the only field that may differ between two runs of one seed.
"""

from __future__ import annotations

import dataclasses
import enum
import hashlib
import json
import math
from typing import Any

from rlnas.architecture import Architecture
from rlnas.budget import Resources


class Status(str, enum.Enum):
  """How an evaluation ended."""

  COMPLETE = 'complete'  # measured
  INFEASIBLE = 'infeasible'  # a result: no microcontroller runs it; it earns a reward and teaches
  FAILED = 'failed'  # an accident: recorded with its cause, never reaches a gradient


@dataclasses.dataclass(frozen=True)
class Terms:
  """What an evaluation depends on beside the network and the seed; nothing by default.

  Attributes:
    thresholds: of each stage of the training but the last, the validation accuracy of the float
      network below which the child is not trained further.
    parent: name of the weights that the child begins with, or ''.
  """

  thresholds: tuple[float, ...] = ()
  parent: str = ''


NO_TERMS = Terms()


@dataclasses.dataclass(frozen=True)
class Proposal:
  """What a strategy asks to be evaluated.

  Attributes:
    tokens: the genotype, one choice index a decision.
    architecture: the phenotype that the tokens decode to.
    log_prob: log-probability of the tokens under the policy that proposed them (natural log,
      at most 0), or None where the strategy has no policy.
    parent: index of the trial that it is a mutant of, if any.
  """

  tokens: tuple[int, ...]
  architecture: Architecture
  log_prob: float | None = None
  parent: int | None = None


@dataclasses.dataclass(frozen=True)
class Measurement:
  """What an evaluator found out. Figures that were not reached are None.

  Attributes:
    status: how the evaluation ended.
    validation_accuracy: of the float network, in [0, 1].
    int8_validation_accuracy: of the quantized network, in [0, 1].
    flash_bytes: size of the .tflite file.
    sram_bytes: tensor arena that TFLite Micro allocates.
    sram_source: 'tflm' where TFLite Micro was run, 'analytic' where it is not installable.
    macs: multiply-accumulate operations of one inference.
    parameters: trainable weights.
    latency_ms: of one inference on the board, estimated; None where the board's speed is unknown.
    curve: validation accuracy of the float network after each stage that it was trained.
    seconds: wall time of the evaluation.
    detail: cause of a failure or infeasibility, for people.
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

  @property
  def resources(self) -> Resources:
    """What the network takes."""
    return Resources(self.flash_bytes, self.sram_bytes, self.macs, self.latency_ms)

  def to_record(self) -> dict[str, Any]:
    """For JSON."""
    return {**dataclasses.asdict(self), 'status': self.status.value}

  @classmethod
  def from_record(cls, record: dict[str, Any]) -> Measurement:
    """The exact inverse of `to_record`. Raises ValueError or TypeError where it is another.

    Records of earlier versions held a prediction too, which is left out: it belongs to the trial.
    """
    status, curve = Status(record['status']), tuple(record.get('curve', ()))
    fields = {**record, 'status': status, 'curve': curve}
    fields.pop(_EARLIER_PREDICTION, None)
    return cls(**fields)


_EARLIER_PREDICTION = 'expected_accuracy'


@dataclasses.dataclass(frozen=True)
class Trial:
  """One evaluated proposal: a line of the journal.

  Attributes:
    index: place in the search, from 0.
    batch: the batch that it was proposed with, from 0.
    seed: seed of its evaluation.
    proposal: what was evaluated.
    measurement: what was found.
    reward: what the strategy is told; None where the evaluation failed.
    predicted_accuracy: int8 validation accuracy that a `Pruner` predicts after all stages; None
      where the network was trained so far, or nothing is predicted.
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
    """What the reward is computed from: a predicted accuracy takes the place of the measured one.

    So `reward(trial.rewarded_measurement, budget)` rewards the trials of a journal anew.
    """
    if self.predicted_accuracy is None:
      return self.measurement
    return dataclasses.replace(self.measurement, int8_validation_accuracy=self.predicted_accuracy)

  def to_json(self) -> str:
    """One line of JSON."""
    record = {
      'index': self.index,
      'batch': self.batch,
      'seed': self.seed,
      'reward': self.reward,
      'predicted_accuracy': self.predicted_accuracy,
      'tokens': list(self.proposal.tokens),
      'log_prob': self.proposal.log_prob,
      'parent': self.proposal.parent,
      'digest': self.proposal.architecture.digest,
      'measurement': self.measurement.to_record(),
      'architecture': json.loads(self.proposal.architecture.to_json()),
    }
    return json.dumps(record, separators=(',', ':'), allow_nan=False)

  @classmethod
  def from_json(cls, text: str) -> Trial:
    """The exact inverse of `to_json`. Raises ValueError where the text is no trial.

    In lines of earlier versions the prediction is found in the record of the measurement.
    """
    try:
      record: dict[str, Any] = json.loads(text)
      architecture = Architecture.from_rows(record['architecture'])
      measurement = Measurement.from_record(record['measurement'])
      earlier = record['measurement'].get(_EARLIER_PREDICTION)
      return cls(
        index=record['index'],
        batch=record['batch'],
        seed=record['seed'],
        proposal=Proposal(
          tuple(record['tokens']), architecture, record['log_prob'], record.get('parent')
        ),
        measurement=measurement,
        reward=record['reward'],
        predicted_accuracy=record.get('predicted_accuracy', earlier),
      )
    except (KeyError, TypeError, ValueError) as error:
      raise ValueError(f'not a trial: {type(error).__name__}: {error}') from error


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
  """Raises ValueError where a figure of a trial is not of the type that it must have.

  A file may hold anything, and so may what others' evaluators and rewards return.
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
  """A seed in [0, 2**31) from a run's seed and a place in it, such as (7, 'trial', 12)."""
  digest = hashlib.sha256(json.dumps(parts).encode()).digest()
  return int.from_bytes(digest[:4], 'big') >> 1


def weights_name(architecture: Architecture, seed: int, terms: Terms, stages: int) -> str:
  """The name of a child's weights: of all that they depend on but the evaluator's settings.

  Args:
    architecture: of the child.
    seed: of its evaluation.
    terms: of its evaluation.
    stages: how far it was trained.
  """
  parts = [architecture.digest, seed, terms.parent, stages]
  return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
