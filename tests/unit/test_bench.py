"""The benchmarks, but for what they measure: plans, medians, goals, reports, plots."""

from __future__ import annotations

import contextlib
import dataclasses
import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from unittest import mock
from xml.etree import ElementTree

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from bench import summary
from bench.__main__ import amount, compete, parse, planned
from bench.contest import Amount
from bench.contests import CONTESTS
from bench.generator import LoadError
from bench.goals import Goal, goals_table
from bench.machine import version
from bench.plan import Progress, Run, measured, plan
from bench.plots import Axis, drawing
from bench.records import Measured, Names, Record, table
from bench.report import Report
from bench.routercases import RATE
from bench.trips import FREE, P50
from tests.daemons import ROOT

NAMES = Names("a", "pure", "b")
SVG = "{http://www.w3.org/2000/svg}"


@dataclass(frozen=True, slots=True)
class Named:
    """A contestant."""

    name: str


@dataclass(frozen=True, slots=True)
class Counted:
    """A case that gives the number of the contestant, and fails for some."""

    name: str
    contestants: Sequence[Named]
    failing: tuple[str, ...] = ()

    def measure(self, contestant: Named) -> Measured:
        """Give the number of a contestant, or fail."""
        if contestant.name in self.failing:
            raise LoadError("it does not work")
        return Measured({"figure": ord(contestant.name)})


class Silent(Progress):
    """Says nothing."""

    def __init__(self, runs: Sequence[Run]) -> None:
        super().__init__(runs, lambda text: None)


def records(case: str, figure: str, **values: float) -> list[Record]:
    """One round of a case."""
    return [
        Record(case, subject, 1, Measured({figure: value})) for subject, value in values.items()
    ]


class PlanTests(SynchronousTestCase):
    """What is measured when."""

    def setUp(self) -> None:
        """Two cases of three contestants."""
        self.contestants = [Named(name) for name in "abc"]
        self.cases = [Counted(name, self.contestants) for name in ("one", "other")]

    def test_in_turn(self) -> None:
        """All contestants in turn, all cases, and then again; limits only once."""
        runs = plan(self.cases, 2, ["c"])
        self.assertEqual(
            [(*run.what, run.round) for run in runs],
            [
                *((case, name, 1) for case in ("one", "other") for name in "abc"),
                *((case, name, 2) for case in ("one", "other") for name in "ab"),
            ],
        )

    def test_measured(self) -> None:
        """Each run gives a record."""
        runs = plan(self.cases[:1], 1, [])
        found = list(measured(runs, Silent(runs), []))
        self.assertEqual([record.subject for record in found], ["a", "b", "c"])
        self.assertEqual(found[1].measured.figures, {"figure": 98})

    def test_failure(self) -> None:
        """What fails is told of, and everything else is measured."""
        runs = plan([Counted("one", self.contestants, ("b",)), self.cases[1]], 1, [])
        failures: list[str] = []
        found = list(measured(runs, Silent(runs), failures))
        self.assertEqual(failures, ["one; b, round 1: it does not work"])
        self.assertEqual(len(found), 5)

    def test_unexpected_failure(self) -> None:
        """What fails in a way that nobody foresaw is told of too, with where it did."""
        runs = plan(self.cases[:1], 1, [])
        failures: list[str] = []
        said = io.StringIO()
        with (
            mock.patch.object(Counted, "measure", side_effect=ZeroDivisionError),
            contextlib.redirect_stderr(said),
        ):
            self.assertEqual(list(measured(runs, Silent(runs), failures)), [])
        self.assertEqual(failures[0], "one; a, round 1: ZeroDivisionError")
        self.assertEqual(len(failures), 3)
        self.assertIn("Traceback", said.getvalue())

    def test_interrupted(self) -> None:
        """What was measured until then is written."""
        runs = plan(self.cases, 1, [])
        contest = dataclasses.replace(CONTESTS["routers"], versions=())
        directory = Path(self.mktemp())
        found = [Measured({"figure": 1}), KeyboardInterrupt]
        with (
            mock.patch.object(Counted, "measure", side_effect=found),
            contextlib.redirect_stderr(io.StringIO()),
        ):
            self.assertRaises(KeyboardInterrupt, compete, contest, runs, 1, Silent(runs), directory)
        report = Report.read(directory / "routers.json")
        self.assertEqual([(each.case, each.subject) for each in report.records], [("one", "a")])

    def test_compared(self) -> None:
        """In each case there is ours, ours without native code, and theirs."""
        for contest in CONTESTS.values():
            for case in contest.cases(Amount()):
                names = [contestant.name for contestant in case.contestants]
                self.assertLessEqual(set(dataclasses.astuple(contest.names)), set(names), case)

    def test_versions(self) -> None:
        """Of a program that is not there it is said."""
        self.assertEqual(version(["printf", "\nv1.2\nmore"]), "v1.2")
        self.assertEqual(version(["nowhere/to"]), "no nowhere/to: No such file or directory")

    def test_progress(self) -> None:
        """It says how far it is; a run takes as long as it did in the round before."""
        runs = plan([Counted("one", self.contestants[:2])], 2, [])
        clock, said = Clock(), list[str]()
        progress = Progress(runs, said.append, clock.seconds)
        for run, seconds in zip(runs, (10, 60, 10, 60), strict=True):
            progress.begin(run)
            clock.advance(seconds)
            progress.end(run)
        self.assertEqual(
            said,
            [
                "[1/4, 0:00] one; a, round 1",
                "[2/4, 0:10, 0:30 to go] one; b, round 1",
                "[3/4, 1:10, 1:10 to go] one; a, round 2",
                "[4/4, 1:20, 1:00 to go] one; b, round 2",
            ],
        )

    def test_amounts(self) -> None:
        """Options say how much is done, a quick run does less, and both can be combined."""
        self.assertEqual(amount(parse([])), Amount())
        quick = amount(parse(["--quick", "--nodes", "7"]))
        self.assertEqual(quick.nodes, 7)
        self.assertLess(quick.frames, Amount().frames)
        self.assertFalse(quick.everything)

    def test_usual_contests(self) -> None:
        """Some contests are measured only if they are named."""
        unusual = {name for name, contest in CONTESTS.items() if not contest.usual}
        self.assertIn("scale", unusual)
        with mock.patch("shutil.which", return_value="/bin/true"):
            self.assertFalse(unusual & set(planned(parse([]), 1)))
            self.assertEqual(list(planned(parse(["scale"]), 1)), ["scale"])

    def test_bad_options(self) -> None:
        """What cannot be is refused with a line that names it."""
        for words, named in ((["--rounds", "0"], "'0'"), (["cables"], "'cables'")):
            said = io.StringIO()
            with contextlib.redirect_stderr(said):
                self.assertRaises(SystemExit, parse, words)
            self.assertIn(named, said.getvalue())


class TableTests(SynchronousTestCase):
    """What is shown of figures."""

    def test_medians(self) -> None:
        """A line has all medians, ours divided by theirs, marks, and what is beside them."""
        figures = {"a": (8, 2, 4), "pure": (5, 5, 9), "b": (10, 16, 2), "c": (9, 9, 9)}
        found = [
            Record("case", subject, number, Measured({"figure": value}, bound=value in {16, 9}))
            for subject, values in figures.items()
            for number, value in enumerate(values, 1)
        ]
        self.assertEqual(
            table(found, NAMES, ["c", "d"], ["c"]).splitlines()[2:],
            ["| case | figure | 4 | 5* | 10* | 0.40 | 0.50 | 9 | - |"],
        )

    def test_goals(self) -> None:
        """A goal says what is reached: at least so much of a rate, at most so much of a cost."""
        goals = [Goal("fast", "rate", 5, pure=0.6), Goal("fast", "cost", 0.8, least=False)]
        found = records("fast", "rate", a=50, pure=5, b=10) + records("fast", "cost", a=9, b=10)
        self.assertEqual(
            goals_table(found, goals, NAMES).splitlines()[2:],
            [
                "| fast | rate | 50 | 10 | 5 | ≥ 5: met | 5 | 0.5 | ≥ 0.6: not met |",
                "| fast | cost | 9 | 10 | 0.9 | ≤ 0.8: not met | - | - | - |",
            ],
        )

    def test_goals_at_zero(self) -> None:
        """Where a cost of theirs is 0, ours must be so; and some goals are about ours alone."""
        goals = [
            Goal("one", "cost", 0.5, least=False),
            Goal("other", "cost", 0.5, least=False),
            Goal("other", "cost", 1, least=False, absolute=True),
        ]
        found = records("one", "cost", a=0, b=0) + records("other", "cost", a=1, b=0)
        verdicts = [line.split(" | ")[5] for line in goals_table(found, goals, NAMES).splitlines()]
        self.assertEqual(verdicts[2:], ["≤ 0.5: met", "≤ 0.5: not met", "≤ 1: met"])

    def test_what_was_not_measured(self) -> None:
        """A goal that cannot be judged has no line."""
        goals = [Goal("case", "rate", 5)]
        for values in ({"a": 1.0}, {"b": 1.0}, {"pure": 1.0}):
            shown = goals_table(records("case", "rate", **values), goals, NAMES)
            self.assertEqual(len(shown.splitlines()), 2)

    def test_goals_are_measured(self) -> None:
        """Every goal is about a case that there is."""
        for contest in CONTESTS.values():
            with mock.patch("os.geteuid", return_value=0):
                cases = contest.cases(Amount(everything=False))
            found = {goal.case for goal in contest.goals} - {case.name for case in cases}
            self.assertEqual(found, set(), contest.name)

    def test_beside(self) -> None:
        """A line has what is only looked at, too, whether it was measured or not."""
        found = records("case", RATE, a=3, b=1, c=7)
        shown = goals_table(found, [Goal("case", RATE, 2)], NAMES, ["c", "d"])
        self.assertEqual(
            shown.splitlines()[-1],
            "| case | messages/s | 3 | 1 | 3 | ≥ 2: met | - | - | - | 7 | - |",
        )


class DocumentTests(SynchronousTestCase):
    """Tables in documents."""

    TEXT = "before\n<!-- bench: one -->\nold\n<!-- bench end -->\nafter\n"

    def test_put(self) -> None:
        """A table takes the place of the one that was there, and again."""
        expected = self.TEXT.replace("old", "| new |\n\nlines")
        found = summary.put(self.TEXT, {"one": "| new |\n\nlines"})
        self.assertEqual(found, expected)
        self.assertEqual(summary.put(expected, {"one": "old"}), self.TEXT)

    def test_others_stay(self) -> None:
        """What has no new table stays."""
        for tables in ({}, {"two": "new"}, {"one": ""}):
            self.assertEqual(summary.put(self.TEXT, tables), self.TEXT)

    def test_brief(self) -> None:
        """A few figures of all contests, with whom ours is beside; none if one is missing."""
        reports = {}
        for contest in {name for name, *_ in summary.BRIEF}:
            names = CONTESTS[contest].names
            found = [
                Record(case, subject, 1, Measured({figure: value}))
                for name, case, figure, _ in summary.BRIEF
                if name == contest
                for subject, value in ((names.ours, 6), (names.theirs, 4))
            ]
            reports[contest] = Report(contest, "machine", [], ("", ""), 1, 1, found, [])
        shown = summary.brief(reports).splitlines()
        self.assertEqual(len(shown), len(summary.BRIEF) + 2)
        self.assertEqual(
            shown[2], "| 64-byte messages, batched, a second | 6 | 4, server.py | 1.5 |"
        )
        del reports["gateway"]
        self.assertEqual(summary.brief(reports), "")

    def test_documents(self) -> None:
        """The documentation has a place for each table, and what is brief names cases there are."""
        places = "".join((ROOT / name).read_text() for name in ("README.md", "docs/speed.md"))
        for name in ("brief", *CONTESTS):
            self.assertIn(f"<!-- bench: {name} -->", places)
        with mock.patch("os.geteuid", return_value=0):
            for name, case, *_ in summary.BRIEF:
                self.assertIn(case, {each.name for each in CONTESTS[name].cases(Amount())})


class ReportTests(SynchronousTestCase):
    """What is kept."""

    def setUp(self) -> None:
        """A report of little."""
        size = "batched, 8 pairs, 64 bytes"
        found = records(size, RATE, **{"distnet": 60, "distnet, pure": 5, "nats-server": 10})
        quantiles = tuple(range(1000, 2001))
        found.append(Record(FREE, "distnet", 1, Measured({P50: 1.5}, {"sent": 9}, True, quantiles)))
        self.report = Report(
            contest="routers",
            machine="a machine",
            versions=["ours 1", "theirs 2"],
            load=("0.01", "1.75"),
            rounds=3,
            seconds=90,
            records=found,
            failures=["one case: it does not work"],
        )
        self.directory = Path(self.mktemp())
        self.report.write(CONTESTS["routers"], self.directory)

    def test_json(self) -> None:
        """It is read as it was written."""
        found = Report.read(self.directory / "routers.json")
        self.assertEqual(found.json(), self.report.json())
        self.assertEqual(found.records[-1].measured.quantiles[500], 1500)

    def test_no_json(self) -> None:
        """What is none is refused."""
        path = self.directory / "other.json"
        for text in ("", "[]", "{}", '{"records": [1]}', '{"records": []}'):
            path.write_text(text)
            self.assertRaises(ValueError, Report.read, path)

    def test_markdown(self) -> None:
        """People read how it was measured, the goals, what failed, and all figures."""
        shown = (self.directory / "routers.md").read_text()
        for text in (
            "Medians of 3 rounds, 2 min on a machine;",
            "load average before 0.01, afterwards 1.75. ours 1; theirs 2.",
            "| batched, 8 pairs, 64 bytes | messages/s | 60 | 10 | 6 | ≥ 5: met | 5 | 0.5 |",
            "- one case: it does not work",
            "| round trip, free | p50, µs | 1.5* |",
        ):
            self.assertIn(text, shown)

    def test_plots(self) -> None:
        """There are plots of what was measured, and the Markdown shows them."""
        names = {"routers-size.svg", "routers-nodes.svg", "routers-latency.svg"}
        self.assertEqual({path.name for path in self.directory.glob("*.svg")}, names)
        shown = (self.directory / "routers.md").read_text()
        for name in names:
            self.assertIn(f"]({name})", shown)

    def test_summary(self) -> None:
        """For the README there are the goals and how they were measured, and some plots."""
        docs = self.directory / "docs"
        docs.mkdir()
        document = self.directory / "document.md"
        document.write_text("<!-- bench: routers -->\n<!-- bench end -->")
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            words = ["--plots", str(docs), "--into", str(document)]
            summary.main([str(self.directory / "routers.json"), *words])
        self.assertIn("| batched, 8 pairs, 64 bytes | messages/s | 60 |", said.getvalue())
        self.assertIn("on a machine", said.getvalue())
        self.assertNotIn("p50", said.getvalue())
        self.assertEqual([path.name for path in docs.iterdir()], ["routers-size.svg"])
        self.assertIn("Medians of 3 rounds", document.read_text())

    def test_no_report(self) -> None:
        """A file that is none is named."""
        with self.assertRaisesRegex(SystemExit, "nowhere.json"):
            summary.main(["nowhere.json"])


class PlotTests(SynchronousTestCase):
    """Curves."""

    def lines(self, document: str) -> list[list[tuple[float, ...]]]:
        """The points of each curve."""
        root = ElementTree.fromstring(document)
        return [
            [tuple(map(float, point.split(","))) for point in each.attrib["points"].split()]
            for each in root.iter(f"{SVG}polyline")
        ]

    def texts(self, document: str) -> list[str | None]:
        """All that is written."""
        return [each.text for each in ElementTree.fromstring(document).iter(f"{SVG}text")]

    def test_curves(self) -> None:
        """Each curve has a line, higher values are higher up, and names are shown as they are."""
        curves = {"a<b": [(1, 10), (100, 1000)], "c": [(1, 1000), (10, 1000)]}
        document = drawing("title", Axis("x"), Axis("y"), curves)
        lines = self.lines(document)
        self.assertEqual(len(lines), 2)
        self.assertGreater(lines[0][0][1], lines[0][1][1])
        self.assertEqual(lines[0][1][1], lines[1][0][1])
        # On a logarithmic axis 10 is in the middle between 1 and 100.
        self.assertAlmostEqual(lines[1][1][0], (lines[0][0][0] + lines[0][1][0]) / 2)
        self.assertLessEqual(
            {"title", "x", "y", "a<b", "c", "100", "1k"}, set(self.texts(document))
        )

    def test_colours(self) -> None:
        """Who has no points is not shown, and everybody else has the same colour as elsewhere."""
        point = [(1.0, 1.0), (2.0, 2.0)]

        def strokes(curves: dict[str, list[tuple[float, float]]]) -> list[str]:
            root = ElementTree.fromstring(drawing("", Axis("x"), Axis("y"), curves))
            return [each.attrib["stroke"] for each in root.iter(f"{SVG}polyline")]

        both = strokes({"a": point, "b": point})
        self.assertEqual(len(set(both)), 2)
        self.assertEqual(strokes({"a": [], "b": point}), both[1:])

    def test_round_trips(self) -> None:
        """Of round trips the slowest hundredth has as much room as the tenth before."""
        quantiles = tuple(range(1000, 2001))
        found = [Record(FREE, "distnet", 1, Measured({}, quantiles=quantiles))]
        ((_, document),) = CONTESTS["routers"].plots(found).items()
        self.assertLessEqual({"50 %", "90 %", "99 %", "99.9 %"}, set(self.texts(document)))
        (line,) = self.lines(document)
        # From left to right: 0, 90, 99 and 99.9 %.
        places = [line[at][0] for at in (0, 90, 180, 189)]
        self.assertApproximates(places[1] - places[0], places[2] - places[1], 0.2)
        self.assertApproximates(places[3] - places[2], places[2] - places[1], 0.2)

    def test_two_contests(self) -> None:
        """Both contests have a plot each by size, by number, and of both kinds of round trips."""
        cases = {
            "routers": ("batched, 8 pairs, 1024 bytes", RATE),
            "switches": ("1500 bytes, 64 under way", "delivered/s"),
        }
        for name, (case, figure) in cases.items():
            ours = CONTESTS[name].names.ours
            plots = CONTESTS[name].plots(records(case, figure, **{ours: 1000}))
            self.assertEqual(list(plots), [f"{name}-size.svg"])
