"""From a finished search to its winner: the finalists are trained fully."""
