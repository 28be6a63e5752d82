"""rlnas designs neural networks for microcontrollers by reinforcement learning.

A *space* says which networks exist, a *strategy* (first of all an LSTM controller trained by
REINFORCE) proposes *architectures* from it, an *evaluator* trains, quantizes and measures each one
as it would run on a microcontroller, a *reward* turns the *measurement* and the board's *budget*
into one number, `run_search` tells the strategy, and the *journal* remembers everything.

Glossary:
  space: a callable that starts a generator of decisions (`rlnas.spaces.decision`).
  table: a space compiled to integer arrays (`rlnas.spaces.table`).
  tokens: the genotype, one choice index a decision. architecture: the phenotype, a flat graph.
  controller: the LSTM policy over a table. child: a network that a search trains.
  flash: bytes of the .tflite file. SRAM: the tensor arena that TFLite Micro allocates.
  trial: a proposal with its measurement and reward.

Importing rlnas loads neither TensorFlow nor any module: names load when first used.
"""

from __future__ import annotations

import lazy_loader

__version__ = '0.2.0.dev0'
__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
