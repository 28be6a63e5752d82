"""Results of all cells of NAS-Bench-201 that nobody trained, in the file of the real ones."""

import pathlib

import numpy as np

from rlnas.spaces.nasbench201 import OPERATIONS


def invented_table(path: pathlib.Path) -> pathlib.Path:
  """Every cell takes the same time, and test accuracy is validation accuracy and 10 more."""
  ops = np.indices((5,) * 6, np.uint8).reshape(6, -1).T
  validation = (ops * [1, 2, 3, 3, 2, 1]).sum(axis=1) + np.linspace(0, 0.5, len(ops))
  np.savez(
    path,
    op_names=np.array(OPERATIONS),
    ops=ops,
    validation_12=validation,
    test_200=validation + 10,
    train_epoch_seconds=np.ones(len(ops)),
    flops_m=np.ones(len(ops)),
    params_m=np.ones(len(ops)),
  )
  return path
