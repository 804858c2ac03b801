"""What a part of a run has sent, what was answered, and what should not have been."""

import random
import time
from collections import Counter
from dataclasses import dataclass, field

_KEPT = 10  # examples of each kind of finding
_OVERLOADS = 1000  # of so many inputs one may be answered so; two may be of any number


def dice(seed: object) -> random.Random:
    """Return a generator that draws the same for the same seed, which is printed."""
    return random.Random(str(seed))


@dataclass
class Report:
    """A part's inputs and findings."""

    name: str
    inputs: int = 0  # sent, and answered or ended by the server
    answers: Counter[str] = field(default_factory=Counter)
    found: dict[str, list[str]] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    overloads: Counter[str] = field(default_factory=Counter)  # answers that were asked for again
    counts: Counter[str] = field(default_factory=Counter)  # of all findings, by kind
    began: float = field(default_factory=time.monotonic)
    seconds: float = 0.0

    def answered(self, what: str, number: int = 1) -> None:
        """Count an input and what became of it."""
        self.inputs += number
        self.answers[what] += number

    def find(self, kind: str, example: str) -> None:
        """Keep a finding."""
        self.counts[kind] += 1
        examples = self.found.setdefault(kind, [])
        if len(examples) < _KEPT:
            examples.append(example)

    def overloaded(self, what: str) -> None:
        """Count a documented answer of an overloaded service (`fuzz.overload`)."""
        self.overloads[what] += 1

    def end(self) -> "Report":
        """Stop the clock, and judge whether the service was overloaded seldom enough."""
        self.seconds = time.monotonic() - self.began
        if self.overloads.total() > max(2, self.inputs / _OVERLOADS):
            self.find("overloaded more than seldom", self.under_load)
        return self

    @property
    def under_load(self) -> str:
        """How often the service was overloaded, empty where it never was."""
        return ", ".join(f"{number:,} x {what}" for what, number in self.overloads.items())

    @property
    def summary(self) -> str:
        """What was sent and what came of it, in one line."""
        common = ", ".join(f"{number:,} x {what}" for what, number in self.answers.most_common(14))
        rate = self.inputs / max(self.seconds, 0.001)
        notes = [*self.notes, f"overloaded: {self.under_load}"] if self.overloads else self.notes
        noted = "".join(f"; {note}" for note in notes)
        return f"{self.inputs:,} inputs in {self.seconds:.0f} s ({rate:,.0f}/s): {common}{noted}"

    @property
    def findings(self) -> list[str]:
        """Each kind of finding, with its number and the first examples."""
        return [
            f"{kind} ({self.counts[kind]:,} times)\n    " + "\n    ".join(examples[:3])
            for kind, examples in self.found.items()
        ]
