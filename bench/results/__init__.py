"""The tables: column declarations, a store that a kill cannot damage, selections of rows."""
