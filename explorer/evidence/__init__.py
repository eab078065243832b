"""The paper's claims, measured on a bundle.

- `registry`: what is measured, in which order; one entry and two modules of one name a claim,
  `measures/X` (what is measured, with torch) and `claims/X` (words, rule, plots, pure).
- `runner`: measure sections in one lens pass that can be resumed; `compare`: check them again.
- `stored`: what a bundle holds, whatever version measured it.

Importing this package loads neither torch nor scikit-learn, and neither do the claims.
"""

from explorer.evidence.runner import check, measure, measure_allowed
from explorer.evidence.settings import EvidenceSettings

__all__ = ["EvidenceSettings", "check", "measure", "measure_allowed"]
