"""Which sentences of the minimal pairs in `benchmarks/pairs.yaml` a trained model gets right.

    python -m benchmarks.pairs [FOLDER ...]

The default folder is `data/model`; the task must be binary.
"""

import argparse
from pathlib import Path

from ruamel.yaml import YAML

from ajuste.errors import run
from ajuste.tasks import THRESHOLD
from serving.classifier import Classifier

PAIRS = Path(__file__).with_suffix(".yaml")


def measured(folder: Path, pairs: dict[str, list[list[str]]]) -> dict[str, list[tuple[bool, bool]]]:
    """For each kind of pairs, whether the negative and the positive sentence are right."""
    classifier = Classifier.load(folder)
    found = {}
    for kind, sentences in pairs.items():
        negative, positive = (
            classifier.probability([pair[place] for pair in sentences]) for place in (0, 1)
        )
        right = negative < THRESHOLD, positive >= THRESHOLD
        found[kind] = [(bool(no), bool(yes)) for no, yes in zip(*right, strict=True)]
    return found


def main() -> None:
    """Print the share of sentences and of pairs that are right, and the wrong sentences."""
    parser = argparse.ArgumentParser(description="Measure a trained model on minimal pairs.")
    parser.add_argument("folders", nargs="*", type=Path, default=[Path("data/model")])
    pairs = YAML(typ="safe").load(PAIRS.read_text(encoding="utf-8"))
    for folder in parser.parse_args().folders:
        found = measured(folder, pairs)
        every = [pair for of_kind in found.values() for pair in of_kind]
        print(
            f"{folder}: {sum(map(sum, every))} of {2 * len(every)} sentences, "
            f"{sum(map(all, every))} of {len(every)} pairs"
        )
        for kind, of_kind in found.items():
            right = sum(map(sum, of_kind))
            print(f"  {kind}: {right} of {2 * len(of_kind)} sentences")
            for sentences, pair in zip(pairs[kind], of_kind, strict=True):
                for sentence, is_right in zip(sentences, pair, strict=True):
                    if not is_right:
                        print(f"    wrong: {sentence}")


if __name__ == "__main__":
    run("pairs", main)
