"""The folders of `rlnas export --for`: complete by each world's rules, as far as they go here.

* Arduino: library.properties by the published rules of arduino-lint, which no package index has;
  the sketch compiles with a stand-in of Arduino.h.
* CMake: configures, builds and tests with the headers of the tests in place of TFLite Micro's.
* PlatformIO: `pio pkg pack` accepts it where it is installed (6.2.0 did).
* ESP-IDF and Zephyr: their CMake files with stand-ins of the functions that they call, their YAML,
  and the programs with stand-ins of the headers.
"""

import datetime
import json
import re
import shutil
import subprocess
from importlib import metadata

import pytest
import yaml

from rlnas.export.bundle import export_model
from rlnas.export.firmware import SOURCES
from rlnas.export.templates import WORLDS
from rlnas.spaces import NASNet
from tests.export.host_kernels import HEADERS, WARNINGS, HostFirmware
from tests.export.test_bundle import BUDGET, NAMES, images, network
from tests.export.test_firmware import made

MODELS = {'front_door': None, 'cells': NASNet()}


@pytest.fixture(scope='module', name='folder')
def _folder(tmp_path_factory):
  """A chain and a network of cells, each in the folders of all worlds."""
  folder = tmp_path_factory.mktemp('worlds')
  for name, space in MODELS.items():
    title = name.replace('_', ' ').capitalize()
    export_model(network(space), images(), BUDGET, folder, name=title, worlds=WORLDS)
  return folder


@pytest.mark.parametrize('world', WORLDS)
def test_the_files_are_there_and_their_test_passes(world, folder, tmp_path):
  for name in MODELS:
    files = {str(p.relative_to(folder / world / name)) for p in (folder / world / name).rglob('*')}
    cc = 'cpp' if world == 'arduino' else 'cc'
    c_files = ('model.h', 'rlnas_model.h', 'classify.h', 'test_vectors.h')
    c_files += (f'model.{cc}', f'classify.{cc}')
    assert files >= {'README.md', f'src/{name}.h', *(f'src/{name}/{file}' for file in c_files)}
    text = '\n'.join(p.read_text() for p in (folder / world / name).rglob('*') if p.is_file())
    assert not re.search(r'@\w+@', text)
    shown = made(folder / world / name / 'test', f'BUILD={tmp_path / name}')
    assert shown.returncode == 0, shown.stdout + shown.stderr


def test_an_unknown_world_is_named(tmp_path):
  with pytest.raises(ValueError, match=r"worlds: 'mbed' must be one of arduino, cmake"):
    export_model(network(), images(), BUDGET, tmp_path, worlds=['mbed'])
  assert not list(tmp_path.iterdir())


def syntax(*files, includes, stubs, folder):
  """Compiles without output, with further headers by their paths."""
  for path, text in stubs.items():
    (folder / path).parent.mkdir(parents=True, exist_ok=True)
    (folder / path).write_text('#pragma once\n' + text)
  paths = [flag for include in (*includes, folder, HEADERS) for flag in ('-I', include)]
  command = ['g++', '-std=c++17', *WARNINGS, '-Werror', '-fsyntax-only', *paths, '-x', 'c++']
  subprocess.run([*command, *files], check=True, timeout=60)


# The rules of https://arduino.github.io/arduino-lint, from its schema of library.properties.
CATEGORIES = (
  *('Display', 'Communication', 'Signal Input/Output', 'Sensors', 'Device Control', 'Timing'),
  *('Data Storage', 'Data Processing', 'Other'),
)
ARDUINO = """
#include <cstdint>
struct Port {
  void begin(long) {}
  explicit operator bool() const { return true; }
  template <typename T> void print(T) {}
  template <typename T> void println(T) {}
};
inline Port Serial;
enum { LOW, HIGH, OUTPUT, LED_BUILTIN };
inline void pinMode(int, int) {}
inline void digitalWrite(int, int) {}
inline void delay(unsigned long) {}
inline unsigned long millis() { return 0; }
inline unsigned long micros() { return 0; }
"""


@pytest.mark.parametrize('name', MODELS)
def test_arduino_lint_would_pass_the_library(name, folder, tmp_path):
  library = folder / 'arduino' / name
  lines = (library / 'library.properties').read_text().splitlines()
  fields = dict(line.split('=', 1) for line in lines)
  assert re.fullmatch(r'[a-zA-Z][a-zA-Z0-9_.\-]{0,15}', fields['name'])
  assert not re.search('arduino|library', fields['name'].lower())
  assert fields['name'] == library.name
  assert re.fullmatch(r'\d+\.\d+\.\d+', fields['version'])
  for key in ('author', 'maintainer', 'sentence', 'paragraph', 'architectures'):
    assert fields[key]
  assert 'arduino' not in fields['maintainer'].lower()
  assert not fields['paragraph'].startswith(fields['sentence'])
  assert fields['category'] in CATEGORIES
  assert re.fullmatch(r'https?://\S+', fields['url'])
  assert (library / 'src' / fields['includes']).is_file()
  assert re.fullmatch(r'[a-zA-Z][a-zA-Z0-9 _.\-]* \(=\d+\.\d+\.\d+\)', fields['depends'])
  assert not [p for p in library.rglob('*') if p.is_symlink() or p.suffix == '.exe']
  (sketch,) = library.glob('examples/*/*.ino')
  assert sketch.stem == sketch.parent.name
  stubs = {'Arduino.h': ARDUINO, 'Chirale_TensorFlowLite.h': ''}
  whole = tmp_path / 'sketch.cpp'  # as the IDE makes of it
  whole.write_text('#include <Arduino.h>\n' + sketch.read_text())
  sources = library.glob('src/*/*.cpp')
  syntax(whole, *sources, includes=[library / 'src'], stubs=stubs, folder=tmp_path)


@pytest.mark.parametrize('name', MODELS)
def test_the_platformio_project_compiles_with_stand_ins(name, folder, tmp_path):
  library = folder / 'platformio' / name
  manifest = json.loads((library / 'library.json').read_text())
  assert manifest['name'] == name
  assert (library / 'src' / manifest['headers']).is_file()
  for example in manifest['examples']:
    for file in example['files']:
      assert (library / example['base'] / file).is_file()
  stubs = {'Arduino.h': ARDUINO, 'Chirale_TensorFlowLite.h': ''}
  program = library / 'examples' / 'check' / 'src' / 'main.cpp'
  syntax(program, includes=[library / 'src'], stubs=stubs, folder=tmp_path)


@pytest.mark.skipif(not shutil.which('pio'), reason='PlatformIO is not installed')
def test_platformio_packs_the_library(folder, tmp_path):
  command = ['pio', 'pkg', 'pack', folder / 'platformio' / 'cells', '-o', tmp_path]
  subprocess.run(command, check=True, timeout=120)
  assert (tmp_path / 'cells-1.0.0.tar.gz').is_file()


def configured(lists, folder):
  """Configures and builds a CMake project, and returns what CMake says."""
  (folder / 'CMakeLists.txt').write_text(
    'cmake_minimum_required(VERSION 3.16)\nproject(test LANGUAGES C CXX)\n' + lists
  )
  for command in (['-S', folder, '-B', folder / 'build'], ['--build', folder / 'build']):
    subprocess.run(['cmake', *command], check=True, timeout=120, capture_output=True)


needs_cmake = pytest.mark.skipif(not shutil.which('cmake'), reason='CMake is not installed')


@needs_cmake
def test_cmake_builds_two_networks_in_one_program(folder, tmp_path):
  both = '\n'.join(f'add_subdirectory({folder / "cmake" / name} {name})' for name in MODELS)
  configured(
    f"""
set(TFLM_DIR {HEADERS})
{both}
add_custom_target(all_checks ALL)
add_dependencies(all_checks {' '.join(f'{name}_check' for name in MODELS)})
""",
    tmp_path,
  )
  for name in MODELS:  # nothing runs the network here, and the program says so
    done = subprocess.run([tmp_path / 'build' / name / f'{name}_check'], check=False, timeout=60)
    assert done.returncode == 1


@needs_cmake
def test_cmake_tests_a_network_without_tflite_micro(folder, tmp_path):
  source = folder / 'cmake' / 'cells'
  for command in (
    ['cmake', '-S', source, '-B', tmp_path],
    ['cmake', '--build', tmp_path],
    ['ctest', '--test-dir', tmp_path, '--output-on-failure'],
  ):
    subprocess.run(command, check=True, timeout=120, capture_output=True)


def test_two_networks_pass_their_vectors_in_one_program(folder, tmp_path):
  """Their C files as the C++ world has them, on TFLite Micro's kernels."""
  sources = [folder / 'cpp' / name / 'src' / name for name in MODELS]
  programs = [folder / 'cpp' / name / 'examples' / 'check' / 'main.cc' for name in MODELS]
  flags = [f'-D{name.upper()}_NO_MAIN' for name in MODELS]
  flags += [flag for source in sources for flag in ('-I', source.parent)]
  copies = []
  for source, program in zip(sources, programs, strict=True):
    copies.append(shutil.copytree(source, tmp_path / source.name))
    shutil.copy(program, tmp_path / source.name)
  both = HostFirmware(copies, output=tmp_path / 'both.so', flags=flags)
  for name in MODELS:
    assert getattr(both.library, f'{name}_check')() == 0
    assert f'0 of {len(NAMES)} vectors differ' in both.printed()


IDF = {
  'driver/gpio.h': """
enum gpio_num_t { GPIO_NUM_2 = 2 };
enum { GPIO_MODE_OUTPUT };
inline int gpio_set_level(gpio_num_t, int) { return 0; }
inline int gpio_reset_pin(gpio_num_t) { return 0; }
inline int gpio_set_direction(gpio_num_t, int) { return 0; }
""",
  'esp_timer.h': '#include <cstdint>\ninline int64_t esp_timer_get_time() { return 0; }\n',
  'freertos/FreeRTOS.h': '#define pdMS_TO_TICKS(ms) (ms)\n',
  'freertos/task.h': 'inline void vTaskDelay(int) {}\n',
}
# The functions of a build system that a module calls, as libraries of CMake.
STAND_INS = """
function(idf_component_register)
  cmake_parse_arguments(IT "" "" "SRCS;INCLUDE_DIRS;PRIV_REQUIRES" ${ARGN})
  add_library(component STATIC ${IT_SRCS})
  target_include_directories(component PUBLIC ${IT_INCLUDE_DIRS} PRIVATE ${TFLM})
endfunction()
macro(zephyr_include_directories)
  include_directories(${ARGN})
endmacro()
macro(zephyr_library_named name)
  set(ZEPHYR_CURRENT_LIBRARY ${name})
  add_library(${name} STATIC)
  target_include_directories(${name} PRIVATE ${TFLM})
endmacro()
macro(zephyr_library_sources)
  target_sources(${ZEPHYR_CURRENT_LIBRARY} PRIVATE ${ARGN})
endmacro()
"""


@needs_cmake
@pytest.mark.parametrize('name', MODELS)
def test_the_esp_idf_component_builds_with_stand_ins(name, folder, tmp_path):
  component = folder / 'esp-idf' / name
  manifest = yaml.safe_load((component / 'idf_component.yml').read_text())
  assert re.fullmatch(r'\d+\.\d+\.\d+', manifest['version'])
  assert set(manifest) <= {'version', 'description', 'url', 'dependencies'}
  assert manifest['dependencies']['espressif/esp-tflite-micro']
  example = component / 'examples' / 'check'
  assert f'PRIV_REQUIRES {name} ' in (example / 'main' / 'CMakeLists.txt').read_text()
  configured(f'set(TFLM {HEADERS})\n{STAND_INS}\nadd_subdirectory({component} c)\n', tmp_path)
  program, includes = example / 'main' / 'main.cc', [component / 'src']
  syntax(program, includes=includes, stubs=IDF, folder=tmp_path / 'stubs')


ZEPHYR = {
  'zephyr/kernel.h': """
#include <cstdint>
inline void k_msleep(int) {}
inline int64_t k_uptime_get() { return 0; }
""",
  'zephyr/sys/printk.h': 'inline void printk(const char*, ...) {}\n',
  'zephyr/drivers/gpio.h': """
struct gpio_dt_spec { const void* port; };
#define DT_ALIAS(name) name
#define GPIO_DT_SPEC_GET_OR(node, property, otherwise) otherwise
enum { GPIO_OUTPUT_INACTIVE };
inline int gpio_pin_set_dt(const gpio_dt_spec*, int) { return 0; }
inline int gpio_pin_configure_dt(const gpio_dt_spec*, int) { return 0; }
""",
}


@needs_cmake
@pytest.mark.parametrize('name', MODELS)
def test_the_zephyr_module_builds_with_stand_ins(name, folder, tmp_path):
  module = folder / 'zephyr' / name
  declared = yaml.safe_load((module / 'zephyr' / 'module.yml').read_text())
  assert declared['name'] == name
  assert (module / declared['build']['cmake'] / 'CMakeLists.txt').is_file()
  kconfig = (module / declared['build']['kconfig']).read_text()
  option = f'MODEL_{name.upper()}'
  assert kconfig.startswith(f'config {option}\n')
  sample = module / 'samples' / 'check'
  assert f'CONFIG_{option}=y' in (sample / 'prj.conf').read_text()
  build = module / declared['build']['cmake']
  configured(
    f'set(TFLM {HEADERS})\nset(CONFIG_{option} y)\n{STAND_INS}\nadd_subdirectory({build} m)\n',
    tmp_path,
  )
  assert (tmp_path / 'build' / 'm' / f'lib{name}.a').is_file()
  program, includes = sample / 'src' / 'main.cpp', [module / 'src']
  syntax(program, includes=includes, stubs=ZEPHYR, folder=tmp_path / 'stubs')


def test_the_version_of_tflite_micro_is_the_installed_one():
  """The README of the CMake world names the commit with which this is tested."""
  version = metadata.version('tflite-micro')
  installed = datetime.datetime.strptime(version.split('dev')[1][:8], '%Y%m%d')
  assert f'{installed.day} {installed:%B %Y}' == SOURCES['tflm_date']
  assert f'/blob/{SOURCES["tflm_commit"]}/' in metadata.metadata('tflite-micro').get_payload()
