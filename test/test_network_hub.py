"""The hub: others go through it together, an absent one as if it were not there."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from any2seg_ros.network.hub import ChannelNorm, Hub, HubConfig, HubScale, PoolingBlock, Score

SMALL = HubConfig(channels=(8, 12, 16, 24), depths=(1, 1, 1, 1), heads=(1, 2, 2, 4))
LEAD = torch.randn(2, 8, 8, 16, generator=torch.Generator().manual_seed(7))


def drawn(module: nn.Module) -> nn.Module:
    """The module in evaluation, with random weights that make every part of it count."""
    torch.manual_seed(0)
    for parameter in module.parameters():
        nn.init.normal_(parameter, std=0.3)
    return module.eval()


def others(seed: int = 1, count: int = 3) -> list[Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(2, 3, 32, 64, generator=generator) for _ in range(count)]


@torch.no_grad()
def test_four_scales_follow_one_another_beside_the_leading_branch():
    hub, maps = drawn(Hub(SMALL)), others()
    for i, scale in enumerate(hub.scales):
        lead = torch.randn(2, SMALL.channels[i], 8 >> i, 16 >> i)
        rectified, fused, maps = scale(lead, maps)
        assert rectified.shape == fused.shape == lead.shape
        assert [m.shape for m in maps] == [lead.shape] * 3


@torch.no_grad()
def test_of_a_modality_that_is_absent_nothing_is_taken():
    scale = drawn(HubScale(SMALL, 0))
    present = torch.tensor([[True, False, True], [True, True, True]])
    first, second = others(), others()
    second[1][0] = 9.0
    (lead, fused, _), (same_lead, same_fused, _) = (
        scale(LEAD, maps, present) for maps in (first, second)
    )
    assert torch.equal(lead, same_lead) and torch.equal(fused, same_fused)
    seen, _, _ = scale(LEAD, second)
    assert not torch.allclose(lead[0], seen[0]) and torch.allclose(lead[1], seen[1])


@torch.no_grad()
def test_where_no_other_is_present_all_are_taken():
    scale = drawn(HubScale(SMALL, 0))
    expected = scale(LEAD, others())
    found = scale(LEAD, others(), torch.zeros(2, 3, dtype=torch.bool))
    assert torch.equal(found[1], expected[1]) and torch.isfinite(found[1]).all()


@torch.no_grad()
def test_the_greatest_of_the_others_goes_on_whatever_their_order():
    """With norms and scores of all alike, modalities may change places."""
    scale = drawn(HubScale(SMALL, 0))
    for part in (scale.embed_norms, scale.scores):
        for module in part:
            module.load_state_dict(part[0].state_dict())
    maps = others()
    _, fused, _ = scale(LEAD, maps)
    _, turned, _ = scale(LEAD, maps[::-1])
    torch.testing.assert_close(fused, turned)


@torch.no_grad()
def test_one_other_alone_has_no_score_and_is_handed_on_as_the_hub_has_rectified_it():
    one = HubConfig(SMALL.channels, SMALL.depths, SMALL.heads, others=1)
    scale = drawn(HubScale(one, 0))
    assert len(scale.scores) == 0
    _, _, handed_on = scale(LEAD, others(count=1))
    assert [m.shape for m in handed_on] == [LEAD.shape]


@torch.no_grad()
def test_maps_are_handed_on_with_their_memory_read_as_the_published_weights_want_it():
    """Numbers that count up in (C, H, W) order, read as (H, W, C)."""
    published = HubScale(HubConfig((2,), heads=(1,), depths=(1,), published_order=True), 0)
    ours = HubScale(HubConfig((2,), heads=(1,), depths=(1,)), 0)
    counted = torch.arange(12.0).reshape(1, 2, 2, 3)
    assert torch.equal(ours._handed_on(counted), counted)
    read = published._handed_on(counted)
    assert read[0, :, 0, 0].tolist() == [0, 1] and read[0, :, 1, 2].tolist() == [10, 11]


@torch.no_grad()
def test_a_channel_norm_is_a_layer_norm_over_each_pixel_s_channels():
    norm = drawn(ChannelNorm(6))
    maps = torch.randn(2, 6, 3, 4)
    theirs = nn.LayerNorm(6, 1e-6)
    theirs.load_state_dict(norm.state_dict())
    torch.testing.assert_close(norm(maps), theirs(maps.permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


@torch.no_grad()
def test_a_score_is_one_number_a_pixel_between_nothing_and_all():
    scores = drawn(Score(6))(torch.randn(2, 6, 3, 4) * 100)
    assert scores.shape == (2, 1, 3, 4)
    assert 0 <= scores.min() < 0.01 and 0.99 < scores.max() <= 1


@torch.no_grad()
def test_a_pooling_block_sees_as_far_as_its_kernel_its_widest_pool_and_its_last_convolution():
    block = drawn(PoolingBlock(4, 2))
    nn.init.zeros_(block.channels.weight)  # what gates by a channel's mean sees everything
    maps = torch.zeros(1, 4, 40, 40)
    changed = maps.clone()
    changed[0, :, 20, 20] = 50.0
    seen = (block(maps) - block(changed)).abs()[0].amax(0) > 0
    rows = seen.any(1).nonzero().flatten().tolist()
    assert rows == list(range(20 - 3 - 5 - 1, 20 + 3 + 5 + 2))
