"""From trials to rows: a runner, a watched process for each index, the clock, and what is timed."""
