"""The short way to an address says what the long one says."""

from hypothesis import example, given, settings
from hypothesis import strategies as st

from subscribers.forms import parse_address
from subscribers.transfer.addresses import read_address

LOCAL = st.text("abcXYZ019.!#$%&'*+/=?^_`{|}~-@\" ", max_size=70)
LABEL = st.text("abXY01-", max_size=64) | st.sampled_from(["xn--bcher-kva", "xn--", "test", "local", "bücher", "a_b"])
DOMAIN = st.lists(LABEL, min_size=1, max_size=4).map(".".join) | st.sampled_from(
    ["example.org", "Example.ORG", "example.org.", "localhost", "xn--bcher-kva.example", "[192.0.2.1]", "example.123"]
)
TEXT = st.builds("{}@{}".format, LOCAL, DOMAIN) | st.text(max_size=40)


@settings(max_examples=400)
@given(TEXT)
@example("a" * 64 + "@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 58 + ".example")
@example("a" * 64 + "@" + "b" * 60 + "." + "c" * 60 + "." + "d" * 59 + ".example")
@example("a" * 65 + "@example.org")
@example("Ann <ann@example.org>")
@example("a\u212a@example.org")
@example("  Ann.Person@EXAMPLE.org\n")
@example("ann@xn--bcher-kva.example")
@example("ann@example.org\0")
def test_the_short_way_says_what_the_long_way_says(text: str):
    assert read_address(text) == parse_address(text)
    # Once more, now that the domain has been seen.
    assert read_address(text) == parse_address(text)
