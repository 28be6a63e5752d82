"""rlnas designs neural networks for microcontrollers by reinforcement learning.

A *space* says which networks exist, a *strategy* (first of all an LSTM controller trained by
REINFORCE) proposes *architectures* from it, an *evaluator* trains, quantizes and measures each one
as it would run on a microcontroller, a *reward* turns the *measurement* and the board's *budget*
into one number, `run_search` tells the strategy, and the *journal* remembers everything.

Glossary:
  space: a callable that starts a generator of decisions (`rlnas.spaces.decision`, `rlnas.spaces`).
  table: a space compiled to integer arrays (`rlnas.spaces.table`).
  tokens: the genotype, one choice index a decision. architecture: the phenotype, a flat graph.
  controller: the LSTM policy over a table. child: a network that a search trains.
  flash: bytes of the .tflite file. SRAM: the tensor arena that TFLite Micro allocates.
  trial: a proposal with its measurement and reward.

Importing rlnas loads neither TensorFlow nor any module: names load when first used.
"""

from __future__ import annotations

import importlib
from typing import Any

_HOMES = {
  'Architecture': 'rlnas.architecture',
  'BOARDS': 'rlnas.board',
  'Board': 'rlnas.board',
  'Budget': 'rlnas.board',
  'Chain': 'rlnas.spaces.chain',
  'Controller': 'rlnas.strategies.controller',
  'Evolution': 'rlnas.strategies.evolution',
  'ExecutorError': 'rlnas.evaluation.executors',
  'Imitation': 'rlnas.strategies.imitation',
  'InProcess': 'rlnas.evaluation.executors',
  'Journal': 'rlnas.search.journal',
  'OptunaSampler': 'rlnas.strategies.optuna_sampler',
  'PPO': 'rlnas.strategies.ppo',
  'Plan': 'rlnas.finishing.plan',
  'ProgressBar': 'rlnas.reports.tensorboard',
  'QLearning': 'rlnas.strategies.qlearning',
  'RandomSearch': 'rlnas.strategies.random_search',
  'RayCluster': 'rlnas.evaluation.ray_executor',
  'Recipe': 'rlnas.finishing.recipe',
  'Reinforce': 'rlnas.strategies.reinforce',
  'SearchError': 'rlnas.search.loop',
  'Screened': 'rlnas.evaluation.screened',
  'TensorBoard': 'rlnas.reports.tensorboard',
  'Trained': 'rlnas.evaluation.trained',
  'WorkerPool': 'rlnas.evaluation.executors',
  'best_trial': 'rlnas.pareto',
  'compile_table': 'rlnas.spaces.table',
  'finish_best': 'rlnas.finishing.winner',
  'measure': 'rlnas.tflite.inspection',
  'pareto_front': 'rlnas.pareto',
  'run_search': 'rlnas.search.loop',
}
_MODULES = ('datasets', 'export', 'journal', 'report', 'reward', 'spaces', 'strategies')

__all__ = [*_HOMES, *_MODULES]
__version__ = '0.1.0'


def __getattr__(name: str) -> Any:
  if name in _HOMES:
    return getattr(importlib.import_module(_HOMES[name]), name)
  if name in _MODULES:
    return importlib.import_module(f'rlnas.{name}')
  raise AttributeError(f'module {__name__!r} has no attribute {name!r}')


def __dir__() -> list[str]:
  return sorted([*globals(), *__all__])
