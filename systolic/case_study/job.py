"""The case study with its page and its text: the end that touches the disk."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from model_ir.errors import InputError
from reports.case_study import CaseStudy
from reports.case_study_page import render_case_study
from reports.case_study_text import case_study_markdown
from systolic.case_study.study import CaseStudyRequest, case_study

if TYPE_CHECKING:
    from systolic.pipeline import Progress

PAGE, TEXT = "case-study.html", "case-study.md"


def case_study_job(request: CaseStudyRequest, folder: Path, progress: Progress) -> tuple[Path, CaseStudy]:
    """The page that was written and what it shows; the same as Markdown lies beside it. Raises InputError for a step
    that does not exist or a folder that cannot be written."""
    study = case_study(request, progress)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / PAGE).write_text(render_case_study(study), encoding="utf-8")
        (folder / TEXT).write_text(case_study_markdown(study), encoding="utf-8")
    except OSError as error:
        raise InputError(str(folder), f"cannot write the page: {error.strerror}") from error
    return folder / PAGE, study
