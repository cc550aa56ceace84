"""The tables: every column declared once, a store that a kill cannot damage, and which rows are which."""
