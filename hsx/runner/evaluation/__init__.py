"""Results measured: which rows there are, their pictures, the measures over them, and what comes of it."""

from hsx.runner.evaluation.evaluating import Evaluation, evaluate
from hsx.runner.evaluation.results import Result, Results
from hsx.runner.evaluation.sources import of_folders, of_run, of_table

__all__ = ["Evaluation", "Result", "Results", "evaluate", "of_folders", "of_run", "of_table"]
