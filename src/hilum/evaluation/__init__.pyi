from .cases import Case as Case
from .cases import CaseResult as CaseResult
from .cases import Grid as Grid
from .cases import SideChoice as SideChoice
from .cases import evaluate_case as evaluate_case
from .compare import EVALUATION_FOLDER as EVALUATION_FOLDER
from .compare import Comparison as Comparison
from .evaluate import evaluate_masks as evaluate_masks
from .evaluate import evaluate_run as evaluate_run
from .evaluate import is_run as is_run
from .metrics import METRICS as METRICS
from .output import write_comparison as write_comparison
from .output import write_evaluation as write_evaluation
from .result import Evaluation as Evaluation
from .result import Failure as Failure
from .tree_metrics import TREE_METRICS as TREE_METRICS
from .tree_metrics import tree_values as tree_values
from .tree_parts import TreeBin as TreeBin
from .trees import TreeScores as TreeScores
from .trees import cl_dice as cl_dice
from .trees import score_tree as score_tree
from .views import view_of as view_of

__all__ = [
    "EVALUATION_FOLDER",
    "METRICS",
    "TREE_METRICS",
    "Case",
    "CaseResult",
    "Comparison",
    "Evaluation",
    "Failure",
    "Grid",
    "SideChoice",
    "TreeBin",
    "TreeScores",
    "cl_dice",
    "evaluate_case",
    "evaluate_masks",
    "evaluate_run",
    "is_run",
    "score_tree",
    "tree_values",
    "view_of",
    "write_comparison",
    "write_evaluation",
]
