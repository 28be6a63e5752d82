from .footprint import ArenaOverflow, Footprint, analytic_footprint
from .inference import int8_accuracy, int8_confusion, int8_logits, tflm_logits
from .inspection import ModelReport, OperatorReport, measure
from .quantize import calibration_rows

__all__ = [
  'ArenaOverflow',
  'Footprint',
  'ModelReport',
  'OperatorReport',
  'analytic_footprint',
  'calibration_rows',
  'int8_accuracy',
  'int8_confusion',
  'int8_logits',
  'measure',
  'tflm_logits',
]
