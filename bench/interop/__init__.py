"""Export results to MTEB and TREC, and run our indexes inside MTEB."""
