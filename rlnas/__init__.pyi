from . import (
  child,
  cost,
  data,
  evaluation,
  export,
  finishing,
  reports,
  reward,
  search,
  spaces,
  strategies,
  testing,
  tflite,
)
from .architecture import Architecture, Graph, Node, TaskShape, infer_shapes
from .board import BOARDS, Board, find_board, load_board
from .budget import UNLIMITED, Budget, Resources
from .cli.build import build_space
from .cli.config import FinishConfig, SearchConfig
from .cli.config_file import read_config
from .cli.dataframe import to_dataframe
from .cli.finished import FinishedSearch, load
from .cli.search import run
from .cost.builds import BUILDS, Build, find_build
from .cost.cost import Cost, estimate_cost
from .data.dataset import Dataset
from .data.metrics import Metric
from .evaluation.cached import Cached
from .evaluation.executors import ExecutorError, InProcess, WorkerPool
from .evaluation.lookup import Lookup
from .evaluation.ray_executor import RayCluster
from .evaluation.screened import Screened, excess, may_fit
from .evaluation.trained import Stage, Trained
from .evaluation.weight_sharing import WeightSharing
from .export.bundle import export_model
from .finishing.choice import Prefer
from .finishing.plan import Plan, Teaching
from .finishing.recipe import Recipe
from .finishing.winner import Winner, finish_best, write_winner
from .interfaces import (
  Evaluator,
  Executor,
  LiveObserver,
  Observer,
  Reward,
  StagedEvaluator,
  Strategy,
)
from .pareto import best_trial, pareto_front
from .reports.notebook import Progress
from .reports.progress_bar import ProgressBar
from .reports.tensorboard import TensorBoard
from .search.fidelity import (
  CurveExtrapolation,
  Pruner,
  SuccessiveHalving,
  as_blockqnn,
  by_regression,
  promote_none,
)
from .search.journal import Journal, JournalError, read_journal
from .search.loop import SearchError, run_search
from .spaces import layers
from .spaces.blockqnn import BlockQNN
from .spaces.chain import Chain
from .spaces.decision import Decision, Space, decode
from .spaces.joint import Joint
from .spaces.multibranch import MultiBranch
from .spaces.nasbench201 import NasBench201
from .spaces.nasnet import NASNet
from .spaces.preprocessed import Preprocessed
from .spaces.preprocessed_sound import PreprocessedSound
from .spaces.recurrent import Recurrent
from .spaces.table import Table, compile_table, mutate, sample_uniform
from .spaces.temporal import Temporal
from .strategies import losses
from .strategies.admitting import Admitting
from .strategies.controller import Controller
from .strategies.evolution import Evolution
from .strategies.local_search import LocalSearch
from .strategies.optuna_sampler import OptunaSampler
from .strategies.ppo import PPO
from .strategies.qlearning import QLearning
from .strategies.random_search import RandomSearch
from .strategies.reinforce import Reinforce
from .strategies.zoph_le import CubedReward, ZophLe
from .tflite.inspection import measure
from .trial import Measurement, Proposal, Status, Terms, Trial

__version__: str

__all__ = [
  'BOARDS',
  'BUILDS',
  'PPO',
  'UNLIMITED',
  'Admitting',
  'Architecture',
  'BlockQNN',
  'Board',
  'Budget',
  'Build',
  'Cached',
  'Chain',
  'Controller',
  'Cost',
  'CubedReward',
  'CurveExtrapolation',
  'Dataset',
  'Decision',
  'Evaluator',
  'Evolution',
  'Executor',
  'ExecutorError',
  'FinishConfig',
  'FinishedSearch',
  'Graph',
  'InProcess',
  'Joint',
  'Journal',
  'JournalError',
  'LiveObserver',
  'LocalSearch',
  'Lookup',
  'Measurement',
  'Metric',
  'MultiBranch',
  'NASNet',
  'NasBench201',
  'Node',
  'Observer',
  'OptunaSampler',
  'Plan',
  'Prefer',
  'Preprocessed',
  'PreprocessedSound',
  'Progress',
  'ProgressBar',
  'Proposal',
  'Pruner',
  'QLearning',
  'RandomSearch',
  'RayCluster',
  'Recipe',
  'Recurrent',
  'Reinforce',
  'Resources',
  'Reward',
  'Screened',
  'SearchConfig',
  'SearchError',
  'Space',
  'Stage',
  'StagedEvaluator',
  'Status',
  'Strategy',
  'SuccessiveHalving',
  'Table',
  'TaskShape',
  'Teaching',
  'Temporal',
  'TensorBoard',
  'Terms',
  'Trained',
  'Trial',
  'WeightSharing',
  'Winner',
  'WorkerPool',
  'ZophLe',
  'as_blockqnn',
  'best_trial',
  'build_space',
  'by_regression',
  'child',
  'compile_table',
  'cost',
  'data',
  'decode',
  'estimate_cost',
  'evaluation',
  'excess',
  'export',
  'export_model',
  'find_board',
  'find_build',
  'finish_best',
  'finishing',
  'infer_shapes',
  'layers',
  'load',
  'load_board',
  'losses',
  'may_fit',
  'measure',
  'mutate',
  'pareto_front',
  'promote_none',
  'read_config',
  'read_journal',
  'reports',
  'reward',
  'run',
  'run_search',
  'sample_uniform',
  'search',
  'spaces',
  'strategies',
  'testing',
  'tflite',
  'to_dataframe',
  'write_winner',
]
