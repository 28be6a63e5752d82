"""Evaluates networks with an earlier version of rlnas, for comparisons in the same run.

As a program it evaluates with whichever rlnas is on PYTHONPATH, and uses only what earlier versions
have, too. It reads a line of JSON: `dataset`, `data_dir`, `examples`, `epochs`, `workers` and
`seed`; then a line for each block, a list of networks. It answers each with a line, a list of the
networks' [accuracy, int8 accuracy].
"""

from __future__ import annotations

import dataclasses
import json
import os
import pathlib
import subprocess
import sys
from collections.abc import Mapping, Sequence

from rlnas.architecture import Architecture
from rlnas.data import loaders
from rlnas.evaluation.executors import WorkerPool
from rlnas.evaluation.trained import Trained


class Before:
  """The pipeline of an earlier version, in a process with a path of its own.

  Args:
    folder: its checkout.
    settings: what the process reads first, see above.

  Raises:
    ValueError: the folder holds no rlnas.
  """

  def __init__(self, folder: str, settings: Mapping[str, object]) -> None:
    root = pathlib.Path(folder).expanduser().resolve()
    if not (root / 'rlnas' / '__init__.py').is_file():
      raise ValueError(f'--before={folder}: must be a checkout, with a folder rlnas')
    self._process = subprocess.Popen(  # noqa: S603  this interpreter and this file
      [sys.executable, __file__],
      env=os.environ | {'PYTHONPATH': str(root)},
      stdin=subprocess.PIPE,
      stdout=subprocess.PIPE,
      text=True,
    )
    self._send(dict(settings))

  def _send(self, value: object) -> None:
    assert self._process.stdin is not None  # noqa: S101  it is a pipe
    self._process.stdin.write(json.dumps(value) + '\n')
    self._process.stdin.flush()

  def evaluate(self, networks: Sequence[Architecture]) -> list[tuple[float, float]]:
    """Returns accuracy and int8 accuracy of each network, in their order."""
    self._send([network.to_json() for network in networks])
    assert self._process.stdout is not None  # noqa: S101  it is a pipe
    line = self._process.stdout.readline()
    if not line:
      raise ValueError('--before: its process ended; see its message above')
    return [(float(exact), float(quantized)) for exact, quantized in json.loads(line)]

  def close(self) -> None:
    """Ends the process."""
    self._process.communicate()


def main() -> None:
  """Answers until the input ends."""
  asked = json.loads(sys.stdin.readline())
  data = loaders.as_images(loaders.load(asked['dataset'], data_dir=asked['data_dir']))
  kept = slice(asked['examples'])
  data = dataclasses.replace(
    data.without_test(), x_train=data.x_train[kept], y_train=data.y_train[kept]
  )
  pool = WorkerPool(Trained(data, epochs=asked['epochs']), workers=asked['workers'])
  for line in sys.stdin:
    networks = [Architecture.from_json(text) for text in json.loads(line)]
    for key, network in enumerate(networks):
      pool.submit(key, network, seed=asked['seed'])
    found: dict[int, list[float | None]] = {}
    while len(found) < len(networks):
      if (arrived := pool.collect(600.0)) is not None:
        key, measured = arrived
        found[key] = [measured.validation_accuracy, measured.int8_validation_accuracy]
        if measured.int8_validation_accuracy is None:
          raise ValueError(f'a trial failed: {measured.detail}')
    print(json.dumps([found[key] for key in range(len(networks))]), flush=True)
  pool.close()


if __name__ == '__main__':
  main()
