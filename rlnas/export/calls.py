"""The C function that runs the network of a bundle, and its types, by the task of the network.

A classifier has <name>_classify(), which returns the class and gives scores; a regression has
<name>_predict(), which gives values in the unit of the training data; anomaly detection has
<name>_anomaly_score(), which says whether the score is above a threshold. The files have the same
names for all tasks (classify.h, classify.cc), so that build files are the same.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from rlnas.data.anomalies import BUNDLED_RATE
from rlnas.data.dataset import Dataset
from rlnas.data.tasks import Task
from rlnas.export.c_text import c_float, c_string, identifiers, lines
from rlnas.export.deployment import DeploymentInfo

Array = npt.NDArray[Any]


def function_of(name: str, dataset: Dataset) -> str:
  """The name of the C function that takes raw values."""
  return f'{name}_{_FUNCTIONS[dataset.head.task]}'


def outputs_of(name: str, dataset: Dataset) -> str:
  """The macro that holds the number of classes or values."""
  word = 'VALUES' if dataset.head.task is Task.REGRESSION else 'CLASSES'
  return f'{name.upper()}_{word}'


def values_of(name: str, dataset: Dataset) -> str:
  """The macro that holds the number of outputs of the network."""
  if dataset.head.task is Task.ANOMALY:
    return f'{name.upper()}_INPUT_VALUES'
  return outputs_of(name, dataset)


def names_array(name: str, dataset: Dataset) -> str:
  """For model.cc: the names of the classes or values."""
  return f"""\
const char* const {names_of(name, dataset)}[{outputs_of(name, dataset)}] = {{
{lines(f'  {c_string(label)},' for label in dataset.class_names)}
}};"""


def names_of(name: str, dataset: Dataset) -> str:
  """The array of these names."""
  word = 'value' if dataset.head.task is Task.REGRESSION else 'class'
  return f'{name}_{word}_names'


def enumeration(name: str, dataset: Dataset) -> str:
  """For rlnas_model.h: the number of outputs, and a constant for each."""
  upper = name.upper()
  word = 'VALUE' if dataset.head.task is Task.REGRESSION else 'CLASS'
  pairs = zip(identifiers(dataset.class_names), range(dataset.classes), strict=True)
  return f"""\
#define {outputs_of(name, dataset)} {dataset.classes}
enum {{
{lines(f'  {upper}_{word}_{label} = {index},' for label, index in pairs)}
}};"""


def readers(
  name: str, info: DeploymentInfo, dataset: Dataset, threshold: float | None = None
) -> str:
  """For rlnas_model.h: the functions that read int8 outputs.

  Args:
    name: with which symbols begin.
    info: the input and output of the network.
    dataset: the data.
    threshold: score above which an example is anomalous.
  """
  upper, targets = name.upper(), dataset.head.targets
  if threshold is not None:
    return f"""\
/* Scores above it are alarms, as of {BUNDLED_RATE:.0%} of the normal validation examples. */
#define {upper}_THRESHOLD {c_float(threshold)}

/* The score of an example: the mean squared difference of the int8 outputs of the network and of
 * its int8 inputs, in units of the scaled training data. */
static inline float {name}_score(const int8_t* inputs, const int8_t* outputs) {{
  float sum = 0.0f;
  for (int i = 0; i < {upper}_INPUT_VALUES; ++i) {{
    const float given = (float)(outputs[i] - {upper}_OUTPUT_ZERO_POINT) * {upper}_OUTPUT_SCALE;
    const float seen = (float)(inputs[i] - {upper}_INPUT_ZERO_POINT) * {upper}_INPUT_SCALE;
    sum += (given - seen) * (given - seen);
  }}
  return sum / (float){upper}_INPUT_VALUES;
}}"""
  if targets is None:
    return f"""\
/* The real logit of an int8 output. The network has no softmax at its end. */
static inline float {name}_logit(int8_t output) {{
  return (float)(output - {upper}_OUTPUT_ZERO_POINT) * {upper}_OUTPUT_SCALE;
}}

/* The class with the largest output; the first if several are equal. */
static inline int {name}_best_class(const int8_t* outputs) {{
  int best = 0;
  for (int i = 1; i < {upper}_CLASSES; ++i) {{
    if (outputs[i] > outputs[best]) best = i;
  }}
  return best;
}}"""
  steps = np.ravel(targets.scale) * info.output.scale
  return f"""\
/* The value of an int8 output in the unit of the training data; place: which one, from 0. It is
 * offset + deviation * ((output - zero point) * scale), with mean and standard deviation of the
 * training data. */
static inline float {name}_value(int8_t output, int place) {{
  static const float step[{upper}_VALUES] = {{{', '.join(map(c_float, steps))}}};
  static const float offset[{upper}_VALUES] = {{{_floats(targets.offset)}}};
  return offset[place] + (float)(output - {upper}_OUTPUT_ZERO_POINT) * step[place];
}}"""


def _floats(values: object) -> str:
  return ', '.join(map(c_float, np.ravel(np.asarray(values)).tolist()))


def truths(
  name: str, dataset: Dataset, truth: Array, ports: tuple[Array, Array], info: DeploymentInfo
) -> str:
  """For test_vectors.h: the true classes or values, and for a regression the predicted values.

  Args:
    name: with which symbols begin.
    dataset: the data.
    truth: the true classes [N], or the true values [N, K].
    ports: int8 inputs [N, ...] and outputs [N, outputs] of the network.
    info: the input and output of the network.
  """
  upper = name.upper()
  real, seen = (
    (units.astype(np.float64) - port.zero_point) * port.scale
    for units, port in zip(ports[::-1], (info.output, info.input), strict=True)
  )
  given = dataset.head.answers(real, seen)
  if dataset.head.task is not Task.REGRESSION:
    labels = ', '.join(map(str, truth.tolist()))
    scores = f"""

/* The scores of the outputs above. */
static const float {name}_vector_scores[{upper}_VECTORS] = {{{_floats(given)}}};"""
    return f"""\
/* The true classes. The network may be wrong; the device must still give the outputs above. */
static const int {name}_vector_labels[{upper}_VECTORS] = {{{labels}}};{
      scores if dataset.head.task is Task.ANOMALY else ''
    }"""
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
  values = _VALUES[dataset.head.task](name, name.upper())
  return values | {
    'function': function_of(name, dataset),
    'outputs': values_of(name, dataset),
    'labels': outputs_of(name, dataset),
    'results': '1' if dataset.head.task is Task.ANOMALY else outputs_of(name, dataset),
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
 * scores: gets {upper}_CLASSES logits, one per class; NULL if only the class is wanted. */""",
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
    'used': f'{name}_best_class(outputs)',
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
    'used': f'{name}_value(outputs[0], 0)',
  }


def _of_scores(name: str, upper: str) -> dict[str, str]:
  alarm = f'{name}_score({name}_vector_inputs[vector], outputs) > {upper}_THRESHOLD'
  return {
    'verb': 'tells whether an example is anomalous',
    'result': 'score',
    'failing': ': less than 0',
    'call_text': f"""\
/* 1 if an example is anomalous, as its score is above {upper}_THRESHOLD; 0 if it is normal; or one
 * of the errors above.""",
    'result_text': f"""\
 * score: gets the score, see {name}_score(); NULL if only the verdict is wanted. */""",
    'invoke_text': f"""\
 * if it fails. They are valid until the next call of any of these functions. {name}_score() needs
 * them and the input, which must be copied before. */""",
    'finish': f"""\
int8_t seen[{upper}_INPUT_VALUES]; /* a copy, since running the network overwrites its input */

/* Runs the network on its input and compares both. */
int Score(float* score) {{
  const int8_t* input = {name}_input();
  for (int i = 0; i < {upper}_INPUT_VALUES; ++i) seen[i] = input[i];
  const int8_t* outputs = {name}_invoke();
  if (outputs == nullptr) return {upper}_NOT_RUN;
  const float found = {name}_score(seen, outputs);
  if (score != nullptr) *score = found;
  return found > {upper}_THRESHOLD ? 1 : 0;
}}""",
    'finish_call': 'Score(score)',
    'vector_checks': f"""\
    const float score = {name}_score({name}_vector_inputs[v], {name}_vector_outputs[v]);
    const float missed = score - {name}_vector_scores[v];
    const float most = 1e-4f * {name}_vector_scores[v] + 1e-7f; /* as sums of floats round */
    check({name}_vector_difference(v, {name}_vector_outputs[v]) == 0, "outputs of a vector", v);
    check(missed <= most && missed >= -most, "score of a vector", v);
    check({name}_vector_labels[v] >= 0 && {name}_vector_labels[v] < 2, "label of a vector", v);""",
    'name_check': 'class name',
    'vector_line': f"""\
 << ", "
       << {name}_class_names[{alarm} ? 1 : 0]
       << ", truly " << {name}_class_names[{name}_vector_labels[vector]];""",
    'found': f'{alarm} ? 1 : 0',
    'found_word': 'class',
    'found_format': '%s',
    'found_shown': f'{name}_class_names[found]',
    'blinks': 'found + 1',
    'blinks_text': 'twice for an anomaly and once for others',
    'usage_found': f'if (found >= 0) printf("%s\\n", {name}_class_names[found]);',
    'usage_result': (
      'The score is the error with which the network reconstructs its input; above '
      f'`{upper}_THRESHOLD` it is an alarm. If'
    ),
    'usage_read': f'/* {name}_score(copy, outputs) needs a copy of the input from before. */',
    'used': f'{name}_score(a copy of the input from before, outputs)',
  }


_FUNCTIONS = {
  Task.CLASSIFICATION: 'classify',
  Task.REGRESSION: 'predict',
  Task.ANOMALY: 'anomaly_score',
}
_VALUES = {
  Task.CLASSIFICATION: _of_classes,
  Task.REGRESSION: _of_values,
  Task.ANOMALY: _of_scores,
}
