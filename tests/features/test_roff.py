"""Manual pages lose their markup and nothing of what a reader reads as running text."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint.features.roff import manual_paragraphs, unescaped

PAGE = r"""'\" t
.\" Copyright someone
.TH EPOLL 7 2022-10-30
.SH NAME
epoll \- I/O event notification facility
.SH
DESCRIPTION
The
.B epoll
API is like
.BR poll (2):
it watches
.I several
.IR "open files" ,
says \(lqready\(rq or \fInot\fP.
.PP
.nf
int x = 1;
.fi
.TS
tab(:);
a:b
.TE
.IP \[bu] 3
The
.RI ( rfd )
end of \*(Aqa pipe\*(Aq is
.\" a remark
registered.\" another

A new one\
 goes on.
.EX
code
.EE
"""


def test_a_page_becomes_its_paragraphs():
    assert manual_paragraphs(PAGE) == [
        "epoll - I/O event notification facility",
        'The epoll API is like poll(2): it watches several open files, says "ready" or not.',
        "The (rfd) end of 'a pipe' is registered.",
        "A new one goes on.",
    ]


@pytest.mark.parametrize("source", [".so man7/epoll.7\n", ".Dd May 1\n.Dt A 1\nText of it.\n", ""])
def test_pointers_and_pages_in_other_macros_give_nothing(source):
    assert manual_paragraphs(source) == []


@pytest.mark.parametrize(
    ("line", "plain"),
    [
        (r"\fBbold\fR and \f[I]slanted\f[]", "bold and slanted"),
        (r"\-\-long\-option", "--long-option"),
        (r"a\(emb \(en c", "a - b - c"),
        (r"\s-1SMALL\s+1 \s0end", "SMALL end"),
        (r"\[lB]x\[rB] \(aqy\(aq", "[x] 'y'"),
        (r"back\eslash and \e\e", "back\\slash and \\\\"),
        (r"\&.dot\|gap\ here", ".dotgap here"),
        (r"\v'1'up\h'2'", "up"),
        (r"\(coGNU \*(Tmhere\*R \[u2026]", "GNU here "),
    ],
)
def test_escapes(line, plain):
    assert unescaped(line) == plain


@given(st.text(st.characters(exclude_characters="\\\n", exclude_categories=["Cs"])))
def test_text_without_escapes_is_left_alone(line):
    assert unescaped(line) == line


@given(st.lists(st.text("ab.'\\ \"\n-[]()*fnTSHP", max_size=30), max_size=10))
def test_any_source_gives_single_lines(lines):
    assert all(part and "\n" not in part for part in manual_paragraphs("\n".join(lines)))
