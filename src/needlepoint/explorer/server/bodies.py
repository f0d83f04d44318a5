"""What a request may hold, and how much of it."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from needlepoint.explorer.questions import (
    MOST_SITES,
    Contrast,
    EditKind,
    SiteEdit,
    TextQuestion,
)

MOST_CHARACTERS = 20_000
"""Of a text that is looked at."""
MOST_PASTED = 2_000_000
"""Of the examples of a study."""
Site = Annotated[str, Field(max_length=40)]
Text = Annotated[str, Field(max_length=MOST_CHARACTERS)]
Answers = Annotated[list[Annotated[str, Field(max_length=200)]], Field(max_length=20)]
Pasted = Annotated[str, Field(max_length=MOST_PASTED)]


class _Body(BaseModel):
    model_config = ConfigDict(extra="forbid")


class EditBody(_Body):
    """One edit of a site."""

    site: Site
    kind: EditKind = "zero"
    factor: float = Field(default=0.0, allow_inf_nan=False, ge=-1000, le=1000)


class ContrastBody(_Body):
    """What the text is held against."""

    corrupt: Text
    answer: Answers
    wrong: Answers


class QuestionBody(_Body):
    """One look at a text."""

    text: Text
    sites: list[Site] = Field(default=[], max_length=MOST_SITES)
    position: int | None = Field(default=None, ge=0)
    edits: list[EditBody] = Field(default=[], max_length=MOST_SITES)
    contrast: ContrastBody | None = None
    codebook: str = Field(default="", max_length=80)

    def question(self) -> TextQuestion:
        """The same as the live model takes it."""
        contrast = self.contrast
        return TextQuestion(
            self.text,
            tuple(self.sites),
            self.position,
            tuple(SiteEdit(edit.site, edit.kind, edit.factor) for edit in self.edits),
            None
            if contrast is None
            else Contrast(contrast.corrupt, tuple(contrast.answer), tuple(contrast.wrong)),
            self.codebook,
        )


class CodebookBody(_Body):
    """The task on whose prompts a codebook is fitted."""

    task: str = Field(max_length=80)


class StudyBody(_Body):
    """A study of pasted text."""

    kind: Literal["probe", "circuit"]
    name: str = Field(max_length=80)
    positive: Pasted = ""
    """Texts with the feature, one a line."""
    negative: Pasted = ""
    """Texts without it, one a line."""
    table: Pasted = ""
    """Instead of these a CSV table with `text` and `label`; for a circuit the pairs."""
    thorough: bool = False
