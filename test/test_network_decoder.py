"""The decoder: SegFormer's, folded and with refine blocks."""

from __future__ import annotations

import torch
from torch.nn import functional as F

from any2seg_ros.network import Any2Seg, NetworkConfig
from any2seg_ros.network.decoder import AllMLP


@torch.no_grad()
def test_the_decoder_is_segformers_all_mlp_head():
    head = AllMLP((4, 6, 8, 10), classes=5, width=12).eval()
    torch.nn.init.uniform_(head.norm.running_var, 0.5, 1.5)
    maps = [torch.randn(2, c, 16 // 2**i, 24 // 2**i) for i, c in enumerate((4, 6, 8, 10))]
    upsampled = [
        F.interpolate(linear(m), (16, 24), mode="bilinear", align_corners=False)
        for linear, m in zip(head.linear, maps, strict=True)
    ]
    expected = head.classifier(F.relu(head.norm(head.fuse(torch.cat(upsampled, 1)))))
    torch.testing.assert_close(head(maps), expected, atol=1e-5, rtol=1e-5)


@torch.no_grad()
def test_blocks_that_refine_begin_as_nothing_and_fold_too():
    plain = Any2Seg(NetworkConfig(width=16)).eval()
    refined = Any2Seg(NetworkConfig(width=16, refine=2)).eval()
    refined.load_state_dict({**refined.state_dict(), **plain.state_dict()})
    images = torch.randn(2, 3, 32, 64)
    torch.testing.assert_close(refined(images)[0], plain(images)[0])
    torch.nn.init.ones_(refined.decoder.refine[1].norm2.weight)
    expected = refined(images)[0]
    assert not torch.allclose(expected, plain(images)[0])
    torch.testing.assert_close(refined.folded()(images)[0], expected, atol=1e-5, rtol=1e-4)
