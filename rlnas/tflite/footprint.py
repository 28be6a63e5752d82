"""Measures the flash and SRAM that a quantized network needs on a microcontroller.

Flash is the size of the .tflite file. SRAM is the smallest tensor arena in which a build of TFLite
Micro can load the network: the head holds activations and scratch memory, the tail the
interpreter's structures (David et al. 2021, TensorFlow Lite Micro, section 4.4). TFLite Micro
allocates the arena on this machine, where the structures hold pointers of 64 bits; for another
build the arena is predicted from it (`rlnas.cost.arena`).
"""

from __future__ import annotations

import dataclasses
import os
import pathlib

from absl import logging

from rlnas.architecture import Architecture
from rlnas.budget import Resources
from rlnas.cost.arena import NO_EXCESS, Arena, Contents, Excess
from rlnas.cost.arena_head import MAX_ARENA_BYTES
from rlnas.cost.builds import HOST, Build
from rlnas.cost.preprocessing import preprocessing_memory
from rlnas.tflite import tflm
from rlnas.tflite.contents import contents_of
from rlnas.tflite.model_file import opens, read_subgraphs
from rlnas.tflite.walk import steps_of

Model = bytes | os.PathLike[str] | str


class ArenaOverflow(ValueError):  # noqa: N818 (names what happened, as OverflowError does)
  """The network needs a tensor arena larger than `MAX_ARENA_BYTES`."""


@dataclasses.dataclass(frozen=True)
class Footprint:
  """The memory that a network needs on the chip.

  Attributes:
    flash_bytes: size of the .tflite file, with the tables of preprocessing if the network has any
      (`with_preprocessing_of`).
    sram_bytes: size of the smallest tensor arena in which the network can be loaded, with the
      memory of preprocessing.
    arena_head_bytes: size of activations and scratch memory.
    arena_tail_bytes: size of the interpreter's structures.
    sram_source: 'tflm' if TFLite Micro was run on this machine, 'analytic' if it is not installed.
    sram_build: name of the build of TFLite Micro that the arena is for, from
      `rlnas.cost.builds.BUILDS`.
  """

  flash_bytes: int
  sram_bytes: int
  arena_head_bytes: int
  arena_tail_bytes: int
  sram_source: str
  sram_build: str

  @property
  def resources(self) -> Resources:
    """The flash and SRAM that the network needs."""
    return Resources(self.flash_bytes, self.sram_bytes)

  def with_preprocessing_of(self, architecture: Architecture) -> Footprint:
    """Adds what a network's preprocessing takes beside it (`rlnas.cost.preprocessing`)."""
    flash, sram = preprocessing_memory(architecture)
    return dataclasses.replace(
      self, flash_bytes=self.flash_bytes + flash, sram_bytes=self.sram_bytes + sram
    )

  @property
  def is_planned(self) -> bool:
    """Whether the arena was planned without TFLite Micro."""
    return self.sram_source == 'analytic'


def measure(model: Model, *, build: Build = HOST) -> Footprint:
  """Measures a .tflite file by loading it into TFLite Micro, which has a recording allocator.

  If TFLite Micro is not installed, the plan of `analytic_footprint` is returned and a warning is
  logged once.

  Args:
    model: path or bytes of the file.
    build: the build of TFLite Micro that the arena is for.

  Raises:
    ValueError: the model is not a .tflite file, or TFLite Micro cannot run it; the cause is quoted.
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
  """
  content = read_model(model)
  contents = contents_in(content)
  check_arena(contents.arena(HOST))
  try:
    # What TensorFlow Lite refuses might end the process; it gets one of its own.
    report = tflm.load(content) if opens(content) else tflm.load_elsewhere(content)
  except ImportError:
    logging.log_first_n(
      logging.WARNING,
      'TFLite Micro (tflite-micro) is not installed: SRAM figures are planned, not measured.',
      1,
    )
    return footprint_of(len(content), contents, build)
  return footprint_of(len(content), contents, build, recorded=recorded_excess(contents, report))


def analytic_footprint(model: Model, *, build: Build = HOST) -> Footprint:
  """Plans the arena as TFLite Micro does, but without running it.

  The head was exact for all of 256 random networks (89 chains, 119 that branch, 48 unrolled
  recurrent ones), and the tail for 42 networks of all spaces. The tail lacks the data of kernels
  for operators that `rlnas.cost.structures` does not know.

  Args:
    model: path or bytes of the file.
    build: the build of TFLite Micro that the arena is for.

  Raises:
    ValueError: see `rlnas.tflite.model_file.read_subgraphs`.
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
  """
  content = read_model(model)
  return footprint_of(len(content), contents_in(content), build)


def contents_in(content: bytes) -> Contents:
  """Returns the contents of the arena for a file. Raises ValueError as `read_subgraphs`."""
  subgraphs = read_subgraphs(content)
  return contents_of(subgraphs, *steps_of(subgraphs))


def footprint_of(
  flash_bytes: int, contents: Contents, build: Build, *, recorded: Excess | None = None
) -> Footprint:
  """Returns the footprint of a file.

  Args:
    flash_bytes: its size.
    contents: the contents of the arena.
    build: the build of TFLite Micro that the arena is for.
    recorded: what TFLite Micro took beyond the prediction on this machine; None if it did not run.

  Raises:
    ArenaOverflow: the arena would be larger than `MAX_ARENA_BYTES`.
  """
  excess = NO_EXCESS if recorded is None else recorded
  check_arena(contents.arena(HOST, excess))
  arena = contents.arena(build, excess)
  check_arena(arena)
  source = 'analytic' if recorded is None else 'tflm'
  head, tail = arena.head_bytes, arena.tail_bytes
  return Footprint(flash_bytes, arena.smallest_bytes, head, tail, source, build.name)


def recorded_excess(contents: Contents, report: str) -> Excess:
  """Returns what TFLite Micro took beyond the prediction on this machine.

  Args:
    contents: the contents of the arena.
    report: the allocator's report, from `rlnas.tflite.tflm.load`. Raises RuntimeError if it is not.
  """
  predicted = contents.arena(HOST)
  head, tail = (tflm.counted(report, part) for part in ('head', 'tail'))
  return Excess(max(0, head - predicted.head_bytes), max(0, tail - predicted.tail_bytes))


def check_arena(arena: Arena) -> None:
  """Raises ArenaOverflow if an arena is larger than `MAX_ARENA_BYTES`."""
  if arena.smallest_bytes > MAX_ARENA_BYTES:
    head, tail = arena.head_bytes, arena.tail_bytes
    raise ArenaOverflow(
      f'the tensor arena needs {head} + {tail} bytes, more than {MAX_ARENA_BYTES}'
      if head + tail > MAX_ARENA_BYTES
      else f'the network needs {arena.smallest_bytes} bytes of arena while it is loaded, more than '
      f'{MAX_ARENA_BYTES}'
    )


def read_model(model: Model) -> bytes:
  """Returns the bytes of a model or reads them from its file. Raises OSError if it cannot."""
  return model if isinstance(model, bytes) else pathlib.Path(model).read_bytes()
