"""A search: its trials, its journal, and what it stops."""

import json
import os
import sys
from collections import Counter
from dataclasses import replace

import dvc.cli
import optuna
import psutil
import pytest
import yaml
from conftest import ROOT, run

from ajuste.errors import PipelineError
from study import collect, search
from study import run as workers
from study.collect import Base, Result
from study.space import Range, Space

GOOD, BAD = [0.6, 0.5, 0.4, 0.3], [0.9, 0.9, 0.9, 0.9]
PARAMS = {
    "task": "binary",
    "model": "gru",
    "models": {"gru": {"units": 32, "rate": 0.1, "epochs": 10}},
}
SPACE = Space(
    "small",
    {"model": "gru"},
    {"models.gru.units": Range(low=1, high=99), "models.gru.rate": Range(low=0.1, high=0.5)},
    seed=1,
)


@pytest.fixture
def start(tmp_path, monkeypatch):
    """A commit; `done` of the function that it has holds the results that Git would have."""
    done = {}
    found = lambda start, one: done.get(one.name, Result(one, failure="not run yet"))  # noqa: E731
    monkeypatch.setattr(collect, "collect", found)
    monkeypatch.setattr(collect, "is_done", lambda start, one: one.name in done)
    base = Base(tmp_path, "a" * 40, PARAMS)
    object.__setattr__(base, "done", done)
    return base


def complete(start, trials, experiment, losses=GOOD):
    """Let a trial run to its end."""
    train = {
        "validation": {"loss": losses[-1], "accuracy": 0.8},
        "loss_function": "binary_crossentropy",
    }
    baseline = {"linear": {"validation": {"loss": 0.19, "accuracy": 0.92}}}
    result = Result(experiment, train=train, baseline=baseline, curves={"validation": losses})
    start.done[experiment.name] = result
    trials.ended(result, "1 s")


def all_of(trials):
    return list(iter(trials.next, None))


def test_a_seed_proposes_the_same_trials_and_another_seed_others(start):
    first, again = (search.Trials(start, SPACE, 6) for _ in range(2))
    other = search.Trials(start, replace(SPACE, seed=2), 6)
    proposed = all_of(first)
    assert proposed != all_of(other)
    assert [one.name for one in proposed] == [f"search-small-{n}" for n in range(1, 7)]
    assert proposed == all_of(again)
    assert len({json.dumps(one.overrides) for one in proposed}) == 6


def test_a_search_goes_on_where_it_was_interrupted(start):
    trials = search.Trials(start, SPACE, 4)
    first, second, third = (trials.next() for _ in range(3))
    complete(start, trials, first)
    trials.ended(Result(third, failure=workers.STOPPED, curves={"validation": BAD[:3]}), "1 s")

    again = search.Trials(start, SPACE, 5)  # `second` was running when it was killed
    assert [one.name for one in all_of(again)] == [f"search-small-{n}" for n in (2, 4, 5)]
    assert {one.experiment.name for one in again.results} == {first.name, third.name}
    assert search.Trials(start, SPACE, 5).next() == second
    assert not search.Trials(Base(start.root, "b" * 40, PARAMS), SPACE, 5).results


def test_without_its_journal_a_search_takes_the_experiments_that_git_has(start):
    trials = search.Trials(start, SPACE, 1)
    complete(start, trials, trials.next())
    trials.path.unlink()
    again = search.Trials(start, SPACE, 1)
    assert again.next() is None
    assert len(again.results) == 1


def test_an_experiment_that_was_removed_runs_again(start):
    trials = search.Trials(start, SPACE, 1)
    complete(start, trials, trials.next())
    start.done.clear()
    assert len(all_of(search.Trials(start, SPACE, 1))) == 1


def test_a_trial_that_failed_runs_again_in_the_next_call(start):
    trials = search.Trials(start, SPACE, 1)
    failed = trials.next()
    trials.ended(Result(failed, failure="train: out of memory", log="a.log"), "1 s")
    assert trials.next() is None
    assert not trials.journal
    with pytest.raises(PipelineError, match=r"no trial is complete; search-small-1: FAILED, train"):
        trials.report()
    assert search.Trials(start, SPACE, 1).next() == failed


def test_a_trial_above_the_median_is_stopped_but_not_in_its_first_epochs(start):
    trials = search.Trials(start, SPACE, 9)
    for _ in range(search.FIRST - 1):
        complete(start, trials, trials.next())
    early = trials.next()
    assert not trials.stops(early, BAD[:3])
    complete(start, trials, early)

    bad, good, last = (trials.next() for _ in range(3))
    assert not trials.stops(bad, BAD[:2])
    assert trials.stops(bad, BAD[:3])
    assert not trials.stops(good, [loss - 0.01 for loss in GOOD])
    PARAMS["models"]["gru"]["epochs"] = 3
    try:
        assert not trials.stops(last, BAD[:3])  # it is at its end
    finally:
        PARAMS["models"]["gru"]["epochs"] = 10


def test_the_median_of_earlier_calls_counts(start):
    trials = search.Trials(start, SPACE, 9)
    for _ in range(search.FIRST):
        complete(start, trials, trials.next())
    again = search.Trials(start, SPACE, 9)
    assert again.stops(again.next(), BAD)


def test_no_trial_is_proposed_twice(start, capsys):
    space = Space(
        "few", {"model": "gru"}, {"models.gru.units": [1, 2], "models.gru.x": ["a", "b"]}, 1
    )
    trials = search.Trials(start, space, 20)
    assert len({tuple(one.overrides.values()) for one in all_of(trials)}) == 4
    assert "every combination of the values is tried" in capsys.readouterr().out


def test_the_report_names_the_best_and_how_to_adopt_it(start):
    trials = search.Trials(start, SPACE, 4)
    worse, best, pruned, failed = (trials.next() for _ in range(4))
    complete(start, trials, worse, [0.6, 0.5])
    complete(start, trials, best)
    trials.ended(Result(pruned, failure=workers.STOPPED, curves={"validation": BAD[:3]}), "1 s")
    trials.ended(Result(failed, failure="it failed", log="a.log"), "1 s")
    lines = trials.report()
    assert lines[0] == "4 trials: 2 complete, 1 pruned, 1 failed; the lowest validation loss first"
    assert lines[1].split() == ["trial", "loss", "accuracy", "epochs", "state", "units", "rate"]
    names = [best, worse, pruned, failed]
    assert [one.split()[0] for one in lines[2:6]] == [one.name for one in names]
    assert lines[2].split()[1:5] == ["0.3000", "0.8000", "4", "complete"]
    assert lines[4].split()[1:5] == ["0.9000", "—", "3", "pruned"]
    assert lines[6].split() == ["linear", "baseline", "0.1900", "0.9200"]
    assert lines[-1] == f"To adopt it: dvc exp apply {best.name}"


def test_the_report_of_trials_that_are_all_complete(start):
    trials = search.Trials(start, SPACE, 2)
    for experiment in all_of(trials):
        complete(start, trials, experiment)
    assert len(trials.report()) == 7


# The training writes a curve by its units; `BAD` ones wait at the pipe GATE after the third epoch.
TRAIN = """
import json, os
from pathlib import Path
import yaml
params = yaml.safe_load(Path("params.yaml").read_text())
units = params["models"]["gru"]["units"]
with open(os.environ["RAN"], "a") as file:
    print(units, os.getpid(), file=file)
curve = Path("metrics/train/plots/metrics/validation/loss.tsv")
curve.parent.mkdir(parents=True)
bad = units >= 6
losses = [0.9] * 3 if bad else [0.5, 0.4, units / 100]
curve.write_text("step\\tloss\\n" + "".join(f"{n}\\t{loss}\\n" for n, loss in enumerate(losses, 1)))
if bad:
    open(os.environ["GATE"]).read()
both = {"loss": losses[-1], "accuracy": 0.8}
Path("metrics/train/metrics.json").write_text(json.dumps({"validation": both}))
"""
DVC = """
stages:
  embed:
    cmd: echo known > embed.json
    outs: [embed.json]
  baseline:
    cmd: echo known > baseline.json
    outs: [baseline.json]
  train:
    cmd: python train.py
    deps: [train.py, embed.json]
    params: [model, "models.${model}"]
    metrics: [{metrics/train/metrics.json: {cache: false}}]
    plots: [{metrics/train/plots/metrics: {cache: false}}]
"""


def alive(pid):
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")
def test_trials_are_experiments_and_a_stopped_training_is_ended(tmp_path, monkeypatch, capsys):
    """Five good trials, then one that waits for ever if nothing stops it."""
    gate, log = tmp_path / "gate", tmp_path / "ran"
    for name, value in {"PYTHONPATH": ROOT, "RAN": log, "GATE": gate}.items():
        monkeypatch.setenv(name, str(value))
    os.mkfifo(gate)
    folder = tmp_path / "repository"
    folder.mkdir()
    monkeypatch.chdir(folder)
    run("git", "init", "--quiet", cwd=folder)
    assert dvc.cli.main(["init", "--quiet"]) == 0
    params = {"model": "gru", "models": {"gru": {"units": 5, "epochs": 9}}}
    (folder / "params.yaml").write_text(yaml.safe_dump(params))
    (folder / "dvc.yaml").write_text(DVC)
    (folder / "train.py").write_text(TRAIN)
    run("git", "add", "--all", cwd=folder)
    run("git", "commit", "--quiet", "--message", "start", cwd=folder)
    space = Space("small", {"model": "gru"}, {"models.gru.units": [1, 2, 3, 4, 5, 6]}, seed=1)
    order = iter(range(6))  # of the units
    samplers = optuna.samplers
    fixed, random = samplers.PartialFixedSampler, samplers.RandomSampler()
    in_order = lambda seed: fixed({"models.gru.units": next(order)}, random)  # noqa: E731
    monkeypatch.setattr(search, "TPESampler", in_order)
    monkeypatch.setattr(search.space, "load", lambda path, given: space)
    monkeypatch.setattr(sys, "argv", ["search", "small.yaml", "--trials", "6", "--jobs", "1"])
    search.main()
    said = capsys.readouterr().out
    assert "search-small-6 (units=6): pruned, validation loss 0.9000 after 3 epochs" in said
    assert said.endswith("To adopt it: dvc exp apply search-small-1\n")
    names = set(collect.experiments(folder).values())
    assert names == {f"search-small-{number}" for number in range(1, 6)}
    ran = [line.split() for line in log.read_text().splitlines()]
    assert not alive(int(ran[-1][1]))
    assert dvc.cli.main(["exp", "apply", "--quiet", "search-small-1"]) == 0
    run("git", "checkout", "--quiet", ".", cwd=folder)

    search.main()
    assert Counter(units for units, _ in ran) == Counter("123456")
    assert len(log.read_text().splitlines()) == 6
    assert "pruned" in capsys.readouterr().out
