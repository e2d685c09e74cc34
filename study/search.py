"""Search for the parameters with the lowest validation loss: `make search SPACE=FILE`.

Optuna proposes each trial by the tree-structured Parzen estimator (Bergstra et al., 2011). It stops
a trial whose validation loss is above the median of the others at the same epoch (the median
stopping rule: Golovin et al., 2017). A trial is a DVC experiment.
"""

import argparse
import math
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import optuna
from optuna.samplers import TPESampler
from optuna.trial import TrialState, create_trial

from ajuste import errors
from ajuste.errors import PipelineError
from ajuste.files import read_json, write_json
from ajuste.report.numbers import NONE, many, number
from ajuste.repository import inputs
from ajuste.tasks import TASKS
from ajuste.training.environment import cores
from study import collect, compare, plan, run, space
from study.collect import Base, Result
from study.plan import Experiment
from study.space import Space

FOLDER = Path(".dvc/tmp/search")
TRIALS = 20
ATTEMPTS = 50  # of the sampler, to propose a trial that is new
FIRST = 5  # trials that run to their end, because the median of fewer says little
WARM_UP = 3  # the first epoch after which a trial can be stopped
STATES = {
    "complete": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,  # runs again in the next call
}


class Trials(run.Queue):
    """The trials of a search. A journal keeps those that ended, so a search can go on.

    A trial is proposed from its number and from the trials that ended before it; so if a search is
    interrupted at its first trials, the next call proposes the same ones.

    Attributes:
        results: of the trials that ended.
    """

    def __init__(self, start: Base, searched: Space, total: int) -> None:
        """Read the journal.

        Args:
            start: the commit that the trials start from.
            searched: the space; another space or another commit has another journal.
            total: the number of trials, with those of earlier calls.
        """
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        pruner = optuna.pruners.MedianPruner(n_startup_trials=FIRST, n_warmup_steps=WARM_UP)
        self.optuna = optuna.create_study(pruner=pruner)
        self.start, self.space, self.total = start, searched, total
        self.number = 0
        self.running: dict[str, optuna.Trial] = {}
        self.results: list[Result] = []
        self.path = start.root / FOLDER / f"{searched.name}-{searched.digest(start.commit)}.json"
        self.journal: dict[str, dict[str, Any]] = {}
        for name, record in (read_json(self.path) if self.path.exists() else {}).items():
            self._restore(name, record)
        self.tried = [result.experiment.overrides for result in self.results]

    def _restore(self, name: str, record: dict[str, Any]) -> None:
        """Take a trial of the journal, unless its experiment was removed."""
        experiment = Experiment(name, self.space.overrides(record["sampled"]))
        result = Result(experiment, failure=run.STOPPED, curves={"validation": record["losses"]})
        if record["state"] == "complete":
            result = collect.collect(self.start, experiment)
        if state(result) != record["state"]:
            return
        self.journal[name] = record
        self.results.append(result)
        self.optuna.add_trial(
            create_trial(
                state=STATES[record["state"]],
                value=loss(result),
                params=record["sampled"],
                distributions=self.space.distributions,
                intermediate_values=dict(enumerate(record["losses"], start=1)),
            )
        )

    def next(self) -> Experiment | None:
        """The next trial that is not done; None if all are done or running."""
        while self.number < self.total:
            self.number += 1
            name = self.space.trial_name(self.number)
            if name in self.journal:
                continue
            if not (experiment := self._propose(name)):
                run.say("every combination of the values is tried")
                self.total = self.number
            elif collect.is_done(self.start, experiment):  # the journal was lost
                self.ended(collect.collect(self.start, experiment), "done before")
            else:
                return experiment
        return None

    def _propose(self, name: str) -> Experiment | None:
        """A trial whose values are new; None if the sampler finds none."""
        for attempt in range(ATTEMPTS):
            seed = np.random.SeedSequence([self.space.seed, self.number, attempt])
            self.optuna.sampler = TPESampler(seed=int(seed.generate_state(1)[0]))
            trial = self.optuna.ask(self.space.distributions)
            overrides = self.space.overrides(trial.params)
            if overrides not in self.tried:
                self.tried.append(overrides)
                self.running[name] = trial
                return Experiment(name, overrides)
            self.optuna.tell(trial, state=TrialState.FAIL)
        return None

    def stops(self, experiment: Experiment, losses: list[float]) -> bool:
        """Whether the loss is above the median; after the last epoch there is nothing to stop."""
        values = plan.merged(self.start.params, experiment.overrides)
        last = values["models"][values["model"]].get("epochs")
        return any(epoch != last and bad for epoch, bad in self._report(experiment.name, losses))

    def _report(self, name: str, losses: list[float]) -> list[tuple[int, bool]]:
        """Give Optuna the epochs that are new; return each with whether to stop there."""
        trial = self.running[name]
        known = len(self.optuna.trials[trial.number].intermediate_values)
        judged = []
        for epoch, value in list(enumerate(losses, start=1))[known:]:
            trial.report(value, epoch)
            judged.append((epoch, trial.should_prune()))
        return judged

    def ended(self, result: Result, how: str) -> None:
        """Tell Optuna, write the journal, print a line."""
        name, losses = result.experiment.name, result.curves.get("validation", [])
        self._report(name, losses)
        trial, kind = self.running.pop(name), state(result)
        self.optuna.tell(trial, loss(result), STATES[kind])
        self.results.append(result)
        if kind != "failed":
            self.journal[name] = {"state": kind, "sampled": trial.params, "losses": losses}
            write_json(self.path, self.journal)
        width = len(str(self.total))
        values = ", ".join(f"{key}={value}" for key, value in self._shown(result).items())
        run.say(
            f"[{len(self.results):{width}}/{self.total}] {name} ({values}): {_said(result)}, {how}"
        )

    def _shown(self, result: Result) -> dict[str, Any]:
        """The searched parameters of a trial by their short keys."""
        own = f"models.{self.space.fixed['model']}."
        overrides = result.experiment.overrides
        return {key.removeprefix(own): plan.hydra(overrides[key]) for key in self.space.parameters}

    def report(self) -> list[str]:
        """The lines that end a search: all trials by their loss, the best, how to adopt it.

        Raises:
            PipelineError: no trial is complete.
        """
        kinds = list(STATES)
        ordered = sorted(self.results, key=lambda one: (kinds.index(state(one)), _last(one)))
        counts = Counter(map(state, ordered))
        complete = ordered[: counts["complete"]]
        if not complete:
            why = [f"{one.experiment.name}: {_said(one)} ({one.log})" for one in ordered if one.log]
            raise PipelineError(f"no trial is complete; {'; '.join(why)}")
        best = complete[0]
        named = ", ".join(f"{counts[kind]} {kind}" for kind in kinds if counts[kind])
        lines = [f"{many(len(ordered), 'trial')}: {named}; the lowest validation loss first"]
        rows = [_row(one, list(self._shown(one).values())) for one in ordered]
        header = ["trial", "loss", "accuracy", "epochs", "state", *self._shown(best)]
        lines += compare.table([header, *rows, *self._baseline(best, len(header))])
        name = best.experiment.name
        if len(complete) > 1:
            lines.append(
                f"The best: {name}. The lowest loss of {len(complete)} is partly luck: expect a "
                "higher one on new reviews."
            )
        return [*lines, f"To adopt it: dvc exp apply {name}"]

    def _baseline(self, best: Result, columns: int) -> list[list[str]]:
        """The row of the linear baseline, if its loss is comparable."""
        task = plan.merged(self.start.params, best.experiment.overrides).get("task")
        if task not in TASKS or collect.loss(best.train) != (TASKS[task].losses[0], None):
            return []
        scores = best.baseline.get("linear", {}).get("validation", {})
        row = ["linear baseline", *(_number(scores.get(name)) for name in ("loss", "accuracy"))]
        return [[*row, *[""] * (columns - len(row))]]


def state(result: Result) -> str:
    """A key of `STATES`; a trial whose loss is not finite failed."""
    finite = all(map(math.isfinite, result.curves.get("validation", [])))
    if result.failure == run.STOPPED and finite:
        return "pruned"
    return "complete" if loss(result) is not None and finite else "failed"


def loss(result: Result) -> float | None:
    """The validation loss of the weights that were kept; None if the trial is not complete."""
    found = result.train.get("validation", {}).get("loss")
    return found if isinstance(found, float) and math.isfinite(found) else None


def _last(result: Result) -> float:
    """The validation loss at the end; infinite if there is none."""
    if (known := loss(result)) is not None:
        return known
    return result.curves.get("validation", [math.inf])[-1]


def _row(result: Result, values: list[str]) -> list[str]:
    epochs = str(len(result.curves.get("validation", [])))
    scores = [_number(_last(result)), _number(result.train.get("validation", {}).get("accuracy"))]
    return [result.experiment.name, *scores, epochs, state(result), *values]


def _said(result: Result) -> str:
    kind = state(result)
    if kind == "failed":
        return f"FAILED, {result.failure or 'its loss is not finite'}"
    epochs = many(len(result.curves.get("validation", [])), "epoch")
    return f"{kind}, validation loss {_number(_last(result))} after {epochs}"


def _number(value: float | None) -> str:
    return number(value, ".4f") if value is None or math.isfinite(value) else NONE


def arguments(argv: list[str] | None = None) -> argparse.Namespace:
    """The arguments of the command line."""
    parser = argparse.ArgumentParser(prog="python -m study.search", description=__doc__)
    parser.add_argument("space", type=Path, help="the space, such as searches/gru.yaml")
    parser.add_argument(
        "--trials", type=int, default=TRIALS, help="how many in all, earlier ones too (%(default)s)"
    )
    parser.add_argument(
        "--jobs", type=int, default=cores(), help="how many at a time (%(default)s)"
    )
    asked = parser.parse_args(argv)
    if min(asked.jobs, asked.trials) < 1:
        parser.error("--jobs and --trials must be 1 or more")
    return asked


def main() -> None:
    """Run the trials that are not done yet, then report all of them."""
    asked = arguments()
    start = collect.base(Path.cwd())
    searched = space.load(asked.space, start.params)
    run.check_clean(start.root, [asked.space.as_posix()])
    for line in inputs.stale(start.root):
        print(line)
    trials = Trials(start, searched, asked.trials)
    run.run_queue(start, trials, list(searched.corners()), min(asked.jobs, asked.trials))
    print(*trials.report(), sep="\n")


if __name__ == "__main__":
    errors.run("search", main)
