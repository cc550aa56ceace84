"""Runs on a real Ray cluster: several node processes on this machine, each with its own cache."""
