import pytest
from hypothesis import given
from hypothesis import strategies as st

from needlepoint._core.errors import DataError
from needlepoint.models.encoder import TokenizerEncoder
from needlepoint.models.word_tokenizer import word_tokenizer
from needlepoint.testing.tiny import byte_tokenizer

BYTES = TokenizerEncoder(byte_tokenizer())


@given(st.text(max_size=20))
def test_bytes_are_cut_and_put_together_again(text: str) -> None:
    ids = BYTES.encode(text)
    assert len(ids) == len(text.encode())
    assert BYTES.tokenizer.decode(ids) == text
    again, spans = BYTES.encode_with_offsets(text)
    assert again == ids
    assert [text[a:b] for a, b in spans] == [c for c in text for _ in c.encode()]


def test_pieces_are_readable_and_keep_spaces() -> None:
    assert BYTES.pieces(BYTES.encode("a b")) == ["a", " ", "b"]
    assert BYTES.pieces(BYTES.encode("é")) == ["\ufffd", "\ufffd"]


def test_words_are_tokens_in_the_order_given() -> None:
    encoder = TokenizerEncoder(word_tokenizer(["<s>", "x", "yy"], first="<s>"))
    assert encoder.encode(" yy x\n yy") == [2, 1, 2]
    assert encoder.encode_with_offsets("yy x") == ([2, 1], [(0, 2), (3, 4)])
    assert encoder.pieces([2, 1]) == ["yy", "x"]


@pytest.mark.parametrize("text", ["z", "x " * 99 + "z"])
def test_a_word_that_the_tokenizer_lacks_is_said_in_a_sentence(text: str) -> None:
    encoder = TokenizerEncoder(word_tokenizer(["x"]))
    with pytest.raises(DataError, match=r"cannot cut '(z|x .*\.\.\.)' \(.*UNK.*\); give text of"):
        encoder.encode(text)
    with pytest.raises(DataError, match="give text of words that it knows"):
        encoder.encode_with_offsets(text)


class Stub:
    """A tokenizer that knows `a`, and what it is told to."""

    unk_token_id = None

    def __init__(self, *, added: int | None, end: int | None, zero: str, bos: int | None) -> None:
        self.added, self.end, self.zero, self.bos_token_id = added, end, zero, bos

    def encode(self, text: str, add_special_tokens: bool) -> list[int]:
        front = [self.added] if add_special_tokens and self.added is not None else []
        return [*front, 5]

    def convert_tokens_to_ids(self, _: str) -> int | None:
        return self.end

    def convert_ids_to_tokens(self, _: int) -> str:
        return self.zero


@pytest.mark.parametrize(
    ("stub", "expected"),
    [
        (Stub(added=9, end=3, zero="!", bos=1), 9),
        (Stub(added=None, end=3, zero="!", bos=1), 3),
        (Stub(added=None, end=None, zero="<|endoftext|>", bos=1), 0),
        (Stub(added=None, end=None, zero="!", bos=1), 1),
        (Stub(added=None, end=None, zero="!", bos=None), None),
    ],
)
def test_the_first_token_is_the_one_the_model_was_trained_with(stub, expected) -> None:
    assert TokenizerEncoder(stub).first_token() == expected


def test_the_first_token_of_bytes_is_the_end_of_text() -> None:
    assert BYTES.first_token() == 256


def test_the_fingerprint_is_of_what_decides_how_text_is_cut() -> None:
    one, same, other = (
        TokenizerEncoder(word_tokenizer(words)) for words in (["a", "b"], ["a", "b"], ["b", "a"])
    )
    assert one.fingerprint() == same.fingerprint() != other.fingerprint()
    one.encode_with_offsets("a b")
    assert one.fingerprint() == same.fingerprint()
    assert TokenizerEncoder(Stub(added=None, end=None, zero="!", bos=1)).fingerprint() is None
