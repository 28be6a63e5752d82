"""Checks that other tools read a portable model (`rlnas export --portable`) and give its outputs.

  python experiments/benchmarks/check_importers.py --model=best/portable.tflite

Each tool that is installed reads the file and runs random int8 inputs: LiteRT's interpreter
(`pip install ai-edge-litert`) and the reference of BakeNN, which makes C code of a file
(`pip install 'bakenn[tflite]'`). The outputs are compared with those of TFLite Micro; BakeNN and
LiteRT may differ by a few units in deep networks, as their kernels round differently. Prints a line
for each tool; the exit code is 1 if one that is installed refuses the file.
"""

from __future__ import annotations

import importlib
import importlib.util
import pathlib
import sys
import tempfile
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt
from absl import app, flags

from rlnas.data.scaling import Scaling
from rlnas.export.deployment import inspect
from rlnas.tflite.inference import tflm_logits

FLAGS = flags.FLAGS
flags.DEFINE_string('model', None, 'The .tflite file; must be given.', required=True)
flags.DEFINE_integer('inputs', 50, 'Number of random inputs.', lower_bound=1)

Int8Array = npt.NDArray[np.int8]


def litert(model: bytes, inputs: Int8Array) -> Int8Array:
  """Outputs of LiteRT's interpreter."""
  interpreter = importlib.import_module('ai_edge_litert.interpreter').Interpreter(
    model_content=model
  )
  interpreter.allocate_tensors()
  entry = interpreter.get_input_details()[0]['index']
  result = interpreter.get_output_details()[0]['index']
  outputs: list[Any] = []
  for row in inputs:
    interpreter.set_tensor(entry, row[None])
    interpreter.invoke()
    outputs.append(interpreter.get_tensor(result)[0])
  return np.array(outputs)


def bakenn(model: bytes, inputs: Int8Array) -> Int8Array:
  """Outputs of BakeNN's reference."""
  tool = importlib.import_module('bakenn')
  with tempfile.TemporaryDirectory() as folder:
    plan = tool.compile_tflite(model, folder).plan
  return np.array([np.ravel(tool.run_reference(plan, row[None])) for row in inputs], np.int8)


TOOLS: dict[str, tuple[str, Callable[[bytes, Int8Array], Int8Array]]] = {
  'LiteRT': ('ai_edge_litert', litert),
  'BakeNN': ('bakenn', bakenn),
}


def main(argv: list[str]) -> None:
  """Prints what each tool says."""
  del argv
  model, refused = pathlib.Path(FLAGS.model).read_bytes(), 0
  port = inspect(model).input
  inputs = np.random.default_rng(0).integers(-128, 128, (FLAGS.inputs, *port.shape[1:]))
  as_read = Scaling(float(port.zero_point), 1 / port.scale)  # keeps int8 values as they are
  expected = tflm_logits(model, inputs.astype(np.float32), scaling=as_read)
  for title, (module, run) in TOOLS.items():
    if importlib.util.find_spec(module) is None:
      print(f'{title}: not installed')
      continue
    try:
      outputs = run(model, inputs.astype(np.int8))
    except Exception as error:  # whatever a tool raises is its verdict
      refused += 1
      print(f'{title}: refuses it: {type(error).__name__}: {error}')
      continue
    differs = np.abs(outputs.reshape(expected.shape).astype(int) - expected).max(axis=1)
    equal = np.mean(differs == 0)
    print(f'{title}: reads it; {equal:.0%} of outputs equal, at most {differs.max()} off')
  sys.exit(refused > 0)


if __name__ == '__main__':
  app.run(main)
