"""What a firmware's author reads about the input, for each kind of data."""

import numpy as np
import pytest

from rlnas.data.scaling import Scaling
from rlnas.export import inputs
from rlnas.export.bundle import deployment
from rlnas.export.c_files import constants
from rlnas.export.template_values import template_values
from tests.export.test_bundle import BUDGET, images, network


def of_shape(shape, dtype=np.uint8, **changes):
  x = (np.arange(40 * np.prod(shape)) % 200 - 50 * (dtype != np.uint8)).astype(dtype)
  x = x.reshape(40, *shape)
  return images(x_train=x, x_val=x, x_test=x, **changes)


@pytest.mark.parametrize(
  ('shape', 'text', 'macros'),
  [
    ((8, 6, 1), '8 rows of 6 pixels of 1 channel, row by row', {'HEIGHT': 8, 'WIDTH': 6}),
    ((8, 6, 3), 'side by side, in the order of the training data (red, green', {'CHANNELS': 3}),
    ((49, 10), '49 time steps of 10 values each: the oldest', {'STEPS': 49, 'FEATURES': 10}),
    ((1, 49, 10), '49 time steps of 10 values each: the oldest', {'STEPS': 49, 'FEATURES': 10}),
    ((1, 1, 4), '4 values, in the order that the training', {'STEPS': 1, 'FEATURES': 4}),
  ],
)
def test_order_and_sides_are_told(shape, text, macros):
  data = of_shape(shape)
  assert text in inputs.order(data)
  found = inputs.macros('DOOR', data).splitlines()
  for name, side in macros.items():
    assert f'#define DOOR_INPUT_{name} {side}' in found
  assert len(found) == (2 if 'FEATURES' in macros else 3)


def test_a_sequence_for_networks_of_images_is_told_as_a_sequence():
  scaling = Scaling(np.zeros((10, 1)), np.ones((10, 1)))
  data = of_shape((49, 10, 1), np.float32, scaling=scaling)
  assert inputs.order(data).startswith('49 time steps of 10 values each')
  assert '#define DOOR_INPUT_STEPS 49' in inputs.macros('DOOR', data)


def test_range_and_what_becomes_of_other_values_are_told():
  assert '0 to 255 as in the training data, not 0 to 1' in inputs.values(
    'door', of_shape((8, 8, 1))
  )
  limited = of_shape((8, 8, 1), np.float32, scaling=Scaling(3.0, 2.0, 10.0))
  text = inputs.values('door', limited)
  assert 'between -50 and 149: door_quantize() subtracts' in text
  assert 'beyond 10 or -10 become that limit' in text
  assert 'NaN becomes the smallest value' in text


@pytest.mark.parametrize(
  ('data', 'call', 'size'),
  [
    (of_shape((8, 8, 1)), 'uint8_t rlnas_classify_u8', '64'),
    (of_shape((8, 8, 1), np.float32), 'float rlnas_classify', '256'),
    (of_shape((8, 8, 1), np.float64), 'double rlnas_classify', '512'),
  ],
)
def test_the_call_in_the_readme_takes_the_least_memory(data, call, size):
  deployed = deployment(network(), data)
  values = template_values(deployed, data, BUDGET)
  assert f'{values["call_type"]} {values["call"]}' == call
  assert values['call_bytes'] == size
  assert ('as floats, which are 256 B' in values['input_text'].replace('\n', ' ')) == ('u8' in call)


def test_another_model_has_another_hash():
  hashes = set()
  for seed in (0, 1):
    text = constants(deployment(network(seed=seed), images()), images())
    hashes.add(text.split('RLNAS_MODEL_HASH ')[1].split()[0])
  assert len(hashes) == 2
