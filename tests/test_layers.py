"""Imports only point downward: parsed from the source, so that no import can hide."""

import ast
import functools
import graphlib
import importlib
import os
import pathlib
import shutil
import subprocess
import sys

import pytest

import rlnas
from rlnas.cost.machine_code import SOURCES

ROOT = pathlib.Path(rlnas.__file__).parent
# From the ground up: a room imports from its own floor and those below. A room is a package, or a
# module that lies beside the packages.
FLOORS = (
  ('architecture', 'budget', 'trial', 'interfaces', 'reward', 'pareto', 'backend', 'progress'),
  ('spaces', 'data', 'cost'),
  ('child', 'tflite', 'board'),
  ('strategies', 'evaluation'),
  ('search',),
  ('reports', 'export'),
  ('finishing',),
  ('testing', 'cli'),
)
FLOOR_OF = {room: floor for floor, rooms in enumerate(FLOORS) for room in rooms}
MOST_ENTRIES = 26  # files and folders directly in rlnas/
WITHOUT_TENSORFLOW = {
  *('architecture', 'budget', 'trial', 'interfaces', 'reward', 'pareto', 'board', 'progress'),
  *('spaces', 'data', 'cost', 'strategies', 'search'),
}


def modules():
  """Room and path of every module but the face and the entry point."""
  for path in sorted(ROOT.rglob('*.py')):
    parts = path.relative_to(ROOT).with_suffix('').parts
    if parts not in (('__init__',), ('__main__',)):
      yield parts[0], path


@functools.cache
def parsed(path: pathlib.Path) -> tuple[list[ast.stmt], list[ast.AST]]:
  """The statements of a module's top level, and all nodes of it."""
  tree = ast.parse(path.read_text())
  return tree.body, list(ast.walk(tree))


def imports(path: pathlib.Path, *, top_level_only: bool = False):
  statements, nodes = parsed(path)
  for node in statements if top_level_only else nodes:
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
      yield node.module
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def own(names):
  found = {name.split('.')[1] for name in names if name.startswith('rlnas.')}
  return found & set(FLOOR_OF)


def test_every_room_has_a_floor():
  assert {room for room, _ in modules()} <= set(FLOOR_OF)


def test_the_house_is_not_a_pile():
  entries = [p for p in ROOT.iterdir() if p.name != '__pycache__']
  assert len(entries) <= MOST_ENTRIES


def test_imports_only_point_downward():
  for room, path in modules():
    above = {other for other in own(imports(path)) if FLOOR_OF[other] > FLOOR_OF[room]}
    assert not above, f'{path.relative_to(ROOT)} (floor {FLOOR_OF[room]}) imports {above}'


def test_rooms_do_not_import_in_a_circle():
  graph = graphlib.TopologicalSorter()
  for room, path in modules():
    graph.add(room, *(own(imports(path)) - {room}))
  assert len(tuple(graph.static_order())) == len(FLOOR_OF)  # raises CycleError


def test_modules_of_a_room_do_not_import_in_a_circle():
  known = {
    '.'.join(('rlnas', *path.relative_to(ROOT).with_suffix('').parts)): path
    for _, path in modules()
    if path.name != '__init__.py'
  }
  graph = graphlib.TopologicalSorter()
  for name, path in known.items():
    graph.add(name, *({i for i in imports(path) if i in known} - {name}))
  # Imports for type checking and within functions count, too.
  assert set(graph.static_order()) == set(known)


def test_learners_and_children_do_not_know_each_other():
  for room, path in modules():
    # A controller's file is written as every file is: that has nothing to do with data.
    used = own(n for n in imports(path) if not n.startswith('rlnas.data.atomic_file'))
    if room == 'strategies':
      assert not used & {'child', 'tflite', 'evaluation', 'data'}, path
    if room in ('child', 'tflite'):
      assert not used & {'strategies', 'spaces'}, path


def test_what_needs_no_tensorflow_does_not_load_it():
  for room, path in modules():
    names = set(imports(path, top_level_only=room != 'strategies'))
    if room in WITHOUT_TENSORFLOW:
      assert not own(names) & {'backend'}, path
      assert not any(n.split('.')[0] in ('tensorflow', 'tf_keras') for n in names), path


def test_tensorflow_is_loaded_in_one_place():
  for name, path in modules():
    direct = {n.split('.')[0] for n in imports(path, top_level_only=True)}
    assert name == 'backend' or not direct & {'tensorflow', 'tf_keras'}, path


def test_numba_is_loaded_in_one_place():
  for _, path in modules():
    assert path.name == 'jit.py' or 'numba' not in {n.split('.')[0] for n in imports(path)}, path


def test_decoding_and_drawing_do_not_load_numba():
  code = (
    'import sys, rlnas.reports.graph_drawing, rlnas.spaces.table, rlnas.strategies.random_search\n'
    'from rlnas import Chain, TaskShape, decode, infer_shapes\n'
    'infer_shapes(decode(Chain(max_depth=1), (0, 0, 0, 0)), TaskShape((8, 8, 1), 2))\n'
    'sys.exit("numba" in sys.modules)'
  )
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_machine_code_belongs_to_the_state_of_all_modules_that_it_is_made_of():
  """Those with compiled functions, and those that they import names from."""
  known, marked = {ROOT / name for name in SOURCES}, 0
  for _, path in modules():
    tree = ast.parse(path.read_text())
    marks = {
      d.id
      for node in tree.body
      if isinstance(node, ast.FunctionDef)
      for d in node.decorator_list
      if isinstance(d, ast.Name)
    }
    marked += bool(marks & {'compiled', 'inlined', 'inner'})
    if path in known or marks & {'compiled', 'inlined', 'inner'}:
      used = {
        (ROOT / pathlib.Path(*name.split('.')[1:])).with_suffix('.py')
        for name in imports(path)
        if name.startswith('rlnas.')
      }
      assert {path, *(u for u in used if u.exists())} <= known, path
  assert marked >= 9
  assert all(path.exists() for path in known)


@pytest.mark.nightly
def test_machine_code_of_other_sources_is_not_used(tmp_path):
  code = (
    'import pathlib, sys; sys.path.insert(0, sys.argv[1])\n'
    'from rlnas.cost import machine_code, schedule, tasks\n'
    'found = schedule.least_arena_order(tasks.Tasks.of([tasks.Task((-1,), 10)], 10))[1]\n'
    'print(found, len(list(pathlib.Path(machine_code.folder()).rglob("*.nbc"))) > 0)\n'
  )
  package = tmp_path / 'rlnas'
  shutil.copytree(ROOT, package, ignore=shutil.ignore_patterns('__pycache__'))

  def run():
    command = [sys.executable, '-c', code, str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

  assert run() == '32 True\n'
  # A constant that the compiled function takes from a file that is not its own.
  path = package / 'cost' / 'arena_head.py'
  source = path.read_text()
  assert source.count('\nALIGNMENT_BYTES = 16 ') == 1
  path.write_text(source.replace('\nALIGNMENT_BYTES = 16 ', '\nALIGNMENT_BYTES = 32 '))
  assert run() == '64 True\n'


def test_where_nothing_can_be_kept_functions_are_compiled_all_the_same():
  code = (
    'import tempfile, numpy\n'
    'def full(*_, **__): raise OSError(28, "No space left on device")\n'
    'tempfile.TemporaryFile = full\n'
    'from rlnas.cost.operators import KERNEL, totals\n'
    'print(totals(numpy.zeros(1, KERNEL)), totals.dispatcher.stats)\n'
  )
  command = [sys.executable, '-c', code]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  assert done.stdout.startswith('(0, 0, 0) ')
  assert 'cache_path=None' in done.stdout


def test_where_machine_code_is_too_large_for_the_disk_functions_run_all_the_same(tmp_path):
  code = (
    'import numpy, resource\n'
    'from rlnas.cost.operators import KERNEL, totals\n'
    'resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))\n'
    'print(totals(numpy.zeros(1, KERNEL)))\n'
  )
  done = subprocess.run(
    [sys.executable, '-B', '-c', code],  # without bytecode, which would be cut as well
    env=os.environ | {'NUMBA_CACHE_DIR': str(tmp_path)},
    capture_output=True,
    text=True,
    check=False,
  )
  assert done.stdout == '(0, 0, 0)\n', done.stderr
  assert not list(tmp_path.rglob('*.nbc'))


def test_flags_and_prints_stay_in_the_command_line():
  for room, path in modules():
    if room == 'cli':
      continue
    source = path.read_text()
    assert 'absl.flags' not in source, path
    assert 'import flags' not in source, path
    calls = [n.func for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    assert not any(isinstance(f, ast.Name) and f.id == 'print' for f in calls), path


def test_nothing_is_unpickled_from_disk():
  for _, path in modules():
    imported = {n.split('.')[0] for n in imports(path)}
    if path.name == 'shared_memory.py':  # what goes to worker processes; it opens no file
      assert not imported & {'pathlib', 'io', 'mmap'}
      assert 'open(' not in path.read_text()
    else:
      assert not imported & {'pickle', 'cloudpickle', 'dill'}, path
    assert 'joblib' not in path.read_text(), path
    assert 'allow_pickle=True' not in path.read_text(), path


def test_importing_rlnas_loads_no_tensorflow_and_no_numpy():
  code = 'import sys, rlnas; sys.exit(any(m in sys.modules for m in ("tensorflow", "numpy")))'
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def faces():
  """Each package that has a public face, with the names of its modules that belong to it."""
  for stub in sorted(ROOT.rglob('__init__.pyi')):
    package = '.'.join(('rlnas', *stub.parent.relative_to(ROOT).parts))
    nodes = [n for n in ast.parse(stub.read_text()).body if isinstance(n, ast.ImportFrom)]
    shown = {alias.name for n in nodes if n.module is None for alias in n.names}
    yield importlib.import_module(package), stub.parent, shown


def test_every_public_name_resolves():
  assert len(list(faces())) > 10
  for face, _, _ in faces():
    assert len(face.__all__) == len(set(face.__all__))
    assert set(face.__all__) <= set(dir(face))
    for name in face.__all__:
      assert getattr(face, name) is not None


def test_no_module_hides_a_public_name():
  """Importing the module `x` of a package sets the package's attribute `x`."""
  for face, folder, shown in faces():
    modules = {
      p.stem for p in folder.iterdir() if p.suffix == '.py' or (p / '__init__.py').exists()
    }
    assert set(face.__all__) & modules == shown, face
