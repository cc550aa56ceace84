"""A small test collection that the tests make: graded judgements, several relevant documents."""

import itertools
import json

THINGS = [
    "apple",
    "river",
    "engine",
    "violin",
    "planet",
    "kitchen",
    "doctor",
    "bridge",
    "winter",
    "market",
    "castle",
    "garden",
]
MANNERS = ["old", "bright", "small", "broken", "famous", "quiet", "heavy", "painted"]
PLACES = [
    "near the sea",
    "in the mountains",
    "under the city",
    "behind the school",
    "along the road",
]
ACTS = ["was sold", "is visited", "is repaired"]


def write_collection(folder):
    """Write a BEIR folder of 1,440 documents and 96 queries; about fifteen are relevant to each."""
    documents = list(itertools.product(THINGS, MANNERS, PLACES, ACTS))
    corpus = [
        {"_id": f"d{i}", "title": thing, "text": f"a {manner} {thing} that {act} {place}"}
        for i, (thing, manner, place, act) in enumerate(documents)
    ]
    queries, lines = [], []
    for i, (thing, manner) in enumerate(itertools.product(THINGS, MANNERS)):
        place = PLACES[i % len(PLACES)]
        queries.append({"_id": f"q{i}", "text": f"where is the {manner} {thing} {place}"})
        for j, (other, how, where, _) in enumerate(documents):
            if (other, how) == (thing, manner):
                lines.append(f"q{i}\td{j}\t{2 if where == place else 1}\n")
    for name, entries in (("corpus", corpus), ("queries", queries)):
        text = "".join(json.dumps(entry) + "\n" for entry in entries)
        (folder / f"{name}.jsonl").write_text(text)
    (folder / "qrels").mkdir()
    header = "query-id\tcorpus-id\tscore\n"
    (folder / "qrels" / "test.tsv").write_text(header + "".join(lines))
    return folder
