"""Numbers of pictures, in units packed by hand bit by bit."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from any2seg_ros.messages.h264 import PictureNumbers, units
from any2seg_ros.types import InvalidMeasurement

START = b"\0\0\0\1"


def golomb(value):
    word = f"{value + 1:b}"
    return "0" * (len(word) - 1) + word


def unit(kind, bits="", refers=3, head=b""):
    bits += "1" + "0" * (-(len(bits) + 1) % 8)
    body = bytes(int(bits[i : i + 8], 2) for i in range(0, len(bits), 8))
    plain = head + body
    return START + bytes([refers << 5 | kind]) + plain


def parameters(bits=4, profile=66):
    colours = golomb(1) + golomb(0) + golomb(0) + "00" if profile == 100 else ""
    return unit(7, golomb(0) + colours + golomb(bits - 4) + golomb(0), head=bytes([profile, 0, 30]))


def picture(number, bits=4, refers=3):
    return unit(1, golomb(0) + golomb(5) + golomb(0) + f"{number:0{bits}b}", refers)


KEY = unit(5, golomb(0) + golomb(7) + golomb(0) + "0000")


def losses(packets, bits=4, profile=66):
    numbers = PictureNumbers()
    first = [parameters(bits, profile) + unit(8) + KEY]
    return [numbers.lost(packet) for packet in first + packets]


@pytest.mark.parametrize("profile", [66, 100])
@pytest.mark.parametrize("bits", [4, 8, 16])
def test_numbers_that_follow_each_other_are_whole_over_their_loop(bits, profile):
    count = min(1 << bits, 300) + 20
    packets = [picture(k % (1 << bits), bits) for k in range(1, count)]
    assert not any(losses(packets, bits, profile))


def test_a_missing_number_is_a_loss_once():
    assert losses([picture(1), picture(3), picture(4)]) == [False, False, True, False]


def test_pictures_that_nothing_refers_to_may_be_missing():
    packets = [picture(1), picture(2, refers=0), picture(2, refers=0), picture(2), picture(3)]
    assert not any(losses(packets))
    assert not any(losses([packets[0], *packets[3:]]))


def test_several_slices_of_a_picture_are_one_and_a_key_frame_begins_anew():
    assert not any(losses([picture(1) + picture(1), picture(2), KEY, picture(1)]))


def test_without_parameters_nothing_is_said():
    numbers = PictureNumbers()
    assert not numbers.lost(picture(1)) and not numbers.lost(picture(9))
    assert numbers.parameters == b""


def test_parameters_are_kept_for_a_decoder_that_begins_anew():
    numbers = PictureNumbers()
    numbers.lost(parameters() + unit(8) + KEY)
    assert [kind for kind, _, _ in units(numbers.parameters)] == [7, 8]


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (picture(1) * 3000, "more than 2000 units"),
        (unit(7, head=bytes(1000)) * 100, "bytes of parameters"),
    ],
)
def test_a_packet_that_is_nothing_but_heads_is_refused_before_they_are_read(data, reason):
    with pytest.raises(InvalidMeasurement, match=reason):
        PictureNumbers().lost(data)


@given(st.lists(st.binary(max_size=60), max_size=5))
def test_any_bytes_are_looked_at_without_an_error(packets):
    numbers = PictureNumbers()
    for packet in packets:
        numbers.lost(START + b"\x67" + packet + START + b"\x61" + packet)
