"""The C files of a bundle: they compile, hold the model to the byte, and say what TFLM gives."""

import dataclasses
import itertools
import pathlib
import re
import subprocess
import sys

import numpy as np
import pytest

from rlnas.architecture import TaskShape
from rlnas.board import BOARDS
from rlnas.budget import Budget
from rlnas.cost.builds import BUILDS, HOST
from rlnas.data.dataset import Dataset
from rlnas.data.scaling import PIXELS, Scaling
from rlnas.evaluation.untrained import convert_untrained
from rlnas.export.bundle import deployment, export_model, write_c_files
from rlnas.export.c_files import constants
from rlnas.export.c_text import c_string, comment, identifiers, without_folders
from rlnas.export.deployment import inspect, reserve
from rlnas.export.operators import RESOLVER_METHODS
from rlnas.spaces import NASNet, Recurrent, Temporal, chain, joint, multibranch
from rlnas.spaces.decision import decode
from rlnas.spaces.table import compile_table, sample_uniform
from rlnas.tflite.footprint import measure
from rlnas.tflite.inference import int8_logits, tflm_logits
from tests.disk import full_disk
from tests.tflite.foreign import convolutional, of_keras

pytestmark = pytest.mark.slow

BUDGET = Budget(flash_bytes=65536, sram_bytes=16384)
# What a stranger may call a class: quotes, backslashes, trigraphs, comments, markup, other scripts.
NAMES = (
  'T-shirt/top',
  '"quoted" \\',
  '??/ ??)',
  '*/ int x; /*',
  '<b>&amp;',
  'größe\n5',
  '犬',
  '犬2',
)
PROGRAM = """\
#include <stdio.h>
#include "model.h"
#include "rlnas_model.h"
#include "test_vectors.h"
int main(void) {
  for (unsigned i = 0; i < rlnas_model_bytes; ++i) printf("%d ", rlnas_model[i]);
  printf("\\n");
  for (int v = 0; v < RLNAS_VECTORS; ++v)
    for (int i = 0; i < RLNAS_INPUT_BYTES; ++i) printf("%d ", rlnas_vector_inputs[v][i]);
  printf("\\n");
  for (int v = 0; v < RLNAS_VECTORS; ++v)
    for (int i = 0; i < RLNAS_CLASSES; ++i) printf("%d ", rlnas_vector_outputs[v][i]);
  printf("\\n");
  for (int v = 0; v < 256; ++v) printf("%d ", rlnas_quantize((uint8_t)v));
  printf("\\n");
  for (int v = 0; v < RLNAS_VECTORS; ++v) printf("%d ", rlnas_best_class(rlnas_vector_outputs[v]));
  printf("\\n%d ", (int)((unsigned long)rlnas_model % 16));
  printf("%d %d\\n", RLNAS_ARENA_BYTES, RLNAS_INPUT_VALUES);
  for (int c = 0; c < RLNAS_CLASSES; ++c) printf("%s%c", rlnas_class_names[c], 0);
  return 0;
}
"""


def images(scale: float = 255.0, **changes) -> Dataset:
  rng = np.random.default_rng(0)
  x = rng.integers(0, 256, (40, 8, 8, 1), dtype=np.uint8)
  y = np.arange(40, dtype=np.int32) % len(NAMES)
  dataset = Dataset('toy */ "x"', x, y, x, y, x, y, NAMES, Scaling(0.0, scale), source='made up \\')
  return dataclasses.replace(dataset, **changes)


def network(space=None, seed=0, shape=(8, 8, 1)) -> bytes:
  space = chain.Chain(max_depth=3) if space is None else space
  tokens = sample_uniform(compile_table(space), np.random.default_rng(seed))
  return convert_untrained(decode(space, tokens), TaskShape(shape, len(NAMES)), seed=seed)


# As TFLite Micro is compiled with, and more.
WARNINGS = (
  *('-Wall', '-Wextra', '-Wpedantic', '-Wdouble-promotion', '-Wconversion', '-Wfloat-conversion'),
  *('-Wshadow', '-Werror'),
)


def compiled(folder: pathlib.Path, compiler: tuple[str, ...]) -> list[bytes]:
  """Compiles the host program with the bundle's files, runs it, and returns its lines."""
  program = folder / 'host'
  files = [folder / 'host.c', *sorted(folder.rglob('model.cc'))]
  command = [*compiler, *WARNINGS, '-I', folder, *files, '-o', program, '-lm']
  subprocess.run(command, check=True, timeout=120)
  return subprocess.run([program], check=True, capture_output=True, timeout=60).stdout.split(
    b'\n', 6
  )


def numbers(line: bytes) -> list[int]:
  return list(map(int, line.split()))


COMPILERS = {
  'g++': ('g++', '-std=c++17', '-x', 'c++'),
  'gcc': ('gcc', '-std=c11', '-x', 'c'),
}


@pytest.mark.parametrize('compiler', COMPILERS.values(), ids=list(COMPILERS))
@pytest.mark.parametrize('scale', [255.0, 16.0, 100.0])
def test_a_host_program_reads_what_the_files_hold(compiler, scale, tmp_path):
  model, dataset = network(), images(scale)
  deployed = deployment(model, dataset)
  write_c_files(deployed, dataset, BUDGET, tmp_path)
  (tmp_path / 'host.c').write_text(PROGRAM)
  array, inputs, outputs, quantized, best, rest, names = compiled(tmp_path, compiler)
  assert bytes(numbers(array)) == model
  vectors = np.array(numbers(inputs), np.int8).reshape(-1, 8, 8, 1)
  assert np.array_equal(vectors, deployed.vectors.inputs)
  as_read = Scaling(deployed.info.input.zero_point, 1 / deployed.info.input.scale)
  given = tflm_logits(model, vectors.astype(np.float32), scaling=as_read)
  assert numbers(outputs) == given.ravel().tolist()
  assert numbers(best) == given.argmax(axis=1).tolist()
  port = deployed.info.input
  seen = np.rint(np.arange(256) / scale / port.scale + port.zero_point)
  assert numbers(quantized) == np.clip(seen, -128, 127).tolist()
  assert numbers(rest) == [0, deployed.reserve.host_total_bytes, 64]
  assert names.decode().split('\0')[:-1] == list(NAMES)


def test_vectors_are_validation_examples_as_the_network_reads_them():
  model, dataset = network(), images()
  vectors = deployment(model, dataset).vectors
  assert vectors.interpreter == 'TFLite Micro'
  assert vectors.truth.tolist() == list(range(len(NAMES)))
  raw = dataset.x_val[: len(NAMES)]
  assert np.array_equal(vectors.outputs, tflm_logits(model, raw, scaling=PIXELS))
  assert np.abs(vectors.outputs - int8_logits(model, raw, scaling=PIXELS)).max() <= 1


def test_float_data_with_an_offset_compile_too(tmp_path):
  rng = np.random.default_rng(0)
  x = rng.normal(3, 2, (40, 8, 8, 1)).astype(np.float32)
  dataset = images(x_train=x, x_val=x, x_test=x, scaling=Scaling(3.25, 2.0))
  model = network()
  deployed = deployment(model, dataset)
  write_c_files(deployed, dataset, BUDGET, tmp_path)
  (tmp_path / 'host.c').write_text(PROGRAM.replace('(uint8_t)v', '(float)v'))
  lines = compiled(tmp_path, COMPILERS['g++'])
  port = deployed.info.input
  seen = np.rint((np.arange(256) - 3.25) / 2.0 / port.scale + port.zero_point)
  assert numbers(lines[3]) == np.clip(seen, -128, 127).tolist()
  first = deployed.vectors.inputs[0].ravel()
  seen = np.rint((x[0].astype(np.float64).ravel() - 3.25) / 2.0 / port.scale + port.zero_point)
  assert np.array_equal(first, np.clip(seen, -128, 127))


def test_features_with_offsets_of_their_own_compile_too(tmp_path):
  rng = np.random.default_rng(0)
  offset = np.linspace(-20, 5, 8, dtype=np.float32)[:, None]
  scale = np.geomspace(0.1, 30, 8, dtype=np.float32)[:, None]
  x = (offset + scale * rng.normal(size=(40, 8, 8, 1))).astype(np.float32)
  dataset = images(x_train=x, x_val=x, x_test=x, scaling=Scaling(offset, scale))
  deployed = deployment(network(), dataset)
  write_c_files(deployed, dataset, BUDGET, tmp_path)
  raw = ', '.join(f'{value!r}f' for value in x[0].ravel().tolist())
  (tmp_path / 'host.c').write_text(
    f"""#include <stdio.h>
#include "rlnas_model.h"
static const float raw[] = {{{raw}}};
int main(void) {{
  for (int i = 0; i < RLNAS_INPUT_BYTES; ++i) printf("%d ", rlnas_quantize(raw[i], i));
  printf("\\n");
  return 0;
}}
"""
  )
  for compiler in COMPILERS.values():
    line = compiled(tmp_path, compiler)[0]
    assert numbers(line) == deployed.vectors.inputs[0].ravel().tolist()


@pytest.mark.parametrize(
  ('dtype', 'count'),
  [
    *((np.float32, 8), (np.float64, 1)),
    *(
      pytest.param(*case, marks=pytest.mark.nightly) for case in ((np.float32, 1), (np.float64, 8))
    ),
  ],
)
def test_values_beyond_the_limit_and_time_stamps_give_the_int8_of_python(dtype, count, tmp_path):
  rng = np.random.default_rng(0)
  start = 1.7e9 if dtype == np.float64 else 5.0
  offset = (start + rng.uniform(-3, 3, (count, 1))).astype(dtype)
  scale = np.geomspace(0.1, 30, count)[:, None].astype(dtype)
  of_scaling = (float(offset[0, 0]), float(scale[0, 0])) if count == 1 else (offset, scale)
  x = (offset + scale * rng.normal(0, 3, (40, 8, 8, 1))).astype(dtype)
  limited = Scaling(*of_scaling, 2.5)
  dataset = images(x_train=x, x_val=x, x_test=x, scaling=limited)
  model = network()
  deployed = deployment(model, dataset)
  write_c_files(deployed, dataset, BUDGET, tmp_path)
  extremes = np.array([-1e30, 1e30, -3e6, 3e6, 0, 1e9, -40, 40] * 8).reshape(1, 8, 8, 1)
  raw = np.concatenate((x[:5], extremes.astype(dtype)))
  suffix = 'f' * (dtype == np.float32)
  values = ', '.join(f'{value!r}{suffix}' for value in raw.ravel().tolist())
  call = 'rlnas_quantize(raw[i])' if count == 1 else 'rlnas_quantize(raw[i], i % 64)'
  (tmp_path / 'host.c').write_text(
    f"""#include <stdio.h>
#include "rlnas_model.h"
static const {'float' if suffix else 'double'} raw[] = {{{values}}};
int main(void) {{
  for (int i = 0; i < {raw.size}; ++i) printf("%d ", {call});
  printf("\\n");
  return 0;
}}
"""
  )
  read = inspect(model).input
  steps = np.rint(limited.apply(raw.astype(np.float64)) / read.scale + read.zero_point)
  expected = np.clip(steps, -128, 127).astype(np.int8).ravel()
  assert len(np.unique(expected)) > 20
  for compiler in COMPILERS.values():
    assert numbers(compiled(tmp_path, compiler)[0]) == expected.tolist()


@pytest.mark.parametrize(('dtype', 'offset'), [(np.float32, 1000.123), (np.float64, 1.7e9)])
def test_only_halfway_between_two_the_int8_of_float_may_be_the_other(dtype, offset, tmp_path):
  """The raw values are near all borders of the int8 values, on both sides."""
  limited = Scaling(offset, 0.7, 2.5)
  model = network()
  read = inspect(model).input
  sides = np.array([-0.1, -1e-3, -1e-4, -1e-5, 1e-5, 1e-4, 1e-3, 0.1])
  steps = np.arange(-128, 128)[:, None] + 0.5 + sides
  raw = ((steps.ravel() - read.zero_point) * read.scale * 0.7 + offset).astype(dtype)
  x = np.resize(raw, (40, 8, 8, 1))
  dataset = images(x_train=x, x_val=x, x_test=x, scaling=limited)
  write_c_files(deployment(model, dataset), dataset, BUDGET, tmp_path)
  suffix = 'f' * (dtype == np.float32)
  (tmp_path / 'host.c').write_text(
    f"""#include <stdio.h>
#include "rlnas_model.h"
static const {'float' if suffix else 'double'} raw[] = {{
{', '.join(f'{value!r}{suffix}' for value in raw.tolist())}}};
int main(void) {{
  for (int i = 0; i < {raw.size}; ++i) printf("%d ", rlnas_quantize(raw[i]));
  printf("\\n");
  return 0;
}}
"""
  )
  exact = limited.apply(raw.astype(np.float64)) / read.scale + read.zero_point
  expected = np.clip(np.rint(exact), -128, 127)
  found = np.array(numbers(compiled(tmp_path, COMPILERS['gcc'])[0]))
  is_halfway = np.abs(exact - np.floor(exact) - 0.5) < 1e-3
  assert np.array_equal(found[~is_halfway], expected[~is_halfway])
  assert np.abs(found - expected).max() <= 1


def test_models_of_two_names_are_one_program(tmp_path):
  models = {'front_door': network(seed=1), 'rlnas': network(seed=2)}
  for name, model in models.items():
    title = name.replace('_', ' ').capitalize()
    export_model(model, images(), BUDGET, tmp_path / name, name=title)
  includes = [
    f'#include "{name}/{file}"' for name in models for file in ('model.h', 'test_vectors.h')
  ]
  (tmp_path / 'host.c').write_text(
    '\n'.join(['#include <stdio.h>', *includes])
    + '\nint main(void) {\n'
    + ''.join(
      f'  printf("%u %d %d %s\\n", {name}_model_bytes, {name}_quantize(200), '
      f'{name.upper()}_ARENA_BYTES, {name}_class_names[{name}_vector_labels[0]]);\n'
      for name in models
    )
    + '  return 0;\n}\n'
  )
  for compiler in COMPILERS.values():
    lines = compiled(tmp_path, compiler)
    for line, model in zip(lines, models.values(), strict=False):
      info = inspect(model)
      pixel = round(200 / 255 / info.input.scale + info.input.zero_point)
      arena = reserve(info).host_total_bytes
      assert line.decode() == f'{len(model)} {pixel} {arena} {NAMES[0]}'
  for path in (tmp_path / 'front_door').iterdir():
    named = re.sub(r'rlnas_(model|operators)\.h', '', path.read_text(errors='replace'))
    assert path.name in ('model.tflite', 'LICENSE') or 'rlnas' not in named.lower()


def test_a_name_without_a_letter_in_front_is_refused(tmp_path):
  with pytest.raises(ValueError, match="name='2 doors': must begin with a letter"):
    export_model(network(), images(), BUDGET, tmp_path, name='2 doors')
  assert not list(tmp_path.iterdir())


def test_operators_are_registered_one_by_one(tmp_path):
  """Here with a resolver of our own, as no package has TFLite Micro's headers."""
  deployed = deployment(network(), images())
  write_c_files(deployed, images(), BUDGET, tmp_path)
  methods = [RESOLVER_METHODS[kind] for kind in deployed.info.kinds]
  members = '\n'.join(f'  int {m}() {{ puts("{m}"); return refused; }}' for m in methods)
  (tmp_path / 'host.c').write_text(
    f"""#include <stdio.h>
#include "rlnas_operators.h"
struct Resolver {{
  int refused;
{members}
}};
int main() {{
  Resolver some{{0}}, none{{1}};
  printf("%d\\n", rlnas_add_operators(&some));
  printf("%d\\n", rlnas_add_operators(&none));
}}
"""
  )
  shown = b'\n'.join(compiled(tmp_path, COMPILERS['g++'])).decode().split()
  assert shown == [*methods, '1', methods[0], '0']


@pytest.mark.parametrize(
  ('source', 'shown'),
  [
    ('/home/jo/my data/door.npz', 'door.npz'),
    ('~/door.npz', 'door.npz'),
    ('data/door.npz', 'door.npz'),
    ('C:\\Users\\jo\\doors', 'doors'),
    ('/srv/images/', 'images'),
    ('recorded by Jo, /srv/doors/1.npz', 'recorded by Jo, 1.npz'),
    ('https://example.com/doors.npz', 'https://example.com/doors.npz'),
    ('MNIST (LeCun et al. 1998, CC BY-SA 3.0)', 'MNIST (LeCun et al. 1998, CC BY-SA 3.0)'),
    ('', ''),
  ],
)
def test_headers_name_the_file_of_the_data_without_its_path(source, shown):
  assert without_folders(source) == shown


def test_the_header_says_which_tflm_runs_the_model():
  ours = network()
  theirs = of_keras(convolutional(), kind='int8')
  data = images(class_names=NAMES[:4], y_train=np.arange(40, dtype=np.int32) % 4)
  data = dataclasses.replace(data, y_val=data.y_train, y_test=data.y_train, source='/srv/x.npz')
  text = constants(deployment(ours, images()), images())
  assert 'Arduino library of February 2023' in text
  text = constants(deployment(theirs, data), data)
  assert 'of 27 September 2024 or later' in text
  assert 'Source of the data: x.npz' in text


# In a process of its own: an arena that is too small may end it.
RUN_IN_ARENA = """\
import pathlib, sys
import numpy as np
from tflite_micro import runtime
folder, arena = pathlib.Path(sys.argv[1]), int(sys.argv[2])
micro = runtime.Interpreter.from_bytes((folder / 'model.tflite').read_bytes(), arena_size=arena)
for x, y in zip(np.load(folder / 'x.npy'), np.load(folder / 'y.npy')):
  micro.set_input(x[None], 0)
  micro.invoke()
  assert np.array_equal(micro.get_output(0)[0], y)
"""


@pytest.mark.parametrize(
  ('space', 'shape'),
  [
    (chain.Chain(), (28, 28, 1)),
    (multibranch.MultiBranch(), (28, 28, 1)),
    (NASNet(), (28, 28, 1)),
    pytest.param(joint.Joint(), (28, 28, 1), marks=pytest.mark.nightly),
    (Temporal(), (1, 49, 10)),
    pytest.param(Recurrent(), (49, 10), marks=pytest.mark.nightly),
  ],
  ids=['chain', 'multibranch', 'nasnet', 'joint', 'temporal', 'recurrent'],
)
def test_the_plan_is_tflms_and_the_reserved_arena_suffices(space, shape, tmp_path):
  model = network(space, seed=1, shape=shape)
  info, footprint = inspect(model), measure(model)
  assert max(b.offset + b.size_bytes for b in info.blocks) <= footprint.arena_head_bytes
  for a, b in itertools.combinations(info.blocks, 2):
    if a.first <= b.last and b.first <= a.last:  # alive together
      assert a.offset + a.size_bytes <= b.offset or b.offset + b.size_bytes <= a.offset
  room = reserve(info)
  assert room.total_bytes % 16 == 0
  assert room.host_total_bytes == footprint.sram_bytes + 16
  chips = [b for b in BUILDS.values() if b != HOST and b.scratch_is_known]
  assert room.total_bytes - 16 == max(info.report.arena(build).smallest_bytes for build in chips)
  arduino = [BUILDS[name] for name in BOARDS['arduino-nano-33-ble'].builds]
  smaller = reserve(info, arduino)
  assert smaller.build.name == 'm4-cmsis-arduino'
  for build in arduino:
    assert smaller.total_bytes >= info.report.arena(build).smallest_bytes + 15, 'at any alignment'
  rng = np.random.default_rng(0)
  inputs = rng.integers(-128, 128, (2, *shape)).astype(np.int8)
  as_read = Scaling(info.input.zero_point, 1 / info.input.scale)
  np.save(tmp_path / 'x.npy', inputs)
  np.save(tmp_path / 'y.npy', tflm_logits(model, inputs.astype(np.float32), scaling=as_read))
  (tmp_path / 'model.tflite').write_bytes(model)
  command = [sys.executable, '-c', RUN_IN_ARENA, str(tmp_path), str(room.host_total_bytes)]
  done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
  assert done.returncode == 0, done.stderr


def test_names_become_identifiers_strings_and_comments():
  assert identifiers(('T-shirt/top', 't shirt top', '', '9', '犬', '9')) == (
    *('T_SHIRT_TOP', 'T_SHIRT_TOP_1', '2', '9', '4', '9_5'),
  )
  assert len(set(identifiers(('a', 'a', 'a_1', 'A 1', 'a_1_2')))) == 5
  assert c_string('a"b\\?é\n1') == '"a\\042b\\134\\077\\303\\251\\0121"'
  assert comment('a */ b /* c \\ d\n') == 'a  / b /  c / d?'
  assert not set('*\\\n') & set(comment('*/\\\n*'))


def test_bad_input_is_named():
  model = network()
  x = np.zeros((8, 9, 8, 1), np.uint8)
  high, few = images(x_train=x, x_val=x, x_test=x), images(class_names=NAMES[:7])
  with pytest.raises(ValueError, match=r'reads \(1, 8, 8, 1\).*\(9, 8, 1\)'):
    deployment(model, high)
  with pytest.raises(ValueError, match='7 classes'):
    deployment(model, few)


def test_a_bundle_that_cannot_be_written_leaves_the_one_before(tmp_path):
  old, new = network(seed=3), network(seed=4)
  assert old != new
  assert len(new) > 4096
  export_model(old, images(), BUDGET, tmp_path)
  before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
  with full_disk(4096), pytest.raises(OSError, match='cannot be written') as raised:
    export_model(new, images(), BUDGET, tmp_path)
  assert pathlib.Path(raised.value.filename).parent == tmp_path
  assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before
  assert len(before) == 12
