"""What the README promises, computed anew: each module prints a table. No tests."""
