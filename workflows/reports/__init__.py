"""Reports: what the run found, as one HTML page a researcher can publish and one a clinician can read.

The run fills :class:`~workflows.reports.content.CohortContent` and
:class:`~workflows.reports.content.PatientContent`; the builders turn them into HTML and refuse to show
a small count. Nothing here writes a file.

Why HTML with pictures drawn inside it, and no scripts: one file that opens offline in any browser of any
hospital, prints as it looks, can be searched and read aloud, and cannot phone home.
"""

from __future__ import annotations
