from .builds import BUILDS, Build, find_build
from .cost import Cost, estimate_cost
from .firmware import bundle_bytes, firmware_bytes
from .instructions import Range, count_instructions
from .kinds import operator_kinds
from .latency import Timing, instruction_count, latency_ms, timing
from .speed import CORES, Speed
from .window import Window, unwindowed, window_of, with_window
from .workload import workload_of

__all__ = [
  'BUILDS',
  'CORES',
  'Build',
  'Cost',
  'Range',
  'Speed',
  'Timing',
  'Window',
  'bundle_bytes',
  'count_instructions',
  'estimate_cost',
  'find_build',
  'firmware_bytes',
  'instruction_count',
  'latency_ms',
  'operator_kinds',
  'timing',
  'unwindowed',
  'window_of',
  'with_window',
  'workload_of',
]
