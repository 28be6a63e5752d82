"""Metadata and dependencies of rlnas; tool settings stand in pyproject.toml."""

import pathlib

from setuptools import find_packages, setup

setup(
  name='rlnas',
  version='0.2.0.dev0',
  description='Neural architecture search for microcontrollers by reinforcement learning',
  long_description=pathlib.Path(__file__).with_name('README.md').read_text(encoding='utf-8'),
  long_description_content_type='text/markdown',
  license='Apache-2.0',
  packages=find_packages(include=['rlnas', 'rlnas.*']),
  package_data={
    '': ['*.pyi'],
    'rlnas': ['py.typed'],
    'rlnas.export': ['templates/**'],
    'rlnas.reports': ['templates/*'],
  },
  entry_points={'console_scripts': ['rlnas=rlnas.cli.main:main']},
  python_requires='>=3.10,<3.14',
  install_requires=[
    'absl-py>=1.4',
    'flatbuffers>=25',
    'igraph>=1.0,<2',
    'jinja2>=3.1',
    'lazy-loader>=0.4',
    'matplotlib>=3.8',
    'mlxtend>=0.23',
    'numba>=0.62',
    'numpy>=1.26',
    'pandas>=2.2',
    'pillow>=10',
    'scikit-learn>=1.4',
    'scipy>=1.11',
    'tensorboard>=2.21,<2.22',
    'tensorflow>=2.21,<2.22',
    'tensorflow-model-optimization>=0.8.1,<0.9',
    'tf-keras>=2.21,<2.22',
    'tflite-micro; platform_system == "Linux" and platform_machine == "x86_64"',
    'threadpoolctl>=3.1',
    'tqdm>=4.66',
  ],
  extras_require={
    'optuna': ['optuna>=5'],
    'ray': ['ray>=2.60'],
    'dev': [
      'hypothesis>=6',
      'ipython>=8.18',
      'mypy>=1.11',
      'optuna>=5',
      'pandas-stubs>=2.2',
      'pebble>=5.0',  # of the benchmarks in experiments/
      'pytest>=8',
      'pytest-cov>=6',
      'pytest-xdist>=3.6',
      'ray>=2.60',
      'ruff>=0.6',
      'types-tqdm',
    ],
  },
)
