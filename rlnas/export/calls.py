"""The one call of a bundle and what surrounds it, by the task of the network.

A classifier has <name>_classify(), which returns the class and gives scores; a regression has
<name>_predict(), which gives values in the unit of the training data. The files have the same names
for all tasks (classify.h, classify.cc), so that build files are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.dataset import Dataset
from rlnas.data.tasks import Task
from rlnas.export.c_text import c_float, c_string, identifiers, lines
from rlnas.export.deployment import Port

Array = npt.NDArray[Any]


def function_of(name: str, dataset: Dataset) -> str:
  """The name of the C function that takes raw values."""
  return f'{name}_{"classify" if dataset.head.task is Task.CLASSIFICATION else "predict"}'


def outputs_of(name: str, dataset: Dataset) -> str:
  """The macro that holds the number of outputs."""
  word = 'CLASSES' if dataset.head.task is Task.CLASSIFICATION else 'VALUES'
  return f'{name.upper()}_{word}'


def names_array(name: str, dataset: Dataset) -> str:
  """For model.cc: the names of the classes or values."""
  return f"""\
const char* const {names_of(name, dataset)}[{outputs_of(name, dataset)}] = {{
{lines(f'  {c_string(label)},' for label in dataset.class_names)}
}};"""


def names_of(name: str, dataset: Dataset) -> str:
  """The array of these names."""
  word = 'class' if dataset.head.task is Task.CLASSIFICATION else 'value'
  return f'{name}_{word}_names'


def enumeration(name: str, dataset: Dataset) -> str:
  """For rlnas_model.h: the number of outputs, and a constant for each."""
  upper = name.upper()
  word = 'CLASS' if dataset.head.task is Task.CLASSIFICATION else 'VALUE'
  pairs = zip(identifiers(dataset.class_names), range(dataset.classes), strict=True)
  return f"""\
#define {outputs_of(name, dataset)} {dataset.classes}
enum {{
{lines(f'  {upper}_{word}_{label} = {index},' for label, index in pairs)}
}};"""


def readers(name: str, port: Port, dataset: Dataset) -> str:
  """For rlnas_model.h: the functions that read int8 outputs.

  Args:
    name: with which symbols begin.
    port: the output of the network.
    dataset: the data.
  """
  upper, targets = name.upper(), dataset.head.targets
  if targets is None:
    return f"""\
/* The real logit of an int8 output. The network has no softmax at its end. */
static inline float {name}_logit(int8_t output) {{
  return (float)(output - {upper}_OUTPUT_ZERO_POINT) * {upper}_OUTPUT_SCALE;
}}

/* The class with the largest output; of equal ones the first. */
static inline int {name}_best_class(const int8_t* outputs) {{
  int best = 0;
  for (int i = 1; i < {upper}_CLASSES; ++i) {{
    if (outputs[i] > outputs[best]) best = i;
  }}
  return best;
}}"""
  steps = np.ravel(targets.scale) * port.scale
  return f"""\
/* The value of an int8 output in the unit of the training data; place: which one, from 0. It is
 * offset + deviation * ((output - zero point) * scale), with mean and deviation of the training. */
static inline float {name}_value(int8_t output, int place) {{
  static const float step[{upper}_VALUES] = {{{', '.join(map(c_float, steps))}}};
  static const float offset[{upper}_VALUES] = {{{_floats(targets.offset)}}};
  return offset[place] + (float)(output - {upper}_OUTPUT_ZERO_POINT) * step[place];
}}"""


def _floats(values: object) -> str:
  return ', '.join(map(c_float, np.ravel(np.asarray(values)).tolist()))


def truths(name: str, dataset: Dataset, truth: Array, outputs: Array, port: Port) -> str:
  """For test_vectors.h: what is true of the examples, and of values what the network says.

  Args:
    name: with which symbols begin.
    dataset: the data.
    truth: the true classes [N], or the true values [N, K].
    outputs: int8 outputs of the network for them. [N, outputs]
    port: the output of the network.
  """
  upper = name.upper()
  if dataset.head.task is Task.CLASSIFICATION:
    labels = ', '.join(map(str, truth.tolist()))
    return f"""\
/* The true classes. The network may be wrong; the device must still give the outputs above. */
static const int {name}_vector_labels[{upper}_VECTORS] = {{{labels}}};"""
  real = (outputs.astype(np.float64) - port.zero_point) * port.scale
  given = dataset.head.answers(real)
  wrong = 'The network may be wrong; the device must still give the outputs above.'
  tables = (
    (f'The true values. {wrong}', truth),
    ('The values of the outputs above, as the training computes them.', given),
  )
  return '\n\n'.join(
    f"""\
/* {text} */
static const float {name}_vector_{word}[{upper}_VECTORS][{upper}_VALUES] = {{
{lines(f'  {{{_floats(row)}}},' for row in table)}
}};"""
    for word, (text, table) in zip(('truth', 'values'), tables, strict=True)
  )


def call_values(name: str, dataset: Dataset) -> Mapping[str, str]:
  """The values of the templates that depend on the task."""
  found = _of_classes if dataset.head.task is Task.CLASSIFICATION else _of_values
  values = found(name, name.upper())
  return values | {
    'function': function_of(name, dataset),
    'outputs': outputs_of(name, dataset),
    'names': names_of(name, dataset),
  }


def _of_classes(name: str, upper: str) -> dict[str, str]:
  return {
    'verb': 'classifies an example',
    'result': 'scores',
    'failing': ': never a class, as classes begin at 0',
    'call_text': """\
/* The class of an example, or one of the errors above.""",
    'result_text': f"""\
 * scores: gets {upper}_CLASSES logits, one a class; NULL if only the class is wanted. */""",
    'invoke_text': f"""\
 * if it fails. They are valid until the next call of any of these functions. {name}_best_class()
 * names their class, {name}_logit() their scores. */""",
    'finish': f"""\
/* Runs the network on its input. */
int Classify(float* scores) {{
  const int8_t* outputs = {name}_invoke();
  if (outputs == nullptr) return {upper}_NOT_RUN;
  if (scores != nullptr) {{
    for (int i = 0; i < {upper}_CLASSES; ++i) scores[i] = {name}_logit(outputs[i]);
  }}
  return {name}_best_class(outputs);
}}""",
    'finish_call': 'Classify(scores)',
    'vector_checks': f"""\
    const int label = {name}_vector_labels[v];
    const int best = {name}_best_class({name}_vector_outputs[v]);
    check({name}_vector_difference(v, {name}_vector_outputs[v]) == 0, "outputs of a vector", v);
    check(label >= 0 && label < {upper}_CLASSES, "label of a vector", v);
    for (int i = 0; i < {upper}_CLASSES; ++i) {{
      const float logit = {name}_logit({name}_vector_outputs[v][i]);
      check(logit <= {name}_logit({name}_vector_outputs[v][best]), "best class of a vector", v);
    }}""",
    'name_check': 'class name',
    'vector_line': f"""\
 << ", class "
       << {name}_class_names[{name}_best_class(outputs)] << ", true class "
       << {name}_class_names[{name}_vector_labels[vector]];""",
    'found': f'{name}_best_class(outputs)',
    'found_word': 'class',
    'found_format': '%s',
    'found_shown': f'{name}_class_names[found]',
    'blinks': 'found + 1',
    'blinks_text': 'class + 1 times',
    'usage_found': f'if (found >= 0) printf("%s\\n", {name}_class_names[found]);',
    'usage_result': 'Scores are logits: larger is more likely. `scores` may be NULL. If',
    'usage_read': f'const int found = {name}_best_class(outputs);',
  }


def _of_values(name: str, upper: str) -> dict[str, str]:
  return {
    'verb': 'gives the values of an example',
    'result': 'results',
    'failing': ': less than 0',
    'call_text': """\
/* Gives the values of an example: 0, or one of the errors above.""",
    'result_text': f"""\
 * results: gets the {upper}_VALUES values, in the unit of the training data. */""",
    'invoke_text': f"""\
 * if it fails. They are valid until the next call of any of these functions. {name}_value() gives
 * the value of one. */""",
    'finish': f"""\
/* Runs the network on its input. */
int Predict(float* results) {{
  const int8_t* outputs = {name}_invoke();
  if (outputs == nullptr) return {upper}_NOT_RUN;
  for (int i = 0; i < {upper}_VALUES; ++i) results[i] = {name}_value(outputs[i], i);
  return 0;
}}""",
    'finish_call': 'Predict(results)',
    'vector_checks': f"""\
    check({name}_vector_difference(v, {name}_vector_outputs[v]) == 0, "outputs of a vector", v);
    for (int i = 0; i < {upper}_VALUES; ++i) {{
      /* Half a step of the output at most, as float rounds. */
      const float value = {name}_value({name}_vector_outputs[v][i], i);
      const float step = {name}_value(1, i) - {name}_value(0, i);
      const float missed = value - {name}_vector_values[v][i];
      check(missed <= 0.5f * step && missed >= -0.5f * step, "value of a vector", v);
    }}""",
    'name_check': 'name of a value',
    'vector_line': """\
 << ", first output "
       << static_cast<int>(outputs[0]);""",
    'found': 'outputs[0]',
    'found_word': 'first output',
    'found_format': '%d',
    'found_shown': 'found',
    'blinks': '1',
    'blinks_text': 'once for each',
    'usage_found': f"""\
if (found == 0) {{
  for (int i = 0; i < {upper}_VALUES; ++i) printf("%s %f\\n", {name}_value_names[i], results[i]);
}}""",
    'usage_result': 'Values are in the unit of the training data. If',
    'usage_read': f'const float first = {name}_value(outputs[0], 0);',
  }
