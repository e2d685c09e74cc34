import pandas as pd

from benchmarks.films import in_order_of_package


def test_the_package_has_the_files_of_a_label_in_reverse_runs_of_128():
    files = [(half, side, number) for half in ("train", "test") for side in ("pos", "neg")
             for number in range(300)]  # fmt: skip
    official = pd.DataFrame(
        {
            "label": [{"neg": "negative", "pos": "positive"}[side] for _, side, _ in files],
            "origin": [f"{half}/{side}/{number}_7.txt" for half, side, number in files],
            "official_split": [half for half, _, _ in files],
        }
    ).sample(frac=1, random_state=1)
    order = [*range(127, -1, -1), *range(255, 127, -1), *range(299, 255, -1)]
    expected = [f"train/{side}/{number}_7.txt" for side in ("neg", "pos") for number in order]
    assert in_order_of_package(official)["origin"].tolist() == expected
