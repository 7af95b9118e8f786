"""The case study with its page and its text: the end that touches the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from reports.case_study import CaseStudy
from reports.case_study_page import render_case_study
from reports.case_study_text import case_study_markdown
from systolic.case_study.study import CaseStudyRequest, case_study
from systolic.text_file import write_text

if TYPE_CHECKING:
    from systolic.pipeline import Progress

PAGE, TEXT = "case-study.html", "case-study.md"


def case_study_job(request: CaseStudyRequest, folder: Path, progress: Progress) -> tuple[Path, CaseStudy]:
    """The page that was written and what it shows; the same as Markdown lies beside it. Raises InputError for a step
    that does not exist or a folder that cannot be written."""
    study = case_study(request, progress)
    write_text(folder / PAGE, render_case_study(study))
    write_text(folder / TEXT, case_study_markdown(study))
    return folder / PAGE, study
