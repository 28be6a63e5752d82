"""Describes the values that a firmware writes to a network's input: sentences and C macros."""

from __future__ import annotations

import math
import textwrap

import numpy as np

from rlnas.data.dataset import Dataset
from rlnas.data.description import as_sequence
from rlnas.export.calls import function_of
from rlnas.export.quantizer import c_type, is_table


def order(dataset: Dataset) -> str:
  """The order of the values of an example."""
  sequence = as_sequence(dataset)
  if sequence is not None:
    steps, features = sequence
    ordered = 'in the order that the training data had.'
    if dataset.window is not None:
      ordered = f'what window.h makes of the samples of a sensor: {dataset.window}.'
    if steps == 1:
      return f'{features} values, {ordered}'
    return (
      f'{steps} time steps of {features} values each: the oldest step first; within a step the '
      f'values {ordered}'
    )
  height, width, channels = dataset.input_shape
  text = f'{height} rows of {width} pixels of {channels} '
  text += 'channel' if channels == 1 else 'channels'
  text += ', row by row from the top left'
  if channels == 1:
    return f'{text}.'
  text += '; the channels of a pixel stand side by side, in the order of the training data'
  return f'{text} (red, green, blue if these were color pictures).' if channels == 3 else f'{text}.'


def values(name: str, dataset: Dataset) -> str:
  """The range and unit of the values, and how values outside are treated."""
  if dataset.x_train.dtype == np.uint8:
    text = 'Each value is 0 to 255 as in the training data, not 0 to 1. '
    if is_table(dataset):
      return (
        text + 'Of floats, fractions are rounded; below 0 and NaN become 0, above 255 becomes 255.'
      )
  else:
    low, high = (f'{float(f(dataset.x_train)):.6g}' for f in (np.min, np.max))
    text = 'Each value is raw, in the unit of the training data, where they lay between '
    text += f'{low} and {high}: {name}_quantize() subtracts and divides as the training did. '
  limit = dataset.scaling.limit
  if limit is not None:
    text += f'Scaled values beyond {limit:g} or -{limit:g} become that limit. '
  return text + 'What is out of the range of int8 then saturates; NaN becomes the smallest value.'


def macros(upper: str, dataset: Dataset) -> str:
  """C macros of the dimensions of an example."""
  sequence = as_sequence(dataset)
  if sequence is None:
    pairs = zip(('HEIGHT', 'WIDTH', 'CHANNELS'), dataset.input_shape, strict=True)
  else:
    pairs = zip(('STEPS', 'FEATURES'), sequence, strict=True)
  return '\n'.join(f'#define {upper}_INPUT_{name} {side}' for name, side in pairs)


def example_type(dataset: Dataset) -> tuple[str, str, int]:
  """The function that takes an example in the least memory: its ending, its C type and bytes."""
  if dataset.x_train.dtype == np.uint8:
    return '_u8', 'uint8_t', 1
  kind = c_type(dataset)
  return '', kind, 8 if kind == 'double' else 4


def alternative(name: str, dataset: Dataset) -> str:
  """A sentence about floats in place of bytes; '' if the data are not bytes."""
  if dataset.x_train.dtype != np.uint8:
    return ''
  size = 4 * math.prod(dataset.input_shape)
  return f'`{function_of(name, dataset)}()` takes the same values as floats, which are {size:,} B.'


def wrapped(*texts: str, indent: str = '', width: int = 100) -> str:
  """Sentences as lines of at most so many characters."""
  text = ' '.join(filter(None, texts))
  return '\n'.join(textwrap.wrap(text, width, initial_indent=indent, subsequent_indent=indent))
