"""Imports only point downward: parsed from the source, so that no import can hide."""

import ast
import pathlib
import shutil
import subprocess
import sys

import rlnas
from rlnas.compiled import SOURCES

ROOT = pathlib.Path(rlnas.__file__).parent
LEVELS = {
  'architecture': 0, 'widths': 0, 'trial': 0, 'board': 0, 'interfaces': 0, 'backend': 0,
  'compiled': 0, 'chip': 0, 'tail': 0, 'traits': 0,
  'decision': 1, 'table': 1, 'spaces': 1,
  'losses': 2, 'policy': 2, 'controller': 2, 'strategies': 2, 'child': 2,
  'dataset': 0, 'datasets': 0, 'dataset_checks': 0, 'dataset_files': 0, 'dataset_splits': 0,
  'evaluators': 3,
  'reward': 4, 'executors': 4, 'workers': 4, 'shared_memory': 4, 'cache': 4, 'ladder': 4,
  'journal': 4,
  'search': 4, 'monitor': 4, 'monitor_children': 4, 'monitor_pictures': 4, 'monitor_scalars': 4,
  'notebook': 4,
  'report': 4, 'winner': 4, 'finalists': 4, 'rounds': 4, 'frame': 4,
  'outline': 4, 'layout': 4, 'drawing': 4, 'durable': 4, 'interrupt': 4, 'ray_executor': 4,
  'anatomy': 4, 'c_text': 4, 'charts': 4, 'export': 4, 'export_example': 4, 'model_card': 4,
  'page': 4, 'page_style': 4, 'preferences': 4, 'quality': 4, 'search_card': 4, 'search_charts': 4,
}  # fmt: skip
LEARNERS = {'losses', 'policy', 'controller', 'strategies'}
NO_TENSORFLOW = {
  'architecture',
  'trial',
  'board',
  'interfaces',
  'dataset',
  'datasets',
  'decision',
  'table',
  'spaces',
  'traits',
}


def modules():
  for path in sorted(ROOT.rglob('*.py')):
    parts = path.relative_to(ROOT).with_suffix('').parts
    if parts != ('__init__',):
      yield parts[0], path


def imports(path: pathlib.Path, *, top_level_only: bool = False):
  tree = ast.parse(path.read_text())
  for node in tree.body if top_level_only else ast.walk(tree):
    if isinstance(node, ast.Import):
      yield from (alias.name for alias in node.names)
    elif isinstance(node, ast.ImportFrom) and node.module:
      yield node.module
      yield from (f'{node.module}.{alias.name}' for alias in node.names)


def own(names):
  found = {name.split('.')[1] for name in names if name.startswith('rlnas.')}
  return found & set(LEVELS)


def test_every_module_has_a_level():
  assert {name for name, _ in modules()} <= set(LEVELS)


def test_imports_only_point_downward():
  for name, path in modules():
    above = {n for n in own(imports(path)) if LEVELS[n] > LEVELS[name]}
    assert not above, f'{path.name} (level {LEVELS[name]}) imports {above}'


def test_learners_and_children_do_not_know_each_other():
  for name, path in modules():
    used = own(imports(path))
    if name in LEARNERS:
      assert not used & {'child', 'evaluators', 'datasets'}, path
    if name == 'child':
      assert not used & (LEARNERS | {'spaces', 'decision', 'table'}), path


def test_data_and_language_are_free_of_tensorflow():
  for name, path in modules():
    if name in NO_TENSORFLOW or path.name == 'cost.py':
      names = set(imports(path, top_level_only=True))
      assert not own(names) & {'backend', 'controller', 'losses', 'policy'}, path
      assert not any(n.split('.')[0] in ('tensorflow', 'tf_keras') for n in names), path


def test_tensorflow_is_loaded_in_one_place():
  for name, path in modules():
    direct = {n.split('.')[0] for n in imports(path, top_level_only=True)}
    assert name == 'backend' or not direct & {'tensorflow', 'tf_keras'}, path


def test_numba_is_loaded_in_one_place():
  for name, path in modules():
    assert name == 'compiled' or 'numba' not in {n.split('.')[0] for n in imports(path)}, path


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
    marked += bool(marks & {'compiled', 'inlined'})
    if path in known or marks & {'compiled', 'inlined'}:
      used = {
        (ROOT / pathlib.Path(*name.split('.')[1:])).with_suffix('.py')
        for name in imports(path)
        if name.startswith('rlnas.')
      }
      assert {path, *(u for u in used if u.exists())} <= known, path
  assert marked >= 9
  assert all(path.exists() for path in known)


def test_machine_code_of_other_sources_is_not_used(tmp_path):
  code = (
    'import pathlib, sys; sys.path.insert(0, sys.argv[1])\n'
    'import rlnas.compiled, rlnas.child.tasks as tasks\n'
    'found = tasks.graph_of(tasks.Tasks.of([tasks.Task((-1,), 10)], 10)).sizes.tolist()\n'
    'print(found, len(list(pathlib.Path(rlnas.compiled._folder()).rglob("*.nbc"))) > 0)\n'
  )
  package = tmp_path / 'rlnas'
  shutil.copytree(ROOT, package, ignore=shutil.ignore_patterns('__pycache__'))

  def run():
    command = [sys.executable, '-c', code, str(tmp_path)]
    return subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout

  assert run() == '[16, 16] True\n'
  # A constant that the compiled function takes from a file that is not its own.
  path = package / 'child' / 'arena.py'
  source = path.read_text()
  assert source.count('\nALIGNMENT_BYTES = 16 ') == 1
  path.write_text(source.replace('\nALIGNMENT_BYTES = 16 ', '\nALIGNMENT_BYTES = 32 '))
  assert run() == '[32, 32] True\n'


def test_where_nothing_can_be_kept_functions_are_compiled_all_the_same():
  code = (
    'import tempfile, numpy\n'
    'def full(*_, **__): raise OSError(28, "No space left on device")\n'
    'tempfile.TemporaryFile = full\n'
    'from rlnas.child.order import post_order\n'
    'print(post_order(numpy.array([0, 0, 1]), numpy.array([0]), 1).tolist(), post_order.stats)\n'
  )
  command = [sys.executable, '-c', code]
  done = subprocess.run(command, capture_output=True, text=True, check=True)
  assert done.stdout.startswith('[0, 1] ')
  assert 'cache_path=None' in done.stdout


def test_flags_and_prints_stay_in_experiments():
  for _, path in modules():
    source = path.read_text()
    assert 'absl.flags' not in source, path
    assert 'import flags' not in source, path
    calls = [n.func for n in ast.walk(ast.parse(source)) if isinstance(n, ast.Call)]
    assert not any(isinstance(f, ast.Name) and f.id == 'print' for f in calls), path


def test_nothing_is_unpickled_from_disk():
  for name, path in modules():
    imported = {n.split('.')[0] for n in imports(path)}
    if name == 'shared_memory':  # what goes to worker processes; it opens no file
      assert not imported & {'pathlib', 'io', 'mmap'}
      assert 'open(' not in path.read_text()
    else:
      assert not imported & {'pickle', 'cloudpickle', 'dill'}, path
    assert 'joblib' not in path.read_text(), path
    assert 'allow_pickle=True' not in path.read_text(), path


def test_importing_rlnas_loads_no_tensorflow_and_no_numpy():
  code = 'import sys, rlnas; sys.exit(any(m in sys.modules for m in ("tensorflow", "numpy")))'
  assert subprocess.run([sys.executable, '-c', code], check=False).returncode == 0


def test_every_public_name_resolves():
  for name in rlnas.__all__:
    assert getattr(rlnas, name) is not None
