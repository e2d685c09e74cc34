"""The proposal of parameters for a CSV file."""

import csv
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT, run

from ajuste.config import reader
from ajuste.config.edit import with_values
from ajuste.data import proposal
from ajuste.data.csv_reader import guessed_separator
from ajuste.errors import PipelineError
from stages import fetch, new_data, validate

TEXT = (ROOT / "params.yaml").read_text(encoding="utf-8")
PARAMS = reader.parse(TEXT, "params.yaml") | {"model": "gru"}  # a network of word vectors
HEAVY = {"keras", "tensorflow", "great_expectations"}
ENGLISH = "This is the best film that I have seen in a year, and it was not long: number {}."
SPANISH = "La pel\u00edcula es muy buena y los actores no est\u00e1n mal en la versi\u00f3n {}."
FRENCH = "Le film est tr\u00e8s bon et les acteurs ne sont pas mal dans la version {}."


def write(name: str, columns: dict[str, list], separator: str = ",", first: str = "") -> Path:
    """Write columns as a CSV file in the current folder."""
    path = Path(name)
    with path.open("w", encoding="utf-8", newline="") as file:
        file.write(first)
        out = csv.writer(file, delimiter=separator)
        out.writerow(columns)
        out.writerows(zip(*columns.values(), strict=True))
    return path


def cycle(*labels, count: int = 300) -> list:
    return [labels[row % len(labels)] for row in range(count)]


def texts(template: str = ENGLISH, count: int = 300) -> list[str]:
    return [template.format(row) for row in range(count)]


def proposed(path: Path, **asked) -> tuple[dict, str]:
    """The values that are proposed, by their full keys, and the remarks."""
    table = proposal.read_table(path, guessed_separator(path))
    found = proposal.propose(table, PARAMS, **asked)
    return {".".join(one.key): one.value for one in found.settings}, "\n".join(found.remarks)


FILES = {
    "words": ({"review": texts(), "sentiment": cycle("positive", "negative")}, {}, {
        "task": "binary", "data.source": "csv", "data.csv.text": "review",
        "data.csv.label": "sentiment", "data.csv.labels": ["negative", "positive"],
        "data.csv.mapping": {}, "data.csv.group": None, "gate.bounds": {},
    }),
    "semicolons": ({"a": cycle(*"xy"), "texto, largo": texts()}, {"separator": ";"}, {
        "data.csv.separator": ";", "data.csv.text": "texto, largo", "data.csv.label": "a",
    }),
    "tabs": ({"label": cycle("yes", "no"), "body": texts()}, {"separator": "\t"}, {
        "data.csv.separator": "\t", "data.csv.labels": ["no", "yes"],
    }),
    "for Excel": ({"texto": texts(SPANISH), "opini\u00f3n": cycle("buena", "mala")},
                  {"separator": ";", "first": "\ufeffsep=;\r\n"}, {
        "data.csv.separator": ";", "data.csv.labels": ["mala", "buena"], "language": "spanish",
        "models.gru.embedding": "scratch", "models.gru.max_features": 10000,
    }),
    "another language": ({"avis": texts(FRENCH), "label": cycle("0", "1")}, {}, {
        "language": "other", "models.gru.embedding": "scratch", "data.csv.labels": ["0", "1"],
    }),
    "spaces and spellings": ({" review ": texts(),
                              "label": cycle(" Good", "Good", "good ", "bad", "N/A")}, {}, {
        "data.csv.text": "review", "data.csv.labels": ["bad", "Good"],
        "data.csv.mapping": {"N/A": None, "good": "Good"},
    }),
    "stars": ({"id": range(300), "stars": cycle(5, 1, 4, 2, 3), "review": texts(),
               "product_id": [row // 10 for row in range(300)]}, {}, {
        "task": "multiclass", "data.csv.label": "stars", "data.csv.labels": list("12345"),
        "data.csv.mapping": {},
    }),
    "stars of a program": ({"stars": cycle("5.0", "1.0", "5.0", "5"), "text": texts()}, {}, {
        "task": "binary", "data.csv.labels": ["1.0", "5.0"], "data.csv.mapping": {"5": "5.0"},
    }),
    "numbers": ({"text": texts(), "nota": [f"{row % 97 / 10:.1f}" for row in range(300)]}, {}, {
        "task": "regression", "data.csv.labels": [0, 9.6],
    }),
    "decimal commas": ({"nota": [f"{row % 97 // 10},{row % 7}" for row in range(300)],
                        "text": texts()}, {"separator": ";"}, {
        "task": "regression", "data.csv.labels": [0, 9.6],
    }),
    "several labels": ({"plot": texts(), "genres": cycle("drama| comedy", "", "drama")}, {}, {
        "task": "multilabel", "data.csv.labels": ["comedy", "drama"],
    }),
    "a rare label": ({"text": texts(), "kind": cycle(*["ham"] * 19, "spam")}, {}, {
        "data.csv.labels": ["ham", "spam"], "evaluate.score": "average_precision",
        "validate.min_class_share": 0.045,
    }),
    "few rows": ({"text": texts(count=50), "label": cycle("a", "b", count=50)}, {}, {
        "validate.min_reviews": 50,
    }),
    "rows that fail": ({"text": ["", *texts(count=296), "x", "x", "x " * 6000],
                        "label": cycle("a", "b", "", count=300)}, {}, {
        "validate.drop": ["empty", "label", "length", "conflict"],
    }),
    "long texts": ({"text": cycle(*[f"{ENGLISH} " * 400] * 3), "label": cycle("a", "b")}, {}, {
        "validate.max_words": 7600, "validate.drop": ["duplicate", "conflict"],
    }),
    "markup": ({"text": texts("<div>" + ENGLISH + "</div>"), "label": cycle("a", "b")}, {}, {
        "validate.max_markup": 1.0,
    }),
}  # fmt: skip


@pytest.mark.parametrize(("columns", "options", "expected"), FILES.values(), ids=FILES)
def test_a_file_is_understood(in_tmp, columns, options, expected):
    found, _ = proposed(write("a.csv", columns, **options))
    assert {key: found.get(key, "nothing") for key in expected} == expected
    beyond = {key for key in found if key.split(".")[0] in ("validate", "evaluate", "models")}
    allowed = {key.rsplit(".", 1)[0] for key in expected} | {"models.gru"}
    assert {key.rsplit(".", 1)[0] for key in beyond} <= allowed


REMARKS = {
    "stars": "`mapping: {'1': negative, '2': negative, '3': null, '4': positive, '5': positive}`",
    "a rare label": "the order of the labels is a guess: `probability` will be that of 'spam'",
    "for Excel": "the bundled word vectors are English",
    "few rows": "50 reviews are few",
}


@pytest.mark.parametrize("case", REMARKS)
def test_what_the_user_must_decide_is_said(in_tmp, case):
    columns, options, _ = FILES[case]
    _, remarks = proposed(write("a.csv", columns, **options))
    assert REMARKS[case] in remarks


def test_a_column_of_groups_is_named_and_used_only_if_asked(in_tmp):
    path = write("a.csv", FILES["stars"][0])
    found, remarks = proposed(path)
    assert "GROUP=product_id" in remarks
    assert "split.by" not in found
    found, remarks = proposed(path, group="product_id")
    assert (found["data.csv.group"], found["split.by"]) == ("product_id", "group")
    assert "GROUP" not in remarks


def test_what_is_asked_for_overrides_a_guess(in_tmp):
    columns = {
        "pros": texts(count=300),
        "cons": texts(f"{ENGLISH} x y z"),
        "stars": cycle(1, 2, 3, 4, 5),
    }
    path = write("a.csv", columns | {"label": cycle("x", "y")})
    found, remarks = proposed(path)
    assert (found["data.csv.text"], found["data.csv.label"]) == ("cons", "label")
    assert "`pros`; TEXT=..." in remarks
    assert "`stars`; LABEL=..." in remarks
    found, _ = proposed(path, text="pros", label="stars", task="binary")
    assert found["data.csv.text"] == "pros"
    assert found["data.csv.labels"] == ["negative", "positive"]
    sides = {"1": "negative", "2": "negative", "3": None, "4": "positive", "5": "positive"}
    assert found["data.csv.mapping"] == sides
    assert proposed(path, label="stars", task="unit_regression")[0]["data.csv.labels"] == [1, 5]


def test_three_names_become_two_if_asked(in_tmp):
    path = write("a.csv", {"text": texts(), "label": cycle("Positive", "neutral", "Negative")})
    found, _ = proposed(path, task="binary")
    assert found["data.csv.labels"] == ["negative", "positive"]
    mapping = {"Negative": "negative", "Positive": "positive", "neutral": None}
    assert found["data.csv.mapping"] == mapping


@pytest.mark.parametrize(
    ("columns", "asked", "said"),
    [
        ({"review": texts()}, {}, "two columns are needed, of texts and of labels"),
        ({"id": range(300), "n": range(300)}, {}, "two columns are needed"),
        ({"review": texts(), "id": range(300)}, {}, "no column looks like labels; name one with"),
        ({"review": texts(), "n": cycle("a")}, {"label": "n"}, "`n` has 1 labels, such as 'a'; b"),
        ({"review": texts(), "n": texts("{}x")}, {"label": "n"}, "`n` has 300 labels, such as"),
        ({"review": texts(), "n": cycle("a", "b")}, {"label": "m"}, "no column `m`; the file has"),
        ({"review": texts(), "n": cycle("a", "b")}, {"task": "regression"}, "not have different"),
        ({"review": texts(), "n": cycle(*"abc")}, {"task": "binary"}, "do not say which are neg"),
    ],
)  # fmt: skip
def test_a_file_that_is_not_understood_is_refused(in_tmp, columns, asked, said):
    with pytest.raises(PipelineError, match=said) as error:
        proposed(write("a.csv", columns), **asked)
    assert "\n" not in str(error.value)


def test_large_files_are_sampled_but_not_their_empty_rows(in_tmp, monkeypatch):
    monkeypatch.setattr(proposal, "CHECKED", 2000)
    reviews = texts()
    reviews[7] = ""
    found, remarks = proposed(write("a.csv", {"text": reviews, "label": cycle("a", "b")}))
    assert found["validate.drop"] == ["empty"]
    assert "of 300 rows were checked" in remarks


def test_nothing_is_written_until_it_is_asked_for(in_tmp, capsys):
    write("a.csv", FILES["words"][0])
    new_data.main(["a.csv"])
    said = capsys.readouterr().out
    assert "line 2: 'positive': This is the best film" in said
    assert "  csv:\n    path: a.csv\n" in said
    assert "    labels:           # the negative one first\n    - negative\n" in said
    assert "WRITE=1 writes it" in said
    assert said.endswith("  make repro\n")
    assert Path("params.yaml").read_text(encoding="utf-8") == TEXT


@pytest.mark.parametrize("case", ["stars", "for Excel", "rows that fail", "decimal commas"])
def test_what_is_written_passes_the_first_stages_and_keeps_the_comments(in_tmp, case):
    columns, options, _ = FILES[case]
    write("a.csv", columns, **options)
    new_data.main(["a.csv", "--write"])
    text = Path("params.yaml").read_text(encoding="utf-8")
    comments = [line for line in TEXT.splitlines() if line.strip().startswith("#")]
    assert [line for line in text.splitlines() if line.strip().startswith("#")] == comments
    fetch.main()
    validate.main()


def test_values_that_stay_keep_their_bytes():
    assert with_values(TEXT, {}) == TEXT
    there = {("gate", "bounds"): {}, ("data", "csv", "mapping"): {"1": "a", "x": None}}
    back = {("gate", "bounds"): {"accuracy": 0.75}, ("data", "csv", "mapping"): {}}
    changed = with_values(TEXT, there)
    assert reader.parse(changed, "")["data"]["csv"]["mapping"] == {"1": "a", "x": None}
    assert with_values(changed, back) == TEXT


def test_a_key_that_is_new_is_the_last_of_its_section():
    text = "a:\n  b: 1\n\n# about c\nc: 2\n"
    changed = with_values(text, {("a", "d"): ["x"], ("e",): None})
    assert changed == "a:\n  b: 1\n  d:\n  - x\n\n# about c\nc: 2\ne: null\n"


def test_a_section_that_is_missing_is_made():
    assert with_values("a: 1\nb:\n", {("b", "c", "d"): 1}) == "a: 1\nb:\n  c:\n    d: 1\n"


def test_parameters_with_a_fault_are_not_written(in_tmp, capsys):
    write("a.csv", FILES["words"][0])
    Path("params.yaml").write_text(TEXT.replace("seed: 1", "seed: -1", 1), encoding="utf-8")
    with pytest.raises(PipelineError, match="is unchanged, the proposal has faults: `seed`"):
        new_data.main(["a.csv", "--write"])
    assert "source: bundled" in Path("params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(TEXT.replace("max_words: 5000", "max_words: many"))
    with pytest.raises(PipelineError, match=r"`validate\.max_words`: must be a valid integer"):
        new_data.main(["a.csv"])


def test_the_commands_that_track_a_file(in_tmp):
    write("a b.csv", FILES["few rows"][0])
    assert new_data.untracked(Path("a b.csv")) == []  # no repository
    run("git", "init", "--quiet", cwd=in_tmp)
    assert new_data.untracked(Path("a b.csv"))[0].startswith("git add 'a b.csv'")
    run("git", "add", "a b.csv", cwd=in_tmp)
    assert new_data.untracked(Path("a b.csv")) == []
    with Path("large.csv").open("wb") as file:
        file.truncate(new_data.IN_GIT + 1)
    assert new_data.untracked(Path("large.csv"))[0].startswith("dvc add large.csv && git add ")
    Path("large.csv.dvc").touch()
    assert new_data.untracked(Path("large.csv")) == []


def test_the_command_is_light_and_its_faults_are_one_line(in_tmp, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    write("a.csv", FILES["words"][0])
    program = "import sys; from stages import new_data; new_data.main(); print(*sys.modules)"
    done = run(sys.executable, "-c", program, "a.csv", cwd=in_tmp)
    assert not HEAVY & set(done.stdout.splitlines()[-1].split())
    for arguments, said in (([""], "no file; name it"), (["b.csv"], "no such file")):
        done = run(sys.executable, "-m", "stages.new_data", *arguments, cwd=in_tmp, check=False)
        assert done.returncode == 1
        assert said in done.stderr
        assert done.stderr.count("\n") == 1


def test_make_passes_the_options():
    command = [
        "make",
        "--dry-run",
        "--no-print-directory",
        "new-data",
        "CSV=a b.csv",
        "WRITE=1",
        "TEXT=my text",
        "TASK=binary",
    ]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    line = " ".join(said.split("stages.new_data")[1].replace("\\", "").split())
    assert line == '"a b.csv" --write --text "my text" --task "binary"'
