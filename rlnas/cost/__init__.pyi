from .builds import BUILDS, Build, find_build
from .cost import Cost, estimate_cost
from .firmware import bundle_bytes, firmware_bytes
from .hearing import Hearing
from .instructions import Range, count_instructions
from .kinds import operator_kinds
from .latency import Timing, instruction_count, latency_ms, timing
from .preprocessing import behind_preprocessing, preprocessing_of, with_preprocessing
from .speed import CORES, Speed
from .window import Window
from .workload import workload_of

__all__ = [
  'BUILDS',
  'CORES',
  'Build',
  'Cost',
  'Hearing',
  'Range',
  'Speed',
  'Timing',
  'Window',
  'behind_preprocessing',
  'bundle_bytes',
  'count_instructions',
  'estimate_cost',
  'find_build',
  'firmware_bytes',
  'instruction_count',
  'latency_ms',
  'operator_kinds',
  'preprocessing_of',
  'timing',
  'with_preprocessing',
  'workload_of',
]
