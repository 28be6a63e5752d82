"""The front end of sound in a deployment bundle: sound.h, from samples to the network's input.

With `log_mel` it is plain C that computes the same bits as `rlnas.data.log_mel`; with `micro` it
sets up the C code of TFLite Micro as the training did. sound_test.c generates clips with integer
arithmetic, so that they take no flash. It compares the inputs that the network gets, and with
TFLite Micro the classes, with those found here.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from rlnas.data.dataset import Dataset
from rlnas.data.log_mel import STEPS, LogMel
from rlnas.data.scaling import Scaling
from rlnas.data.sound_settings import MICRO_STEPS, SoundSettings, micro_parameters
from rlnas.export.c_files import Deployment, fnv1a
from rlnas.export.c_text import comment
from rlnas.export.templates import filled, in_folders
from rlnas.tflite.inference import int8_logits, tflm_logits

CLIPS = 4  # that sound_test.c makes
_PITCH = 200_000_000  # of their tone: 2^32 is the sample rate
_RISE = 30_000
# Where TFLite Micro's front end keeps its parameters.
_PLACES = {
  'window_size': 'window.size_ms',
  'window_step': 'window.step_size_ms',
  'num_channels': 'filterbank.num_channels',
  'lower_band_limit': 'filterbank.lower_band_limit',
  'upper_band_limit': 'filterbank.upper_band_limit',
  'smoothing_bits': 'noise_reduction.smoothing_bits',
  'even_smoothing': 'noise_reduction.even_smoothing',
  'odd_smoothing': 'noise_reduction.odd_smoothing',
  'min_signal_remaining': 'noise_reduction.min_signal_remaining',
  'enable_pcan': 'pcan_gain_control.enable_pcan',
  'pcan_strength': 'pcan_gain_control.strength',
  'pcan_offset': 'pcan_gain_control.offset',
  'gain_bits': 'pcan_gain_control.gain_bits',
  'enable_log': 'log_scale.enable_log',
  'scale_shift': 'log_scale.scale_shift',
}


def sound_contents(
  deployed: Deployment, dataset: Dataset, worlds: Sequence[str] = ()
) -> dict[str, bytes]:
  """The files of the front end by name, in the bundle and in its folders <world>/<name>.

  These are sound.h, sound_test.c and, if the front end needs no library, sound.mk, which the
  Makefile includes. There are none if the data are not sound.

  Args:
    deployed: the model and its measurements.
    dataset: the data that it was trained on.
    worlds: see `rlnas.export.bundle.c_contents`.

  Raises:
    ImportError: the front end of TFLite Micro is not there.
  """
  sound = dataset.sound
  if sound is None:
    return {}
  texts = filled('sound', _values(deployed, dataset, sound))
  own = texts['log_mel.h' if sound.front_end == 'log_mel' else 'micro.h']
  found = {
    'sound.h': texts['sound_head.h'] + own + texts['sound_tail.h'],
    'sound_test.c': texts['sound_test.c'],
  }
  if sound.front_end == 'log_mel':
    found |= filled('front_end', {'front': 'sound'})
  return in_folders(found, deployed.name, worlds, header='sound.h')


def made_clip(number: int, samples: int) -> npt.NDArray[np.int16]:
  """The clip that sound_test.c makes: noise and a tone, louder from clip to clip. int16 [S]."""
  noise, phase, pitch = number, 0, _PITCH
  found = []
  for _ in range(samples):
    noise = (noise * 1664525 + 1013904223) % 2**32
    pitch = (pitch + (_RISE if number % 2 else 0)) % 2**32
    phase = (phase + pitch) % 2**32
    saw, hiss = (phase >> 16) - 32768, (noise >> 16) - 32768
    value = saw * (1 + number) + hiss
    found.append(abs(value) // (8 * CLIPS) * (1 if value >= 0 else -1))  # as C divides
  return np.array(found, np.int16)


def _values(deployed: Deployment, dataset: Dataset, sound: SoundSettings) -> dict[str, str]:
  """The values of the templates."""
  inputs = _inputs(deployed, dataset, sound)
  front_end = sound.log_mel if sound.front_end == 'log_mel' else None
  held = sound.hearing.sram_bytes
  size = f'  if (sizeof({deployed.name}_sound_stream) != {held}) return 2;\n'
  return {
    'name': deployed.name,
    'NAME': deployed.name.upper(),
    'title': comment(dataset.name),
    'settings': comment(str(sound)),
    'model_header': 'rlnas_model.h',
    'sound_header': 'sound.h',
    'classify_header': 'classify.h',
    'rate': str(sound.sample_rate),
    'clip': str(sound.clip),
    'frame': str(sound.frame),
    'hop': str(sound.frame_hop),
    'FRAMES': str(sound.frames),
    'bins': str(sound.mel_bins),
    'stream_bytes': str(held),
    # Pointers of this machine are larger than those of chips.
    'heap': ' with those on the heap' if front_end is None else '',
    'size_check': '' if front_end is None else size,
    'clips': str(CLIPS),
    'hashes': ', '.join(f'{fnv1a(one.tobytes())}u' for one in inputs),
    'classes': ', '.join(map(str, outputs_of_bytes(deployed, inputs).argmax(1).tolist())),
    'micro_steps': str(MICRO_STEPS),
    'micro_half': str(MICRO_STEPS // 2),
    'parameters': _parameters(sound),
    **_tables(front_end),
  }


def _inputs(
  deployed: Deployment, dataset: Dataset, sound: SoundSettings
) -> list[npt.NDArray[np.int8]]:
  """The int8 inputs of the network for the clips of sound_test.c. [CLIPS] of [frames, bins]."""
  port = deployed.info.input
  clips = [sound.features(made_clip(i, sound.clip)) for i in range(CLIPS)]
  seen = (dataset.scaling.apply(x.astype(np.float64)) / port.scale + port.zero_point for x in clips)
  return [np.clip(np.rint(x), -128, 127).astype(np.int8) for x in seen]


def outputs_of_bytes(
  deployed: Deployment, inputs: Sequence[npt.NDArray[np.int8]]
) -> npt.NDArray[np.int8]:
  """The int8 outputs [N, outputs] that the network gives for int8 inputs."""
  port = deployed.info.input
  scaling = Scaling(float(port.zero_point), 1 / port.scale)  # to the same int8 values
  raw = np.stack(inputs).astype(np.float32).reshape(-1, *port.shape[1:])
  try:
    return tflm_logits(deployed.model, raw, scaling=scaling)
  except ImportError:
    return int8_logits(deployed.model, raw, scaling=scaling)


def _parameters(sound: SoundSettings) -> str:
  """The lines that set the parameters of TFLite Micro's front end."""
  rows = []
  for name, value in micro_parameters(sound).items():
    if name in _PLACES:
      shown = f'{value!r}f' if isinstance(value, float) else str(int(value))
      rows.append(f'  config.{_PLACES[name]} = {shown};')
  return '\n'.join(rows)


def _tables(front_end: LogMel | None) -> dict[str, str]:
  """The constants of `log_mel`; none if it is another front end."""
  tables: dict[str, Sequence[int]] = dict.fromkeys(
    ('window', 'cosine', 'sine', 'first', 'count', 'weights'), ()
  )
  if front_end is not None:
    cosine, sine = front_end.sines
    tables = {
      'window': front_end.window.tolist(),
      'cosine': cosine.tolist(),
      'sine': sine.tolist(),
      'first': [first for first, _ in front_end.triangles],
      'count': [len(weights) for _, weights in front_end.triangles],
      'weights': np.concatenate([weights for _, weights in front_end.triangles]).tolist(),
    }
  return {
    **{name: _rows(values) for name, values in tables.items()},
    'points': '0' if front_end is None else str(front_end.points),
    'mantissas': '' if front_end is None else ', '.join(f'{m}u' for m in front_end.mantissas),
    'last_step': str(STEPS - 1),
  }


def _rows(values: Sequence[int], width: int = 12) -> str:
  starts = range(0, len(values), width)
  return '\n'.join('  ' + ', '.join(map(str, values[i : i + width])) + ',' for i in starts)
