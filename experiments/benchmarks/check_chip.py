"""Compares predicted arenas with those that were measured on emulated or real chips.

  python experiments/benchmarks/check_chip.py --readings=FOLDER

The folder holds readings.json and the models that it names: under 'models', for each name, 'file'
and 'readings', which has 'used' and 'smallest' in bytes by build of TFLite Micro (the names are
those of `rlnas.cost.builds.BUILDS`). Prints a Markdown table: how far the prediction is above the
reading. The smallest arena that loads must never be predicted too small, and at most 1 % or 128
bytes too large.

With --cmsis_nn, scratch memory is compared with CMSIS-NN's own functions. Download the wheel of
executorch without what it depends on, and unpack it into the folder.
"""

from __future__ import annotations

import itertools
import json
import pathlib
from collections.abc import Sequence
from importlib.machinery import ExtensionFileLoader
from typing import Any

from absl import app, flags

from rlnas.cost.arena import Contents, KernelShape, scratch_areas
from rlnas.cost.builds import BUILDS, find_build

_LIBRARY = 'executorch/backends/cortex_m/library/_cmsis_nn'

FLAGS = flags.FLAGS
flags.DEFINE_string('readings', None, 'Folder of readings.json and the models; default: none.')
flags.DEFINE_string('cmsis_nn', None, 'Folder of the unpacked wheel; default: not compared.')
flags.DEFINE_string(
  'out', None, 'File for what the tests need of models and readings; default: none.'
)


def compare(folder: pathlib.Path) -> dict[str, Any]:
  """Prints the table; returns what the models keep in the arena, and the readings."""
  from rlnas.tflite.inspection import measure

  record: dict[str, Any] = {}
  print('| model | build | used, B | predicted | smallest, B | predicted |')
  print('|---|---|---|---|---|---|')
  for name, model in json.loads((folder / 'readings.json').read_text())['models'].items():
    report = measure(folder / model['file'])
    readings = {build: (x['used'], x['smallest']) for build, x in model['readings'].items()}
    for build, (used, smallest) in readings.items():
      arena = report.arena(find_build(build))
      above, smallest_above = arena.used_bytes - used, arena.smallest_bytes - smallest
      missed = not 0 <= smallest_above <= max(smallest / 100, 128)
      print(
        f'| {name} | {build} | {used} | {above:+} | {smallest} | {smallest_above:+}'
        f'{" missed" if missed else ""} |'
      )
    record[name] = {**_compact(report.contents), 'readings': readings}
  return record


def _compact(contents: Contents) -> dict[str, Any]:
  """Returns the contents of a network with one subgraph, one input and one output, as lists."""
  operators = [
    [w.kind, w.kernel_shape, w.channels, w.scales, w.inputs, w.multiplier, w.scratch]
    for w in contents.operators
  ]
  results = [[b.size_bytes, b.first, b.last] for b in contents.results]
  return {'tensors': contents.tensors, 'operators': operators, 'results': results}


def compare_scratch(folder: pathlib.Path) -> int:
  """Prints where our scratch memory differs from CMSIS-NN's functions; returns how often."""
  (path,) = (folder / _LIBRARY).glob('*.so')
  library: Any = ExtensionFileLoader('cmsis_nn', str(path)).load_module()
  kind_of = library.Backend.DSP, library.DataType.A8W8
  sides, differ, compared = (1, 2, 3, 5, 7), 0, 0
  for height, width, depth, stride, dilation, multiplier in itertools.product(
    sides, sides, (1, 3, 4, 10, 64), (1, 2), (1, 2), (0, 1, 2)
  ):
    is_depthwise, channels = multiplier > 0, depth * multiplier or 8
    kernel = (height, width, channels if is_depthwise else depth)
    work = KernelShape(
      'DEPTHWISE_CONV_2D' if is_depthwise else 'CONV_2D',
      kernel,
      channels,
      multiplier=multiplier or 1,
      is_dilated=dilation > 1,
    )
    shapes = [1, 16, 16, depth], [1 if is_depthwise else channels, *kernel], [1, 16, 16, channels]
    padding = [dilation * (side - 1) // 2 for side in (height, width)]  # of 'same'
    rest = padding, [stride, stride], [dilation, dilation]
    if is_depthwise:
      asked = library.depthwise_conv_wrapper_buffer_size(*kind_of, *shapes, *rest, multiplier)
    else:
      asked = library.convolve_wrapper_buffer_size(*kind_of, *shapes, *rest)
    compared += 1
    if sum(scratch_areas(work, BUILDS['m4-cmsis'])) != asked:
      differ += 1
      print(f'{work}: CMSIS-NN asks for {asked} bytes')
  for channels in (1, 3, 64):
    compared += 1
    found = sum(scratch_areas(KernelShape('AVERAGE_POOL_2D', (), channels), BUILDS['m4-cmsis']))
    differ += found != library.avgpool_buffer_size(*kind_of, 7, channels)
  print(f'{differ} of {compared} operators differ')
  return differ


def main(argv: Sequence[str]) -> None:
  """Compares what the flags name."""
  del argv
  if FLAGS.readings is not None:
    record = compare(pathlib.Path(FLAGS.readings))
    if FLAGS.out is not None:
      pathlib.Path(FLAGS.out).write_text(json.dumps(record, separators=(',', ':')) + '\n')
  if FLAGS.cmsis_nn is not None:
    compare_scratch(pathlib.Path(FLAGS.cmsis_nn))


if __name__ == '__main__':
  app.run(main)
