"""Which weights are chosen, and their history."""

from __future__ import annotations

from dataclasses import replace

import torch
from adaptation_data import Place
from test_adaptation_judging import BEFORE as OLD
from test_adaptation_judging import changed

from any2seg_ros.adaptation import judging
from any2seg_ros.adaptation.config import Margins
from any2seg_ros.adaptation.judging import Judgement
from any2seg_ros.adaptation.result import BEFORE, bag_checksums, blend, choose, write_weights
from any2seg_ros.files import checksum
from any2seg_ros.network import checkpoints


def test_the_best_of_those_that_lose_nothing_is_chosen():
    best = changed(sure_accuracy={"lidar": 60.0})
    loser = changed(sure_accuracy={"lidar": 80.0}, streets={"rgb+depth+lidar+event": 50.0})
    outcome = choose(
        {BEFORE: OLD, "round 1": changed(), "round 2": best, "round 3": loser}, Margins()
    )
    assert outcome.chosen == "round 2" and outcome.better
    assert outcome.why_not["round 2"] == [] and "Streets val" in outcome.why_not["round 3"][0]
    assert outcome.after is best and outcome.before is OLD


def camera_alone(sure: float) -> Judgement:
    """Of a single sensor, which has nobody to agree with; the pupil is the camera itself."""
    table = {"rgb": sure}
    streets = {"rgb+depth+lidar+event": 60.0, "rgb": 40.0}
    return Judgement("rgb", table, {"rgb": 80.0}, {}, {"rgb": 70.0}, streets)


def test_the_best_of_weights_for_a_single_sensor_is_chosen():
    judged = {BEFORE: camera_alone(50.0), "round 1": camera_alone(60.0)}
    outcome = choose(
        {**judged, "round 2": camera_alone(70.0), "round 3": camera_alone(65.0)}, Margins()
    )
    assert outcome.chosen == "round 2" and not any(outcome.why_not.values())
    assert judging.gain(judged[BEFORE], judged["round 1"]) == 10.0


def test_the_old_ones_stay_where_all_lose():
    worse = changed(agreement={"rgb+lidar": 10.0})
    outcome = choose({BEFORE: OLD, "round 1": worse}, Margins())
    assert outcome.chosen == BEFORE and not outcome.better and outcome.after is worse


def test_a_blend_is_on_the_way(drive: Place, tmp_path):
    network, metadata = checkpoints.load(drive.weights)
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.add_(0.5)
    checkpoints.save(tmp_path / "other", network, replace(metadata, temperatures={"rgb": 2.0}))
    blend(drive.weights, tmp_path / "other", 0.75, tmp_path / "between")
    mean, told = checkpoints.load(tmp_path / "between")
    for mine, theirs in zip(mean.parameters(), network.parameters(), strict=True):
        torch.testing.assert_close(mine, theirs - 0.125, atol=2e-2, rtol=2e-3)
    assert told.temperatures == {"rgb": 2.0}


def test_weights_are_removed_where_the_old_ones_stay(drive: Place, tmp_path):
    path = tmp_path / "weights.safetensors"
    write_weights(
        path, drive.weights, choose({BEFORE: OLD, "round 1": changed()}, Margins()), {"parent": "p"}
    )
    told = checkpoints.read_header(path).metadata.training["adaptation"]
    assert told["parent"] == "p" and told["chosen"] == "round 1"
    assert told["before"]["agreement"] == {"rgb+lidar": 45.0}
    write_weights(path, drive.weights, choose({BEFORE: OLD}, Margins()), {})
    assert not path.exists()


def test_bags_are_known_by_their_files(drive: Place):
    recorded = next(drive.bag.glob("*.mcap"))
    assert bag_checksums([drive.bag]) == {f"drive/{recorded.name}": checksum(recorded)}
    assert list(bag_checksums([recorded])) == [f"{recorded.name}/{recorded.name}"]


def test_every_bag_has_its_checksums_whatever_it_is_called(tmp_path):
    files = [tmp_path / "a/drive/1.mcap", tmp_path / "b/drive/1.mcap", tmp_path / "c/1.db3.zstd"]
    for number, file in enumerate(files):
        file.parent.mkdir(parents=True)
        file.write_bytes(bytes([number]))
    found = bag_checksums([file.parent for file in files])
    assert list(found) == ["drive/1.mcap", "drive (2)/1.mcap", "c/1.db3.zstd"]
    assert list(found.values()) == [checksum(file) for file in files]
