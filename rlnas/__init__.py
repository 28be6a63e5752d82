"""rlnas designs neural networks for microcontrollers by reinforcement learning.

A *space* says which networks exist, a *strategy* (first of all an LSTM controller trained by
REINFORCE) proposes *architectures* from it, an *evaluator* trains, quantizes and measures each one
as it would run on a microcontroller, a *reward* turns the *measurement* and the board's *budget*
into one number, `run_search` tells the strategy, and the *journal* records every trial.

A whole search, as `rlnas search` runs it, and its results read from its folder:

  winner = rlnas.run(rlnas.SearchConfig(dataset='mnist5k', workdir='runs/search'))
  search = rlnas.load('runs/search')

The same search from its parts, each of which you can replace by your own (docs/own.md):

  data = rlnas.data.load('mnist5k')
  table = rlnas.compile_table(rlnas.Chain())
  board = rlnas.BOARDS['nucleo-l010rb']
  trials = rlnas.run_search(
    rlnas.Reinforce(table, controller=rlnas.Controller(table, seed=0)),
    executor=rlnas.InProcess(rlnas.Trained(data, epochs=4, build=board.build)),
    reward=rlnas.reward.linear_excess,
    budget=board.budget,
    trials=40,
  )
  plan = rlnas.Plan(rlnas.Recipe(epochs=60))
  winner = rlnas.finish_best(trials, data, board.budget, plan=plan, seed=0)
  rlnas.export_model(winner.model, data, board.budget, 'bundle')

Names by topic:
  data: `rlnas.data.load`, `Dataset`, `TaskShape`, `Metric`.
  boards: `BOARDS`, `Board`, `Budget`, `Resources`, `BUILDS`, `measure`, `estimate_cost`, `may_fit`.
  spaces: `Chain`, `MultiBranch`, `NASNet`, `BlockQNN`, `Temporal`, `Recurrent`, `Joint`; to write
    one, `Decision`, `Graph`, `layers`; `compile_table`, `decode`, `mutate`, `sample_uniform`.
  strategies: `Reinforce`, `ZophLe`, `PPO`, `QLearning`, `Evolution`, `LocalSearch`,
    `OptunaSampler`, `RandomSearch`, `Admitting`, `Controller`.
  evaluation: `Trained`, `Screened`, `Cached`; `InProcess`, `WorkerPool`, `RayCluster`.
  results: `Journal`, `read_journal`, `to_dataframe`, `best_trial`, `pareto_front`, `Progress`.
  finishing: `Plan`, `Recipe`, `finish_best`, `Winner`, `export_model`, `write_winner`.

Glossary:
  space: a callable that starts a generator of decisions (`rlnas.spaces.decision`).
  table: a space compiled to integer arrays (`rlnas.spaces.table`).
  tokens: the genotype of a network, one choice index per decision.
  architecture: the phenotype of a network, a flat graph of operations.
  controller: the LSTM policy over a table.
  flash: bytes of the .tflite file.
  SRAM: bytes of the smallest tensor arena that loads on the board.
  trial: a proposed network with its measurement and reward.
  finalist: a network that is trained fully after the search.

Importing rlnas loads neither TensorFlow nor any module: names load when first used.
"""

from __future__ import annotations

import lazy_loader

__version__ = '0.2.0.dev0'
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
