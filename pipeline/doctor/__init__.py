"""`atelier doctor`: is everything that a job needs there, and does it work? Each check does the real thing, small.

Checks are functions of the settings that yield findings; `examine` runs them and turns what they raise into findings.
"""

from pipeline.doctor.examine import CHECKS, examine
from pipeline.doctor.finding import Finding, State

__all__ = ["CHECKS", "Finding", "State", "examine"]
