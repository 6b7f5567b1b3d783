"""SQLite bags whose recorder died, made by hand."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from test_bags_parts import ALL, SQLITE, file_of, read, write_bag

from any2seg_ros.bags.sqlite import SalvagedDatabase


def unmerged(folder: Path, journal: str, beside: tuple[str, ...]) -> Path:
    """A bag whose recorder died: half of its messages lie beside its .db3 file."""
    source = file_of(write_bag(folder / "source", SQLITE))
    live = folder / "live.db3"
    shutil.copy(source, live)
    database = sqlite3.connect(live)
    late = database.execute("SELECT * FROM messages WHERE timestamp >= 1030").fetchall()
    database.execute("DELETE FROM messages WHERE timestamp >= 1030")
    database.commit()
    database.execute(f"PRAGMA journal_mode={journal}").fetchall()
    database.execute("PRAGMA wal_autocheckpoint=0")
    marks = ", ".join("?" * len(late[0]))
    database.executemany(f"INSERT INTO messages VALUES ({marks})", late)
    database.commit()
    bag = folder / "bag"
    bag.mkdir()
    for suffix in ("", *beside):
        shutil.copy(f"{live}{suffix}", bag / f"drive_0.db3{suffix}")
    database.close()
    return bag


@pytest.mark.parametrize("beside", [("-wal", "-shm"), ("-wal",)])
def test_messages_that_a_recorder_had_not_merged_are_read(tmp_path, beside):
    bag = unmerged(tmp_path, "wal", beside)
    before = {f.name: f.read_bytes() for f in bag.iterdir()}
    found, notes = read(bag)
    assert found == ALL
    assert any("drive_0.db3-wal was left by the recorder, and was merged" in n for n in notes)
    assert {f.name: f.read_bytes() for f in bag.iterdir()} == before


def test_a_transaction_that_was_not_finished_is_undone(tmp_path):
    bag = tmp_path / "bag"
    bag.mkdir()
    live = file_of(write_bag(tmp_path / "source", SQLITE))
    database = sqlite3.connect(live)
    database.execute("PRAGMA cache_size=2")
    database.execute("PRAGMA cache_spill=1")
    database.execute("BEGIN")
    database.execute("DELETE FROM messages WHERE timestamp >= 1002")
    for file in live.parent.glob("*.db3*"):
        shutil.copy(file, bag)
    database.close()
    assert any(f.name.endswith("-journal") for f in bag.iterdir())
    assert read(bag)[0] == ALL


def test_what_lies_in_a_cut_file_is_counted_before_it_is_read(tmp_path):
    file = file_of(write_bag(tmp_path / "bag", SQLITE))
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    database = SalvagedDatabase(file)
    assert database.topics == {"/data": "std_msgs/msg/UInt8MultiArray"}
    assert 10 < database.counts["/data"] < 50 and database.start == 1000
    assert "is cut off or damaged" in database.note
    database.close()


@pytest.mark.parametrize("size", [16, 100, 4096, 8192])
def test_a_file_without_its_tables_is_refused_with_the_cause(tmp_path, size):
    file = file_of(write_bag(tmp_path / "bag", SQLITE))
    file.write_bytes(file.read_bytes()[:size])
    with pytest.raises(ValueError, match="its topics cannot be read|not one whole message"):
        SalvagedDatabase(file)


def changed(folder: Path, *statements: str) -> Path:
    """A .db3 file on which SQL has been run."""
    file = file_of(write_bag(folder / "source", SQLITE))
    database = sqlite3.connect(file)
    for statement in statements:
        database.execute(statement)
    database.commit()
    database.close()
    return file


def test_a_list_of_messages_that_lies_outside_the_file_is_told(tmp_path):
    file = changed(
        tmp_path,
        "PRAGMA writable_schema=ON",
        "UPDATE sqlite_master SET rootpage=999 WHERE name='messages'",
    )
    with pytest.raises(ValueError, match="not one whole message is in it"):
        SalvagedDatabase(file)


@pytest.mark.parametrize(
    "made_up",
    [
        "CREATE VIEW more AS WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n)"
        " SELECT i FROM n",
        "ALTER TABLE messages ADD more BLOB GENERATED ALWAYS AS (zeroblob(1000000000)) VIRTUAL",
        "CREATE VIRTUAL TABLE more USING rtree(a, b, c)",
    ],
)
def test_tables_that_make_up_what_they_hold_are_refused(tmp_path, made_up):
    bag = write_bag(tmp_path / "bag", SQLITE)
    database = sqlite3.connect(file_of(bag))
    database.execute(made_up)
    database.commit()
    database.close()
    with pytest.raises(ValueError, match="is no recording: its table"):
        read(bag)


def test_endless_topics_are_refused(tmp_path):
    file = tmp_path / "endless.db3"
    database = sqlite3.connect(file)
    database.execute(
        "CREATE VIEW topics AS WITH RECURSIVE n(id) AS (SELECT 1 UNION ALL SELECT id + 1 FROM n"
        " LIMIT 100000) SELECT id, id AS name, 'std_msgs/msg/String' AS type FROM n"
    )
    database.execute("CREATE TABLE messages (id INTEGER, topic_id INTEGER, timestamp, data BLOB)")
    database.execute("INSERT INTO messages VALUES (1, 1, 1, x'00')")
    database.commit()
    database.close()
    with pytest.raises(ValueError, match="its table 'topics' is made up"):
        read(file)


def test_rows_that_hold_something_else_are_left_out(tmp_path):
    columns = "INSERT INTO messages(topic_id, timestamp, data) SELECT topic_id,"
    file = changed(
        tmp_path,
        f"{columns} 'then', data FROM messages LIMIT 1",
        f"{columns} timestamp, 1000000000000 FROM messages LIMIT 1",
    )
    database = SalvagedDatabase(file)
    assert len(list(database.messages(None))) == len(ALL)
    database.close()
