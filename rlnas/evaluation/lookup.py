"""Tabular benchmarks: an evaluation looks up a stored result and trains nothing.

The table holds every architecture of a small space, so a whole search takes a fraction of a second.

`NasBench201Data` reads the results of NAS-Bench-201 (Dong & Yang 2020, arXiv:2001.00326).
"""

from __future__ import annotations

import dataclasses
import os
import zipfile
from collections.abc import Hashable, Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.architecture import Architecture
from rlnas.spaces import nasbench201
from rlnas.trial import Measurement, Status, value_digest

FloatArray = npt.NDArray[np.float64]

# In epochs of training: the 12-epoch schedule, and about 1.07 + 0.24 for validating, which the
# published accounting charges too (from the logs of the benchmark).
EVALUATION_EPOCHS = 12 + 1.07 + 0.24


class Lookup:
  """An evaluator that looks measurements up in a table. The seed has no effect."""

  def __init__(self, measurements: Mapping[str, Measurement]) -> None:
    """Stores the measurement of each network, by its digest (`rlnas.trial.value_digest`)."""
    self._measurements = dict(measurements)

  def evaluate(self, value: Hashable, *, seed: int) -> Measurement:
    """Returns the stored measurement; its `seconds` are the time of the original evaluation.

    Raises:
      ValueError: the benchmark lacks the network.
    """
    del seed
    try:
      return self._measurements[value_digest(value)]
    except KeyError:
      name = f'architecture {value.digest[:12]}' if isinstance(value, Architecture) else repr(value)
      raise ValueError(f'{name}: not in the benchmark') from None


@dataclasses.dataclass(frozen=True, eq=False)
class NasBench201Data:
  """Results of NAS-Bench-201 on one data set, for C cells.

  Attributes:
    operations: the operations of each cell, as indices into `nasbench201.OPERATIONS`. [C, 6]
    validation_12: validation accuracy after the 12-epoch schedule, in [0, 1]. [C]
    test_200: test accuracy after the 200-epoch schedule, in [0, 1]. [C]
    seconds: time of a 12-epoch evaluation on the benchmark's GPU. [C]
    macs: multiply-accumulate operations of the whole network (the benchmark calls them FLOPs). [C]
    parameters: number of parameters of the whole network. [C]
  """

  operations: npt.NDArray[np.int64]
  validation_12: FloatArray
  test_200: FloatArray
  seconds: FloatArray
  macs: npt.NDArray[np.int64]
  parameters: npt.NDArray[np.int64]

  @classmethod
  def read(cls, path: str | os.PathLike[str]) -> NasBench201Data:
    """Reads an .npz file.

    Its arrays: op_names, ops (indices into op_names, one row per cell), validation_12 and test_200
    (percent), train_epoch_seconds, flops_m and params_m (millions).

    Raises:
      ValueError: an array is missing, has another shape, names other operations or holds values
        out of range, or a cell occurs twice.
      OSError: the file cannot be read.
    """
    try:
      with np.load(path, allow_pickle=False) as file:
        arrays = {name: file[name] for name in _COLUMNS}
    except (KeyError, ValueError, zipfile.BadZipFile) as error:
      raise ValueError(f'{path}: no NAS-Bench-201 table ({error})') from error
    _check(path, arrays)
    own_index = [nasbench201.OPERATIONS.index(name) for name in arrays['op_names'].tolist()]
    return cls(
      operations=np.array(own_index)[arrays['ops']],
      validation_12=arrays['validation_12'].astype(float) / 100,
      test_200=arrays['test_200'].astype(float) / 100,
      seconds=arrays['train_epoch_seconds'].astype(float) * EVALUATION_EPOCHS,
      macs=np.rint(arrays['flops_m'].astype(float) * 1e6).astype(np.int64),
      parameters=np.rint(arrays['params_m'].astype(float) * 1e6).astype(np.int64),
    )

  def evaluator(self) -> Lookup:
    """An evaluator that looks up 12-epoch results of architectures of `nasbench201.NasBench201`.

    The networks were never quantized or converted, so int8 accuracy and sizes are None.
    """
    return Lookup(
      {
        nasbench201.record([nasbench201.OPERATIONS[i] for i in cell]).digest: Measurement(
          Status.COMPLETE,
          validation_accuracy=validation,
          macs=macs,
          parameters=parameters,
          seconds=seconds,
        )
        for cell, validation, macs, parameters, seconds in zip(
          self.operations.tolist(),
          self.validation_12.tolist(),
          self.macs.tolist(),
          self.parameters.tolist(),
          self.seconds.tolist(),
          strict=True,
        )
      }
    )


_COLUMNS = (
  'op_names',
  'ops',
  'validation_12',
  'test_200',
  'train_epoch_seconds',
  'flops_m',
  'params_m',
)


def _check(path: str | os.PathLike[str], arrays: Mapping[str, npt.NDArray[Any]]) -> None:
  names, ops = arrays['op_names'], arrays['ops']
  if sorted(map(str, names.tolist())) != sorted(nasbench201.OPERATIONS):
    raise ValueError(f'{path}: op_names={names.tolist()}: must be {nasbench201.OPERATIONS}')
  if ops.ndim != 2 or ops.shape[1] != len(nasbench201.EDGES) or ops.dtype.kind not in 'iu':
    raise ValueError(f'{path}: ops has shape {ops.shape} and type {ops.dtype}: must be [C, 6] int')
  if not len(ops) or ops.max() >= len(names) or ops.min() < 0:
    raise ValueError(f'{path}: ops must hold indices in [0, {len(names)}), at least one row')
  if len(np.unique(ops, axis=0)) < len(ops):
    raise ValueError(f'{path}: ops: a cell occurs twice')
  for name in _COLUMNS[2:]:
    column = arrays[name]
    if column.shape != ops.shape[:1] or column.dtype.kind != 'f':
      raise ValueError(f'{path}: {name} has shape {column.shape}: must be {ops.shape[:1]} floats')
    most = 100 if name in ('validation_12', 'test_200') else np.inf
    if not ((column >= 0) & (column <= most) & np.isfinite(column)).all():
      raise ValueError(f'{path}: {name} must lie in [0, {most}]')
