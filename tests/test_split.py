from random import Random

import pandas as pd
import pytest
from conftest import edit
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ajuste.data.text import text_key
from ajuste.errors import PipelineError
from ajuste.files import read_json
from stages import split as stage

seeds = st.integers(0, 2**32 - 1)
SPLIT = stage.Split(seed=1, validation=0.1, test=0.1, by="review")


def table(count: int = 200, copies: int = 0) -> pd.DataFrame:
    """`count` reviews in two classes, and copies of the first ones with other case and spaces."""
    texts = [f"Film {number} it is." for number in range(count)]
    texts += [text.upper().replace(" ", "<br />") for text in texts[:copies]]
    labels = [("negative", "positive")[number % 2] for number in range(count)]
    return pd.DataFrame(
        {
            "review": texts,
            "label": labels + labels[:copies],
            "origin": [f"line {number}" for number in range(len(texts))],
        }
    )


def group_of(reviews: pd.DataFrame) -> pd.Series:
    return stage.grouped(reviews["review"].map(text_key))


def assign(reviews: pd.DataFrame, task: str = "binary", seed: int = 1) -> pd.Series:
    split = SPLIT.model_copy(update={"seed": seed})
    return stage.assign(reviews, group_of(reviews), task, split)


def divide(reviews: pd.DataFrame, task: str = "binary") -> dict[str, pd.DataFrame]:
    return stage.divide(reviews, group_of(reviews), task, SPLIT)


def parts_of_texts(reviews: pd.DataFrame, part: pd.Series) -> pd.Series:
    return part.groupby(reviews["review"].map(text_key)).nunique()


def test_a_text_with_two_labels_is_in_one_part():
    reviews = pd.concat([table(60), table(60).assign(label="positive")], ignore_index=True)
    assert parts_of_texts(reviews, assign(reviews)).max() == 1


def test_the_sizes_are_the_shares_and_the_classes_are_balanced():
    parts = divide(table(200, copies=20))
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 176,
        "validation": 22,
        "test": 22,
    }
    for part in parts.values():
        assert part["label"].value_counts().nunique() == 1


def edited(reviews: pd.DataFrame, count: int) -> pd.DataFrame:
    """Reviews of 30 words, and the first `count` again with one other word and another label."""
    texts = [" ".join(f"w{number}x{place}" for place in range(30)) for number in reviews.index]
    reviews = reviews.assign(review=texts)
    again = reviews[:count].assign(label=["positive", "negative"] * (count // 2))
    again["review"] = again["review"].str.replace("x7 ", "x7a ")
    return pd.concat([reviews, again], ignore_index=True)


@settings(max_examples=20)
@given(seeds)
def test_near_duplicates_are_in_one_part_and_single_reviews_fill_the_parts(seed):
    part = assign(edited(table(200), 40), seed=seed)
    assert part[:40].tolist() == part[200:].tolist()
    assert part.value_counts().to_dict() == {"train": 192, "validation": 24, "test": 24}


@settings(max_examples=10)
@given(st.permutations(range(120)))
def test_the_order_of_the_rows_changes_nothing(rows):
    reviews = edited(table(100), 20)
    one, other = divide(reviews), divide(reviews.iloc[rows].reset_index(drop=True))
    for name in one:
        assert one[name]["review"].tolist() == other[name]["review"].tolist()
        assert one[name]["label"].tolist() == other[name]["label"].tolist()


def test_a_share_of_the_training_part_leaves_the_other_parts_as_they_are(in_tmp, capsys):
    stage.REVIEWS.parent.mkdir(parents=True)
    table(200).to_parquet(stage.REVIEWS)
    found = {}
    for share in ("1.0", "0.25"):
        edit(in_tmp / "params.yaml", {"train_share: 1.0": f"train_share: {share}"})
        stage.main()
        parts = ("train", "validation", "test")
        found[share] = [pd.read_parquet(stage.FOLDER / f"{part}.parquet") for part in parts]
    whole, some = found.values()
    assert some[0].equals(whole[0].head(40))
    assert some[1].equals(whole[1])
    assert some[2].equals(whole[2])
    assert read_json(stage.METRICS)["left_out"] == 0
    assert "left out" not in capsys.readouterr().out


def test_the_parts_are_not_ordered_by_label():
    labels = divide(table(200))["train"]["label"]
    changes = (labels != labels.shift()).sum()
    assert changes > 40


def test_another_seed_is_another_split():
    reviews = table(100)
    assert (assign(reviews) != assign(reviews, seed=2)).any()


def test_more_reviews_keep_most_of_the_others_in_their_part():
    part = assign(table(200))
    larger = assign(table(210))
    assert (part == larger.iloc[:200]).mean() > 0.95


def test_an_official_split_is_kept_and_its_copies_are_left_out():
    reviews = table(100, copies=5)
    reviews["official_split"] = ["train"] * 100 + ["test"] * 5
    part = assign(reviews)
    assert (part[100:] == "test").all()
    assert part[:5].isna().all()
    assert part[5:100].value_counts().to_dict() == {"train": 85, "validation": 10}


def test_near_duplicates_of_an_official_test_review_are_left_out():
    reviews = edited(table(100), 6)
    reviews["official_split"] = ["train"] * 100 + ["test"] * 6
    part = assign(reviews)
    assert part[:6].isna().all()
    assert (part[100:] == "test").all()
    assert part[6:100].notna().all()


def test_reviews_that_are_left_out_are_counted_and_named(in_tmp, capsys):
    stage.REVIEWS.parent.mkdir(parents=True)
    reviews = table(100, copies=7)
    reviews["official_split"] = ["train"] * 100 + ["test"] * 7
    reviews["origin"] = [f"{number}.txt" for number in range(107)]
    reviews.to_parquet(stage.REVIEWS)
    stage.main()
    said = capsys.readouterr().out
    assert "7 training reviews left out" in said
    assert said.endswith("test half: 0.txt, 1.txt, 2.txt, 3.txt, 4.txt, ...\n")
    assert read_json(stage.METRICS)["left_out"] == 7


def test_reviews_that_are_kept_together_are_counted():
    reviews = edited(table(100), 6)
    copies = pd.concat([reviews, reviews[90:95]], ignore_index=True)
    text = copies["review"].map(text_key)
    assert stage.alike(text, stage.grouped(text)) == {"copies": 10, "near_duplicates": 12}


@settings(max_examples=20)
@given(seeds)
@example(208562)
def test_the_reviews_of_a_film_are_in_one_part_within_its_bounds(seed):
    reviews = edited(table(300), 20)
    chance = Random(seed)
    films = pd.Series([chance.choice([*"abcdefgh", None]) for _ in range(20)] * 16)
    reviews["group"] = films + (reviews.index // 20).map(str)
    group = stage.joined(group_of(reviews), reviews["group"])
    split = SPLIT.model_copy(update={"seed": seed})
    part = stage.assign(reviews, group, "binary", split)
    assert part.groupby(reviews["group"]).nunique().max() == 1
    assert part[:20].tolist() == part[300:].tolist()
    in_training = pd.crosstab(group[part == "train"], reviews["label"])
    for name in ("validation", "test"):
        room = 16 - reviews["label"][part == name].value_counts()
        assert (room >= 0).all()
        assert in_training.gt(room, axis=1).any(axis=1).all()


def test_films_with_a_common_near_duplicate_are_one_group():
    reviews = edited(table(100), 2)
    reviews["group"] = ["a", "b", None, None, "c", *[None] * 95, "c", None]
    group = stage.joined(group_of(reviews), reviews["group"])
    assert group[0] == group[4] == group[100]
    assert group[1] == group[101] != group[0]
    assert group.nunique() == 99


def test_a_split_by_group_needs_groups(in_tmp):
    stage.REVIEWS.parent.mkdir(parents=True)
    table(100).to_parquet(stage.REVIEWS)
    edit(in_tmp / "params.yaml", {"by: review": "by: group"})
    with pytest.raises(PipelineError, match=r"set `data\.csv\.group` to the column of the groups"):
        stage.main()


def test_a_split_by_group_keeps_films_in_one_part_and_says_how_many_groups(in_tmp):
    stage.REVIEWS.parent.mkdir(parents=True)
    films = [str(number // 4) for number in range(100)]
    table(100).assign(group=films).to_parquet(stage.REVIEWS)
    edit(in_tmp / "params.yaml", {"by: review": "by: group"})
    stage.main()
    assert read_json(stage.METRICS)["groups"] == 25
    parts = [pd.read_parquet(stage.FOLDER / f"{name}.parquet") for name in ("train", "test")]
    lines = [part["origin"].str.removeprefix("line ").astype(int) // 4 for part in parts]
    assert not set(lines[0]) & set(lines[1])
    for part, film in zip(parts, lines, strict=True):  # the number of the group, one for each film
        assert len(set(zip(part["group"], film, strict=True))) == len(set(film))
        assert part["group"].nunique() == len(set(film))
    assert not set(parts[0]["group"]) & set(parts[1]["group"])


@pytest.mark.parametrize(
    ("task", "texts"),
    [
        ("multilabel", ["drama|comedy", "drama", "", "comedy"]),
        ("regression", ["1", "7.5", "3", "10"]),
    ],
)
def test_labels_that_are_not_classes_are_divided_together(task, texts):
    reviews = table(200, copies=20).assign(label=texts * 55)
    parts = divide(reviews, task)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 176,
        "validation": 22,
        "test": 22,
    }
    assert parts_of_texts(reviews, assign(reviews, task)).max() == 1


def test_each_of_several_classes_gets_its_share():
    reviews = table(200).assign(label=[str(number % 4) for number in range(200)])
    for part in divide(reviews, "multiclass").values():
        assert part["label"].value_counts().nunique() == 1


@pytest.mark.parametrize(
    ("task", "label", "said"),
    [
        ("multilabel", "drama|rare", "part has none with the label 'rare'"),
        ("multiclass", "rare", "part has none with the label 'rare'"),
    ],
)
def test_a_part_without_a_class_is_refused(task, label, said):
    reviews = table(100)
    reviews["label"] = "drama"
    reviews.loc[0, "label"] = label
    with pytest.raises(PipelineError, match=said):
        divide(reviews, task)


def test_an_empty_part_is_refused():
    reviews = table(4).assign(label=["1", "2", "3", "4"])
    with pytest.raises(PipelineError, match="too few reviews, the validation part has none;"):
        divide(reviews, "regression")


def test_too_few_reviews_are_refused():
    with pytest.raises(PipelineError, match="too few reviews"):
        divide(table(6))


def test_without_a_test_part_its_reviews_are_for_training(in_tmp):
    settings = stage.Split(seed=1, validation=0.1, test=0, by="review")
    parts = stage.divide(table(100), table(100)["review"], "binary", settings)
    assert {name: len(part) for name, part in parts.items()} == {
        "train": 90,
        "validation": 10,
        "test": 0,
    }


@pytest.mark.parametrize("shares", [(0.5, 0.5), (0.0, 0.1), (1.0, 0.0)])
def test_shares_that_leave_nothing_to_train_are_refused(shares):
    with pytest.raises(ValueError, match=r"and with `test` below 1|less than 1"):
        stage.Split(seed=1, validation=shares[0], test=shares[1], by="review")
