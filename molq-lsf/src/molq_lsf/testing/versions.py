"""Hold what LSF's programs say to ``-V``."""

from __future__ import annotations

VERSIONS = {
    "openlava": "openlava project 2.2, Nov 22 2026",
    "spectrum": "IBM Spectrum LSF Standard 10.1.0.9, Oct 16 2019",
}
