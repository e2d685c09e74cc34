"""The results of a revision for a number of seeds; missing ones are trained.

They run as DVC experiments on the revision, in the workers of a study. These share the cache, so
nothing runs twice.
"""

from dataclasses import dataclass

from ajuste.errors import PipelineError
from ajuste.evaluation.scores import MAIN
from ajuste.repository.git import git
from ajuste.training.environment import cores
from pull_request import revision
from pull_request.revision import Result, Revision, UnreadableError
from study import collect, run
from study.plan import Experiment, Plan

SEEDS = 3  # trainings a side: with one, the effect of the seed is unknown


@dataclass(frozen=True)
class Side:
    """One side of a comparison.

    Attributes:
        revision: the commit.
        results: one for each seed; empty if one of them failed.
        trained: whether some were trained for this report.
        failure: why there are no results, in one line.
    """

    revision: Revision
    results: list[Result]
    trained: bool = False
    failure: str = ""

    @property
    def score(self) -> str:
        """The main score: `evaluate.score`, or that of the task; the side has results."""
        chosen = self.revision.params.get("evaluate", {}).get("score")
        return chosen or MAIN[self.results[0].answers.task]


def results(side: Revision, seeds: int) -> Side:
    """The results of a revision for a number of seeds: its own and those that follow."""
    if not side.has_pipeline:
        return Side(side, [], failure="it has no pipeline: no dvc.yaml or no params.yaml")
    first = side.params.get("seed")
    if type(first) is not int or first < 0:
        return Side(side, [], failure=f"params.yaml: `seed` is {first!r}; it must be 0, 1, 2 ...")
    try:
        committed = _committed(side)
        wanted = [
            Experiment(f"seed-{seed}", {"seed": seed}) for seed in range(first, first + seeds)
        ]
        missing = wanted[1:] if committed else wanted
        made, trained = _experiments(side, missing)
    except PipelineError as error:
        return Side(side, [], failure=str(error))
    return Side(side, [*([committed] if committed else []), *made], trained)


def _committed(side: Revision) -> Result | None:
    """The results in the commit itself; None if they are missing or out of date."""
    if side.unreproduced or not side.has_results:
        return None
    try:
        return revision.read(side.root, side.commit)
    except UnreadableError:
        return None


def _experiments(side: Revision, wanted: list[Experiment]) -> tuple[list[Result], bool]:
    """The results of experiments on a revision, and whether any had to be run.

    Raises:
        PipelineError: an experiment failed.
        UnreadableError: the results of an experiment have an unknown format.
    """
    start = collect.Base(side.root, side.commit, side.params)
    found = {one.name: result for one in wanted if (result := _kept(start, one))}
    missing = [one for one in wanted if one.name not in found]
    if missing:
        print(f"{side.short}: training {', '.join(one.name for one in missing)}")
        done = run.run(start, Plan("", "", follow=False, experiments=missing), cores())
        if failed := [one for one in done if one.failure]:
            raise PipelineError(failed[0].failure)
        found |= {one.name: _read(start, one) for one in missing}
    return [found[one.name] for one in wanted], bool(missing)


def _kept(start: collect.Base, experiment: Experiment) -> Result | None:
    """The results of an earlier run; if they cannot be read, the experiment is deleted."""
    if not collect.is_done(start, experiment):
        return None
    try:
        return _read(start, experiment)
    except UnreadableError:
        git(start.root, "update-ref", "-d", collect.ref(start.commit, experiment.name))
        return None


def _read(start: collect.Base, experiment: Experiment) -> Result:
    reference = collect.ref(start.commit, experiment.name)
    return revision.read(start.root, git(start.root, "rev-parse", reference).strip())
