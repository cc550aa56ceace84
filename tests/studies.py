"""Parts of study files that several tests measure, to be formatted."""

FLAT_AND_HNSW = """
[[configurations]]
backend = "faiss-flat"
[[configurations]]
backend = "faiss-hnsw"
build = {{ M = 8, ef_construction = 40 }}
search = {{ ef = [10, 40] }}
"""
RESCORED = """
[[configurations]]
backend = "faiss-flat"
stages = {{ shortlist = 30 }}
dimensions = [8]
"""
