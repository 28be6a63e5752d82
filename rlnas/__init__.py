"""rlnas designs neural networks for microcontrollers by reinforcement learning.

A *space* says which networks exist, a *strategy* (first of all an LSTM controller trained by
REINFORCE) proposes *architectures* from it, an *evaluator* trains, quantizes and measures each one
as it would run on a microcontroller, a *reward* turns the *measurement* and the board's *budget*
into one number, `run_search` tells the strategy, and the *journal* remembers everything.

Glossary:
  space: a callable that starts a generator of decisions (`rlnas.decision`, `rlnas.spaces`).
  table: a space compiled to integer arrays (`rlnas.table`).
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
  'Controller': 'rlnas.controller',
  'Evolution': 'rlnas.strategies.evolution',
  'ExecutorError': 'rlnas.executors',
  'Imitation': 'rlnas.strategies.imitation',
  'InProcess': 'rlnas.executors',
  'Journal': 'rlnas.journal',
  'OptunaSampler': 'rlnas.strategies.optuna_sampler',
  'PPO': 'rlnas.strategies.ppo',
  'Plan': 'rlnas.rounds',
  'ProgressBar': 'rlnas.monitor',
  'QLearning': 'rlnas.strategies.qlearning',
  'RandomSearch': 'rlnas.strategies.random_search',
  'RayCluster': 'rlnas.ray_executor',
  'Recipe': 'rlnas.child.finish',
  'Reinforce': 'rlnas.strategies.reinforce',
  'SearchError': 'rlnas.search',
  'Screened': 'rlnas.evaluators.screened',
  'TensorBoard': 'rlnas.monitor',
  'Trained': 'rlnas.evaluators.trained',
  'WorkerPool': 'rlnas.executors',
  'best_trial': 'rlnas.report',
  'compile_table': 'rlnas.table',
  'finish_best': 'rlnas.winner',
  'measure': 'rlnas.child.examine',
  'pareto_front': 'rlnas.report',
  'run_search': 'rlnas.search',
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
