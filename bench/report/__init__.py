"""What people look at: the page and the terminal, both from `bench.analysis.summary`."""
