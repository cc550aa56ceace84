"""Quality at the size that a corpus will have: exactly below it, with bounds above it."""

from bench.projection.dimensions import dimension_needed
from bench.projection.folders import project_folder
from bench.projection.projecting import COLUMNS, MOST_TIMES, project

__all__ = ["COLUMNS", "MOST_TIMES", "dimension_needed", "project", "project_folder"]
