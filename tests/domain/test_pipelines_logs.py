"""A run's log as bytes: whole lines only, addressed by where they are."""

from hypothesis import given
from hypothesis import strategies as st

from shared.domain.pipelines.logs import MAX_TEXT, decode_page, encode_lines
from tests.support.pipelines import AT


def test_a_line_keeps_what_it_says() -> None:
    data = encode_lines("naïve \x1b[0m", at=AT, level="info", stage="build", step="one")
    (line,), following = decode_page(data, 100, 10)
    assert (line.offset, following) == (100, 100 + len(data))
    assert (line.stage, line.step, line.level, line.text) == ("build", "one", "info", "naïve \x1b[0m")
    assert line.timestamp == "2026-06-11T09:00:00.000Z"


def test_a_long_line_goes_on_in_the_next() -> None:
    data = encode_lines("x" * (MAX_TEXT + 1), at=AT, level="info")
    lines, _ = decode_page(data, 0, 10)
    assert [len(line.text) for line in lines] == [MAX_TEXT, 1]


def test_an_unfinished_line_waits_and_a_broken_one_is_shown_as_it_is() -> None:
    whole = encode_lines("whole", at=AT, level="info")
    lines, following = decode_page(whole + b'{"torn', 0, 10)
    assert ([line.text for line in lines], following) == (["whole"], len(whole))
    lines, _ = decode_page(b'{"torn\n' + whole, 0, 10)
    assert [line.text for line in lines] == ['{"torn', "whole"]


@given(texts=st.lists(st.text(), max_size=20), limit=st.integers(1, 5))
def test_pages_put_together_are_the_log(texts: list[str], limit: int) -> None:
    data = b"".join(encode_lines(text, at=AT, level="info") for text in texts)
    read: list[str] = []
    offset = 0
    while offset < len(data):
        lines, following = decode_page(data[offset:], offset, limit)
        assert 0 < len(lines) <= limit
        read.extend(line.text for line in lines)
        offset = following
    assert read == [text.encode("utf-8", "replace").decode() for text in texts]
