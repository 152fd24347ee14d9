"""Numbers in bulk: the same doubles as Python's float, bit by bit, and the same refusals, one value apart."""

import struct

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_prep import decimals
from data_prep.decimals import parse_many


def one_by_one(raw):
    """What a value stands for, by Python alone."""
    if b"_" in raw:
        return None
    try:
        return [float(part) for part in raw.rstrip(b" \0").split(b"\\")]
    except ValueError:
        return None


def same(values):
    parsed = parse_many(values)
    for raw, got in zip(values, parsed, strict=True):
        wanted = one_by_one(raw)
        assert (got is None) == (wanted is None), raw
        if wanted is not None:
            assert struct.pack(f"{len(wanted)}d", *got) == struct.pack(f"{len(wanted)}d", *wanted), raw


signs = st.sampled_from(["", "", "-", "+"])
digits = st.text("0123456789", max_size=9)
plain = st.builds("{}{}{}{}".format, signs, digits, st.sampled_from(["", "."]), digits)
exponent = st.builds("{}{}.{}e{}{}".format, signs, digits, digits, signs, st.integers(0, 40))
rounded = st.tuples(st.floats(-1e4, 1e4), st.integers(0, 12)).map(lambda pair: f"{pair[0]:.{pair[1]}f}")
other = st.one_of(
    st.floats().map(repr),
    st.integers(-(10**20), 10**20).map(str),
    st.sampled_from(
        ["nan", "inf", "-Infinity", "1_0", "0x10", "", " ", "1 2", " 1.5", "1.5 ", "-", "+", ".", "-.", "--1"]
    ),
    st.text(alphabet="0123456789.-+eE _,\0/:", max_size=18),
)
value = st.lists(st.one_of(plain, exponent, rounded, other), min_size=1, max_size=12)


@settings(max_examples=150, deadline=None)
@given(st.lists(st.lists(st.one_of(plain, rounded), min_size=1, max_size=30), min_size=1, max_size=6))
def test_plain_numbers_are_pythons_to_the_last_bit(values):
    same([b"\\".join(part.encode() for part in parts) for parts in values])


@settings(max_examples=150, deadline=None)
@given(st.lists(value, min_size=1, max_size=6), st.sampled_from([b"", b" ", b"\0", b"  \0"]))
def test_what_is_odd_costs_its_own_value_only(values, padding):
    same([b"\\".join(part.encode() for part in parts) + padding for parts in values])


@given(st.lists(st.binary(max_size=40), max_size=5))
def test_any_bytes(values):
    same([raw.replace(b"\xb2", b"2") for raw in values])


HARD = ["9007199254740993", "9007199254740992", "-0", "-0.0", "0.1", "999999999999999", ".5", "5.", "-.5",
        "0000000000000001", "123456789012.345", "12345678.9012345", "1234567.89012345", "123456789.012345", "4.35",
        "0.000000000000001", "-123456789.12345", "+1.5", "1:5", "1/5", "1..5", "1.2.3", "12345678.12345.7",
        "1234567890.23.56"]  # fmt: skip


@pytest.mark.parametrize("text", HARD)
def test_awkward_numbers(text):
    same([text.encode(), f"1\\{text}\\2".encode(), f"{text}\\{text} ".encode()])


def test_more_than_one_chunk(monkeypatch):
    monkeypatch.setattr(decimals, "CHUNK", 7)
    values = np.round(np.random.default_rng(0).normal(0, 300, (13, 9)), 4)
    raws = ["\\".join(map(repr, row)).encode() for row in values.tolist()]
    raws[3] = b"1\\x\\3"
    raws[8] = b"1e2\\2"
    same(raws)


def test_nothing_at_all():
    assert parse_many([]) == []
    same([b""])
    same([b"", b"1", b"\\", b"1\\"])
