"""The bag of the node's outputs: complete or absent, beside other files of the folder."""

from __future__ import annotations

from pathlib import Path

import pytest
from rosbags.rosbag2 import Reader

from any2seg_ros.bags.output_bag import OutputBag, check_folder
from any2seg_ros.messages.kinds import LABEL_INFO
from any2seg_ros.messages.making import header_message


def write(folder: Path, error: type[BaseException] | None = None) -> None:
    with OutputBag(folder) as bag:
        header = header_message(bag.message, 7, "camera")
        message = bag.message(LABEL_INFO, header=header, class_map=[], threshold=0.5)
        bag.write("label_info", message, 9, latched=True)
        if error:
            raise error


def test_outputs_have_the_nodes_topics(tmp_path: Path) -> None:
    write(tmp_path)
    assert {path.name for path in tmp_path.iterdir()} == {"replay.mcap", "metadata.yaml"}
    with Reader(tmp_path) as reader:
        rows = [(c.topic, c.msgtype, time) for c, time, _ in reader.messages()]
    assert rows == [("/segmenter/label_info", LABEL_INFO, 9)]


def test_nothing_is_in_place_before_the_bag_is_complete(tmp_path: Path) -> None:
    with OutputBag(tmp_path):
        assert not [path for path in tmp_path.iterdir() if not path.name.startswith(".")]
    assert (tmp_path / "replay.mcap").exists()


def test_an_error_leaves_nothing_and_ctrl_c_what_was_written(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError):
        write(tmp_path, RuntimeError)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(KeyboardInterrupt):
        write(tmp_path, KeyboardInterrupt)
    with Reader(tmp_path) as reader:
        assert reader.message_count == 1


def test_an_earlier_replay_is_replaced_and_other_files_are_kept(tmp_path: Path) -> None:
    (tmp_path / "letter.txt").write_text("dear")
    write(tmp_path)
    first = (tmp_path / "replay.mcap").read_bytes()
    write(tmp_path)
    assert (tmp_path / "replay.mcap").read_bytes() == first
    assert (tmp_path / "letter.txt").read_text() == "dear"


@pytest.mark.parametrize("name", ["drive.mcap", "drive.db3"])
def test_a_folder_with_another_bag_is_refused(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(FileExistsError, match=f"another bag in it \\({name}\\)"):
        write(tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_a_file_in_place_of_the_folder_is_refused(tmp_path: Path) -> None:
    (tmp_path / "out").touch()
    with pytest.raises(FileExistsError, match="is a file"):
        check_folder(tmp_path / "out")
