from .cost import Cost, estimate_cost
from .kernels import KERNELS, SPEEDS, Speed
from .latency import latency_ms

__all__ = [
  'KERNELS',
  'SPEEDS',
  'Cost',
  'Speed',
  'estimate_cost',
  'latency_ms',
]
