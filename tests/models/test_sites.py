import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import UnknownSiteError
from needlepoint.models.model import Model
from needlepoint.models.sites import Part, Site, site

INDEXED = {Part.HEAD, Part.HEAD_OUT, Part.NEURON}
numbers = st.integers(0, 10**6)
sites = st.one_of(
    st.builds(Site.of, numbers, st.sampled_from(sorted(set(Part) - INDEXED, key=str))),
    st.builds(Site.of, numbers, st.sampled_from(sorted(INDEXED, key=str)), numbers),
)


@given(sites)
def test_a_site_that_is_printed_is_read_back(found: Site) -> None:
    assert Site.parse(str(found)) == found
    assert site(str(found)) == found == site(found)


@given(st.text(max_size=12))
def test_text_is_a_site_or_an_error_that_shows_the_forms(text: str) -> None:
    with contextlib.suppress(UnknownSiteError):
        assert Site.parse(str(Site.parse(text))) == Site.parse(text)
        return
    with pytest.raises(UnknownSiteError, match=r"write one like L3.attn.z"):
        Site.parse(text)


@pytest.mark.parametrize(
    "text", ["", "L3", "L3.", "L3.H7", "L3.H7.q", "L-1.resid", "L3.N", "L3.mlp", "l3.resid", "L3.z"]
)
def test_what_only_looks_like_a_site_is_refused(text: str) -> None:
    with pytest.raises(UnknownSiteError, match="is not a site; write one like"):
        Site.parse(text)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("L3.resid", "L3.resid does not exist: tiny llama has layers 0 to 2."),
        ("L2.H4.z", "L2.H4.z does not exist: tiny llama has heads 0 to 3 in a layer."),
        ("L0.H9.out", "L0.H9.out does not exist: tiny llama has heads 0 to 3 in a layer."),
        ("L1.N48", "L1.N48 does not exist: tiny llama has neurons 0 to 47 in a layer."),
        (Site.of(-1, Part.RESID), "has layers 0 to 2."),
        (Site.of(0, Part.HEAD, -1), "has heads 0 to 3 in a layer."),
    ],
)
def test_a_site_that_the_model_lacks_is_refused_with_the_range(tiny, address, message) -> None:
    model: Model = tiny("llama")
    with pytest.raises(UnknownSiteError) as caught:
        model.site(address)
    assert str(caught.value).endswith(message)


def test_sites_sort_by_layer_and_head_sites_come_layer_by_layer(tiny) -> None:
    heads = tiny("gpt2").head_sites()
    assert [str(head) for head in heads[:5]] == [
        "L0.H0.z",
        "L0.H1.z",
        "L0.H2.z",
        "L0.H3.z",
        "L1.H0.z",
    ]
    assert sorted(heads) == heads
    assert len(heads) == 12
