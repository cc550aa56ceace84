"""From trials to rows: the runner, a watched worker process per index, the clock, the searches."""
