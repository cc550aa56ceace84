"""The gate: both sides of a change measured together, and whether the change lost anything."""
