"""Writes a plan of the arena into a .tflite file, for TFLite Micro to obey.

TFLite Micro reads the offsets of tensors from the file's metadata and places only the rest, such as
scratch memory, by its greedy planner (`micro_allocation_info.cc`; its text on memory management
gives the format): a buffer of 32-bit integers with the version, the subgraph, the number of
tensors, and for each tensor its offset in the head, or -1. It takes 4 bytes of flash per tensor.
"""

from __future__ import annotations

import numpy as np
from absl import logging

from rlnas.backend import flatbuffer_utils
from rlnas.budget import Budget
from rlnas.cost.arena import Contents
from rlnas.cost.arena_plan import tight_plan
from rlnas.cost.builds import BUILDS, Build
from rlnas.tflite.compact import agree, pack
from rlnas.tflite.footprint import contents_in
from rlnas.tflite.model_file import OFFLINE_PLAN, UNPLANNED, read_subgraphs

_schema = flatbuffer_utils.schema_fb


def with_offline_plan(model: bytes, budget: Budget, *, build: Build) -> bytes:
  """Returns the model with a tighter plan of its arena, if it is worth its flash.

  It is worth it if the smallest arena that loads gets smaller for `build` and larger for no build,
  if the file still fits the budget, and if the plan saves a larger share of the budget's SRAM than
  it takes of the budget's flash.

  Args:
    model: a .tflite file with one subgraph.
    budget: limits of the board.
    build: the build of TFLite Micro whose arena the budget limits.

  Returns:
    The new file; `model` itself if the plan is not worth it.

  Raises:
    ValueError: see `rlnas.tflite.model_file.read_subgraphs`.
  """
  contents = contents_in(model)
  if contents.subgraphs != 1 or any(b.offset is not None for b in contents.results):
    return model
  planned = planned_file(model, contents, build)
  saved = _smallest(contents, build) - _smallest(contents_in(planned), build)
  taken = len(planned) - len(model)
  is_worth_it = (
    saved > 0
    and saved * budget.flash_bytes > taken * budget.sram_bytes
    and len(planned) <= budget.flash_bytes
    and not _is_larger_anywhere(planned, contents)
  )
  if not is_worth_it:
    return model
  if not agree(model, planned):
    logging.warning('A plan of the arena would have changed the outputs; it is left out.')
    return model
  return planned


def planned_file(model: bytes, contents: Contents, build: Build) -> bytes:
  """Returns a file with the smallest plan that is found for a build, even if it saves nothing."""
  plan = tight_plan(contents.buffers(build))
  (subgraph,) = read_subgraphs(model)
  written = {*subgraph.inputs, *(t for o in subgraph.operators for t in o.outputs)}
  in_head = [
    index
    for index in sorted(written)
    if not (tensor := subgraph.tensors[index]).constant_bytes and not tensor.is_variable
  ]
  offsets = np.full(len(subgraph.tensors), UNPLANNED, np.int32)
  offsets[in_head] = plan.offsets[: len(in_head)]  # scratch memory comes after the tensors
  graph = flatbuffer_utils.convert_bytearray_to_object(bytearray(model))
  buffer, metadata = _schema.BufferT(), _schema.MetadataT()
  header = np.array([1, 0, len(offsets)], np.int32)  # version, subgraph, number of tensors
  buffer.data = np.concatenate([header, offsets]).astype('<i4').view(np.uint8)
  metadata.name, metadata.buffer = OFFLINE_PLAN, len(graph.buffers)
  graph.buffers.append(buffer)
  graph.metadata = [*(graph.metadata or ()), metadata]
  return pack(graph)


def _smallest(contents: Contents, build: Build) -> int:
  return contents.arena(build).smallest_bytes


def _is_larger_anywhere(planned: bytes, before: Contents) -> bool:
  after = contents_in(planned)
  return any(_smallest(after, build) > _smallest(before, build) for build in BUILDS.values())
