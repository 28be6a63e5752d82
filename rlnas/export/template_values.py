"""The values of the templates of a bundle, for one network."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from rlnas.budget import Budget
from rlnas.cost.builds import BUILDS, Build
from rlnas.cost.firmware import bundle_bytes
from rlnas.data.dataset import Dataset
from rlnas.export import inputs
from rlnas.export.c_files import Deployment, fnv1a
from rlnas.export.c_text import c_float, comment, lines, rows, without_folders
from rlnas.export.calls import call_values, function_of
from rlnas.export.quantizer import c_type, is_table, probes
from rlnas.export.window_files import window_in

_MARKDOWN = 120  # characters of a line in README.md


# What the bundle's own main.cc says about Arduino, whose folder has its own program.
_SKETCH = """\
 * Arduino: put main.cc, model.*, classify.*, rlnas_model.h, rlnas_operators.h and test_vectors.h
 * into the sketch's folder, beside an .ino file that holds nothing but the #include of the
 * library, such as <TensorFlowLite.h>. setup() prints to the serial port.
 *
"""


def template_values(deployed: Deployment, dataset: Dataset, budget: Budget) -> dict[str, str]:
  """The values of the templates of a bundle; see `rlnas.export.templates`."""
  name, info = deployed.name, deployed.info
  ending, kind, size = inputs.example_type(dataset)
  described = (inputs.order(dataset), inputs.values(name, dataset))
  other, stream = inputs.alternative(name, dataset), ''
  if window_in(dataset) is not None:
    stream = f'For the samples of a stream, `{name}/window.h` keeps the window and fills the input.'
  return {
    'name': name,
    'NAME': name.upper(),
    'title': comment(dataset.name),
    'raw': c_type(dataset),
    'input_text': inputs.wrapped(*described, other, stream, width=_MARKDOWN),
    'input_comment': inputs.wrapped('The input:', *described, indent=' * '),
    **call_values(name, dataset),
    'call': f'{function_of(name, dataset)}{ending}',
    'call_type': kind,
    'call_bytes': f'{size * info.input.size_bytes:,}',
    'place': ', i' if dataset.scaling.is_per_feature else '',
    **_classifiers(name, dataset),
    **_probe_values(deployed, dataset),
    'model_bytes': str(len(deployed.model)),
    'model_hash': str(fnv1a(deployed.model)),
    'model_hex': f'{fnv1a(deployed.model):08x}',
    'source': comment(without_folders(dataset.source) or 'unknown'),
    'src': '.',
    'cc': 'cc',
    'classify_h': 'classify.h',
    'sketch': _SKETCH,
    'vectors_h': 'test_vectors.h',
    **_sizes(deployed),
    'budget_bytes': f'{budget.sram_bytes:,}',
  }


def _classifiers(name: str, dataset: Dataset) -> dict[str, str]:
  """How classify.cc quantizes raw values, and the function for bytes where data are bytes."""
  place = ', i' if dataset.scaling.is_per_feature else ''
  function, calls = function_of(name, dataset), call_values(name, dataset)
  if is_table(dataset):
    quantize = f"""\
    const float raw = input[i] > 255.0f ? 255.0f : input[i] > 0.0f ? input[i] : 0.0f;
    quantized[i] = {name}_quantize(static_cast<uint8_t>(rintf(raw)));"""
  else:
    quantize = f'    quantized[i] = {name}_quantize(input[i]{place});'
  found = {
    'quantize_input': quantize,
    'classify_math': '#include <math.h>\n\n' if is_table(dataset) else '',
    'declare_u8': '',
    'define_u8': '',
  }
  if dataset.x_train.dtype == np.uint8:
    found['declare_u8'] = f"""
/* The same for bytes, with the same result: an array of a quarter of the size. */
int {function}_u8(const uint8_t* input, float* {calls['result']});
"""
    found['define_u8'] = f"""
int {function}_u8(const uint8_t* input, float* {calls['result']}) {{
  const int begun = {name}_begin();
  if (begun != 0) return begun;
  int8_t* quantized = {name}_input();
  for (int i = 0; i < {name.upper()}_INPUT_VALUES; ++i) {{
    quantized[i] = {name}_quantize(input[i]{place});
  }}
  return {calls['finish_call']};
}}
"""
  return found


def _probe_values(deployed: Deployment, dataset: Dataset) -> dict[str, str]:
  """The values that host_test.c quantizes."""
  name, kind, table = deployed.name, c_type(dataset), is_table(dataset)
  raw, places, expected = probes(deployed.info.input, dataset, len(deployed.vectors.inputs))
  literal = str if table else repr if kind == 'double' else c_float
  shown = [literal(value) for value in raw]
  width = 16 if table else 4
  starts = range(0, len(shown), width)
  has_places = dataset.scaling.is_per_feature
  place = f"""\
static const int probe_place[PROBES] = {{
{rows(places)}
}};
"""
  return {
    'quantized': 'uint8_t' if table else kind,
    'quantize_probe': f'{name}_quantize(probe_raw[i]{", probe_place[i]" * has_places})',
    'probes': str(len(raw)),
    'probe_raw': lines('  ' + ', '.join(shown[i : i + width]) + ',' for i in starts),
    'probe_place': place if has_places else '',
    'probe_int8': rows(expected),
  }


def _sizes(deployed: Deployment) -> dict[str, str]:
  """What a firmware takes, for README.md."""
  room, info, vectors = deployed.reserve, deployed.info, deployed.vectors
  build = room.build if room.build.core != 'x86-64' else room.any_build
  tables = 1 if vectors.truth.ndim == 1 else 2  # values come with those that the network gives
  truth = 4 * tables * vectors.truth.size
  return {
    'arena_bytes': str(room.total_bytes),
    'any_arena_bytes': str(room.any_total_bytes),
    'host_arena_bytes': str(room.host_total_bytes),
    'esp32s3_arena_bytes': str(room.esp32s3_total_bytes),
    'planning_bytes': f'{max(0, room.arena.smallest_bytes - room.arena.used_bytes):,}',
    'flash_bytes': f'{len(deployed.model):,}',
    **_code_of(build, info.kinds),
    **_prefixed('library', _code_of(_of_library(build), info.kinds)),
    **_prefixed('esp', _code_of(BUILDS['esp32s3'], info.kinds)),
    'vectors': str(len(vectors.inputs)),
    'vector_bytes': f'{vectors.inputs.size + vectors.outputs.size + truth:,}',
    'latency': deployed.latency or 'not known for this board',
  }


def _code_of(build: Build, kinds: Sequence[str]) -> dict[str, str]:
  """The flash of TFLite Micro beside the model, with a build."""
  code = bundle_bytes(kinds, build.name)
  shown = 'not known' if code is None else f'about {round(code, -3):,} B'
  return {'code_bytes': shown, 'code_build': build.title}


def _prefixed(word: str, values: Mapping[str, str]) -> dict[str, str]:
  return {f'{word}_{key}': text for key, text in values.items()}


def _of_library(build: Build) -> Build:
  """The build of the same core by a library of the Arduino IDE, if there is one."""
  return BUILDS.get(f'{build.name.removesuffix("-release")}-arduino', build)
