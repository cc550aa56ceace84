"""A study: a TOML file that names what to sweep, and the trials it expands to."""
