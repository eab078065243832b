"""The paper's claims, measured on a bundle: one module a claim, see `registry`.

Importing this package loads neither torch nor scikit-learn, so that pages can use `verdicts`.
"""

from explorer.evidence.registry import SECTIONS
from explorer.evidence.runner import check, measure
from explorer.evidence.settings import EvidenceSettings

__all__ = ["SECTIONS", "EvidenceSettings", "check", "measure"]
