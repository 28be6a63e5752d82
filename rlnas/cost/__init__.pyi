from .builds import BUILDS, Build, find_build
from .cost import Cost, estimate_cost
from .kernels import SPEEDS, Speed
from .latency import latency_ms

__all__ = [
  'BUILDS',
  'SPEEDS',
  'Build',
  'Cost',
  'Speed',
  'estimate_cost',
  'find_build',
  'latency_ms',
]
