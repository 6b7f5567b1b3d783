"""Mutations: nearly right, of the same types, and the same for the same chance."""

from __future__ import annotations

import copy
from array import array

import numpy as np

from any2seg_ros.bench.fuzz import samples
from any2seg_ros.bench.fuzz.mutation import mutated_bytes, mutated_message

STAMP = 5_000_000_000_000


def test_bytes_change_a_little_and_the_same_for_the_same_chance() -> None:
    data = bytes(range(256)) * 4
    made = [mutated_bytes(data, np.random.default_rng(n)) for n in range(200)]
    assert made == [mutated_bytes(data, np.random.default_rng(n)) for n in range(200)]
    assert len(set(made)) > 190 and sum(one != data for one in made) > 195
    assert {len(one) > len(data) for one in made} == {True, False}
    assert mutated_bytes(b"", np.random.default_rng(0)) is not None


def test_messages_keep_the_types_of_their_fields_and_the_original_stays() -> None:
    rng = np.random.default_rng(0)
    for name, _, make in samples.samples():
        message = make(STAMP)
        kept = copy.deepcopy(message)
        for _ in range(20):
            changed = mutated_message(message, rng)
            assert set(vars(changed)) == set(vars(message)), name
            for field, value in vars(changed).items():
                before = getattr(message, field)
                if type(before) in (int, str, bool, list):
                    assert type(value) is type(before), (name, field)
                if type(value) is int:
                    assert 0 <= value < 1 << 64, (name, field)
        assert repr(message) == repr(kept)


def test_every_field_is_changed_at_some_time() -> None:
    rng = np.random.default_rng(0)
    message = samples.transform(STAMP)
    changed = [mutated_message(message, rng) for _ in range(300)]
    assert any(one.header.frame_id != "camera" for one in changed)
    assert any(one.child_frame_id != "lidar" for one in changed)
    assert any(one.transform.rotation.w != 1.0 for one in changed)
    infos = [mutated_message(samples.camera_info(STAMP), rng) for _ in range(300)]
    assert any(not np.isfinite(np.asarray(info.k)).all() for info in infos)
    assert all(not isinstance(info.k, array) for info in infos)
