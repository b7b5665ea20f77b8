"""A crowd of buyers that fights for a show's places over plain HTTP, as anybody outside would."""

from loadtests.buyers.crowd import Crowd, Habits
from loadtests.buyers.tally import Tally
from loadtests.buyers.verdict import Verdict, reach_verdict

__all__ = ["Crowd", "Habits", "Tally", "Verdict", "reach_verdict"]
