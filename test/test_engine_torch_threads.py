"""torch's threads are as before when what is done once is over."""

from __future__ import annotations

import pytest
import torch

from any2seg_ros.engine.torch_threads import one_thread


def test_torch_has_one_thread_meanwhile_and_as_many_as_before_afterwards() -> None:
    before = torch.get_num_threads()
    try:
        torch.set_num_threads(3)
        with pytest.raises(KeyError), one_thread():
            assert torch.get_num_threads() == 1
            raise KeyError
        assert torch.get_num_threads() == 3
    finally:
        torch.set_num_threads(before)
