"""Trial, with a Hypothesis that stops at the first failure: nobody reads what it would shrink."""

from __future__ import annotations

from hypothesis import Phase, settings
from twisted.scripts.trial import run

if __name__ == "__main__":
    settings.register_profile(
        "first-failure",
        phases=(Phase.explicit, Phase.generate),
        report_multiple_bugs=False,
        derandomize=True,
        database=None,
        deadline=None,
    )
    settings.load_profile("first-failure")
    run()
