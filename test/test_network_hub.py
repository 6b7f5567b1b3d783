"""The hub: the greatest of what is present goes on, in the order that it was trained with."""

from __future__ import annotations

import torch

from any2seg_ros.network.hub import HubConfig, HubScale

CONFIG = HubConfig((16, 24, 32, 48))


def scale(config: HubConfig, index: int) -> HubScale:
    torch.manual_seed(0)
    return HubScale(config, index).eval()


@torch.no_grad()
def test_what_is_not_present_is_left_out_unless_nothing_is():
    hub = scale(CONFIG, 0)
    lead, others = torch.randn(1, 16, 8, 12), [torch.randn(1, 3, 32, 48) for _ in range(3)]
    some = torch.tensor([[True, False, True]])
    changed = [others[0], torch.randn(1, 3, 32, 48) * 9, others[2]]
    for one, two in zip(hub(lead, others, some)[:2], hub(lead, changed, some)[:2], strict=True):
        torch.testing.assert_close(one, two)
    everyone = torch.ones(1, 3, dtype=torch.bool)
    assert not torch.allclose(hub(lead, others, everyone)[1], hub(lead, changed, everyone)[1])
    none = torch.zeros(1, 3, dtype=torch.bool)
    torch.testing.assert_close(hub(lead, others, none)[1], hub(lead, others, everyone)[1])


@torch.no_grad()
def test_one_other_modality_goes_on_alone():
    hub = scale(HubConfig((16, 24, 32, 48), others=1), 1)
    lead, fused, others = hub(torch.randn(2, 24, 4, 6), [torch.randn(2, 16, 8, 12)])
    assert lead.shape == fused.shape == others[0].shape == (2, 24, 4, 6)
    assert len(others) == 1 and not hub.scores


@torch.no_grad()
def test_the_published_order_reads_maps_as_if_channels_came_last():
    features = torch.arange(2 * 3 * 2.0).reshape(1, 2, 3, 2)
    published = HubScale(HubConfig((2, 4, 8, 16), heads=(1, 1, 1, 1), published_order=True), 0)
    handed = published._handed_on(features)
    assert handed[0, :, 0, 0].tolist() == [0.0, 1.0]
    plain = HubScale(HubConfig((2, 4, 8, 16), heads=(1, 1, 1, 1)), 0)
    assert torch.equal(plain._handed_on(features), features)
