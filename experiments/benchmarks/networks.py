"""Draws random networks that fit a budget, and evaluates them in parallel. Defines no flags."""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Iterator, Sequence

import numpy as np
import tqdm

from rlnas.architecture import Architecture
from rlnas.child.supernet import Supernet
from rlnas.child.train_supernet import train_supernet
from rlnas.cli.build import Setup
from rlnas.cost.cost import estimate_cost
from rlnas.evaluation.executors import WorkerPool
from rlnas.interfaces import Evaluator, StagedEvaluator
from rlnas.spaces.decision import decode
from rlnas.spaces.table import sample_uniform
from rlnas.trial import NO_TERMS, Measurement, Status, Terms, derive_seed


def draw(setup: Setup, seed: int) -> Iterator[Architecture]:
  """Draws networks that fit the budget, uniform over their sequences of choices, without end."""
  rng = np.random.default_rng(seed)
  task, table = setup.dataset.task, setup.table
  while True:
    architecture = decode(table.space, sample_uniform(table, rng))
    if setup.budget.fits(estimate_cost(architecture, task, build=setup.build).resources):
      yield architecture


def draw_different(setup: Setup, seed: int, count: int) -> list[Architecture]:
  """The first `count` different networks of `draw`."""
  found: dict[str, Architecture] = {}
  for architecture in draw(setup, seed):
    found.setdefault(architecture.digest, architecture)
    if len(found) == count:
      break
  return list(found.values())


def evaluate(
  evaluator: Evaluator | StagedEvaluator,
  architectures: Sequence[Architecture],
  seeds: Sequence[int],
  *,
  workers: int,
  title: str,
  terms: Terms = NO_TERMS,
) -> Iterator[tuple[int, Measurement]]:
  """Index and measurement of each network, as they finish. Raises ValueError if one failed."""
  pool = WorkerPool(evaluator, workers=workers)
  bar = tqdm.tqdm(total=len(seeds), unit='network', desc=title, dynamic_ncols=True)
  with contextlib.closing(pool), bar:
    for key, (architecture, seed) in enumerate(zip(architectures, seeds, strict=True)):
      pool.submit(key, architecture, seed=seed, terms=terms)
    for _ in seeds:
      while (arrived := pool.collect(60.0)) is None:
        bar.refresh()
      if arrived[1].status is not Status.COMPLETE:
        raise ValueError(f'network {arrived[0]} has no accuracy: {arrived[1].detail}')
      bar.update()
      yield arrived


def accuracies(
  evaluator: Evaluator,
  architectures: Sequence[Architecture],
  *,
  seed: int,
  workers: int,
  title: str,
) -> list[float]:
  """int8 validation accuracies of all networks, in their order."""
  seeds = [derive_seed(seed, a.digest) for a in architectures]
  found = dict(evaluate(evaluator, architectures, seeds, workers=workers, title=title))
  return [found[key].int8_validation_accuracy or 0.0 for key in range(len(seeds))]


def supernet_of(setup: Setup, *, seed: int, steps: int) -> Supernet:
  """Trains a supernet on networks that fit the budget, a new one for each step."""
  drawn = list(itertools.islice(draw(setup, derive_seed(seed, 'networks')), steps))
  with tqdm.tqdm(total=steps, unit='step', desc='supernet', dynamic_ncols=True) as bar:
    return train_supernet(drawn, setup.dataset, seed=seed, on_step=lambda step, loss: bar.update())
