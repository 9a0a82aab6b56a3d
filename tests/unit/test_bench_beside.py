"""Another checkout beside this one: who is measured, and what is shown of it."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from bench.checkout import Checkout
from bench.compared import LESS, MORE, comparison, subject_at
from bench.contests import CONTESTS
from bench.plan import Role, lineup, plan
from bench.records import Measured, Names, Record
from bench.report import Report
from bench.routercases import CPU, RATE
from bench.routercontestants import OURS, PURE

NAMES = Names("a", "pure", "b")
OTHER = Checkout(Path("/other"), "5a299de")


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """A contestant."""

    name: str

    def at(self, checkout: Checkout) -> Named:
        """One whose name says of which commit it is."""
        return Named(subject_at(self.name, checkout.commit))


@dataclasses.dataclass(frozen=True, slots=True)
class Nothing:
    """A case that is not measured."""

    contestants: Sequence[Named]
    name: str = "case"

    def measure(self, contestant: Named) -> Measured:
        """It cannot be measured."""
        raise NotImplementedError


def records(case: str, figure: str, **values: Sequence[float]) -> list[Record]:
    """All rounds of a case; C{_at_5a299de} after a name is of the other checkout."""
    return [
        Record(case, name.replace("_", " "), number, Measured({figure: value}))
        for name, of_rounds in values.items()
        for number, value in enumerate(of_rounds, 1)
    ]


class LineupTests(SynchronousTestCase):
    """Who is measured."""

    def subjects(self, only: Sequence[Role], checkout: Checkout | None, rounds: int = 1) -> str:
        """Of all runs, in their order."""
        case = Nothing([Named(name) for name in ("a", "pure", "b", "c")])
        runs = plan([case], rounds, ["c"], lineup(NAMES, only, checkout))
        return ", ".join(run.contestant.name for run in runs)

    def test_everybody(self) -> None:
        """Where nothing is said, all that there are."""
        self.assertEqual(self.subjects([], None), "a, pure, b, c")

    def test_in_turn_with_ours(self) -> None:
        """Each of ours is followed by that of the other checkout, in each round."""
        of_ours = "a, a at 5a299de, pure, pure at 5a299de"
        self.assertEqual(
            self.subjects([], OTHER, 2),
            f"{of_ours}, b, c, {of_ours}, b",
        )

    def test_only_some(self) -> None:
        """Those whose role is named; the other checkout has what this one has."""
        self.assertEqual(self.subjects([Role.OURS], OTHER), "a, a at 5a299de")
        self.assertEqual(self.subjects([Role.THEIRS, Role.OTHERS], OTHER), "b, c")

    def test_its_own_programs(self) -> None:
        """A master of another checkout is started by its twistd, and finds its code."""
        for contestant in (OURS, PURE):
            other = contestant.at(OTHER)
            self.assertEqual(other.name, f"{contestant.name} at 5a299de")
            ours, theirs = (each.command(Path("/d"), 7) for each in (contestant, other))
            different = [pair for pair in zip(ours, theirs, strict=True) if pair[0] != pair[1]]
            self.assertEqual([each for _, each in different], ["/other/.venv/bin/twistd"])
            self.assertEqual(other.environment()["PYTHONPATH"], "/other")


class ComparisonTests(SynchronousTestCase):
    """What is shown of it."""

    def setUp(self) -> None:
        """Three cases of a rate, one of which was not measured before, and a cost."""
        self.records = [
            *records("one", "rate", a=(30, 10, 20), a_at_5a299de=(40, 40, 10), b=(7,)),
            *records("two", "rate", a=(12,), a_at_5a299de=(10,)),
            *records("three", "rate", a=(9,), a_at_5a299de=(10,)),
            *records("new", "rate", a=(9,)),
            *records("one", "cost", a=(1,), a_at_5a299de=(4,)),
        ]

    def test_ratios(self) -> None:
        """A line has the medians over rounds, and now divided by before."""
        shown = comparison(self.records, {"rate": MORE}, NAMES, "5a299de").splitlines()
        self.assertEqual(shown[0], "| figure | case | a | a at 5a299de | now / before |")
        self.assertEqual(
            shown[2:6],
            [
                "| rate | one | 20 | 40 | 0.500 |",
                "| rate | two | 12 | 10 | 1.200 |",
                "| rate | three | 9 | 10 | 0.900 |",
                "| rate | new | 9 | - | - |",
            ],
        )

    def test_all_cases_together(self) -> None:
        """There is the median, the least and the most of the ratios of a figure."""
        shown = comparison(self.records, {"rate": MORE, "cost": LESS}, NAMES, "5a299de")
        self.assertEqual(
            shown.splitlines()[-2:],
            [
                "| rate, a | more | 0.900 | 0.500 | 1.200 | 3 |",
                "| cost, a | less | 0.250 | 0.250 | 0.250 | 1 |",
            ],
        )

    def test_without_native_code(self) -> None:
        """What was measured without native code is compared with what was so too."""
        values = {"a": (12,), "pure": (5,), "pure_at_5a299de": (4,)}
        found = records("two", "rate", **values)
        shown = comparison(found, {"rate": MORE}, NAMES, "5a299de").splitlines()
        self.assertEqual(shown[2], "| rate | two | 12 | - | - | 5 | 4 | 1.250 |")

    def test_figures_are_measured(self) -> None:
        """All usual contests compare how much is carried, and what it costs."""
        for contest in (each for each in CONTESTS.values() if each.usual):
            rate, *_ = contest.compared
            self.assertIn(rate, {goal.figure for goal in contest.goals})
            cost = next(each for each in contest.compared if "CPU, " in each)
            self.assertEqual((contest.compared[rate], contest.compared[cost]), (MORE, LESS))

    def test_report(self) -> None:
        """Markdown and JSON have it, with its commit; goals that were not measured are left out."""
        found = records("case", RATE, distnet=(3,), distnet_at_5a299de=(2,))
        found += records("case", CPU, distnet=(3,), distnet_at_5a299de=(4,))
        report = Report("routers", "a machine", [], ("", ""), 1, 1, found, [], before="5a299de")
        directory = Path(self.mktemp())
        report.write(CONTESTS["routers"], directory)
        shown = (directory / "routers.md").read_text()
        compared, _, full = shown.partition("## All figures")
        self.assertIn("## Now, and before at 5a299de", compared)
        self.assertIn("| messages/s | case | 3 | 2 | 1.500 |", compared)
        self.assertIn("| messages/s, distnet | more | 1.500 |", compared)
        self.assertNotIn("## Goals", shown)
        self.assertIn("| no router | distnet at 5a299de |\n", full)
        self.assertEqual(Report.read(directory / "routers.json").before, "5a299de")

    def test_older_report(self) -> None:
        """A file that was written without another checkout in it is read."""
        path = Path(self.mktemp())
        report = Report("routers", "a machine", [], ("", ""), 1, 1, [], [])
        described = json.loads(report.json())
        del described["before"]
        path.write_text(json.dumps(described))
        self.assertEqual(Report.read(path).json(), report.json())

    def test_curves(self) -> None:
        """The plots have a curve of it, and the others keep their colours."""
        values = {"distnet": (3,), "distnet_at_5a299de": (2,)}
        found = records("batched, 8 pairs, 64 bytes", RATE, **values)
        drawn = CONTESTS["routers"].plots(found)["routers-size.svg"]
        self.assertIn(">distnet at 5a299de<", drawn)
        self.assertEqual(drawn.count("<polyline"), 2)
