"""Results in the formats of other tools, and our indexes inside them: MTEB, TREC."""
