"""SQLite bags whose recorder died: what it had not yet merged, and what can be read of a cut one.

Tables: topics (id, name, type, ...) and messages (id, topic_id, timestamp, data), as
rosbag2_storage_sqlite3 writes them.
"""

from __future__ import annotations

import shutil
import sqlite3
from collections import Counter
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path

from any2seg_ros.bags.unpacking import check_room
from any2seg_ros.types import plain

MAGIC = b"SQLite format 3\0"
_BESIDE = ("-wal", "-journal")


def is_unmerged(path: Path) -> bool:
    """Whether messages of a .db3 file lie in a log beside it, which the recorder did not merge."""
    return any(beside.exists() and beside.stat().st_size for beside in _logs(path))


def _logs(path: Path) -> list[Path]:
    return [path.with_name(path.name + suffix) for suffix in _BESIDE]


def merge(path: Path, folder: Path) -> tuple[Path, list[str]]:
    """A copy of a .db3 file in `folder` with what lies in its log, and notes.

    The bag itself stays as it is. ValueError where there is no room for it.
    """
    logs = [log for log in _logs(path) if log.exists()]
    size = path.stat().st_size + sum(log.stat().st_size for log in logs)
    check_room(folder, size, f"merge it with `sqlite3 {path.name} 'PRAGMA wal_checkpoint'`")
    for file in (path, *logs):
        shutil.copyfile(file, folder / file.name)
    merged = folder / path.name
    try:
        database = sqlite3.connect(merged)
        try:
            database.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            database.execute("PRAGMA journal_mode=DELETE").fetchall()
        finally:
            database.close()
    except sqlite3.Error as error:
        return merged, [f"{logs[0].name} cannot be merged and is left out: {error}"]
    return merged, [f"{logs[0].name} was left by the recorder, and was merged"]


def check_tables(path: Path) -> None:
    """ValueError for a .db3 file whose tables make up what they hold: it may be endless.

    Views, virtual tables and generated columns, which no recorder writes.
    """
    with suppress(sqlite3.Error), closing(_opened(path)) as database:
        for (name,) in database.execute(_MADE_UP):
            raise ValueError(f"{path} is no recording: its table '{plain(name)}' is made up")


_MADE_UP = """
SELECT name FROM sqlite_master WHERE type IN ('table', 'view') AND coalesce(rootpage, 0) = 0
UNION ALL
SELECT m.name FROM sqlite_master m, pragma_table_xinfo(m.name) x WHERE m.type = 'table' AND x.hidden
LIMIT 1
"""


def _opened(path: Path) -> sqlite3.Connection:
    database = sqlite3.connect(f"file:{path}?immutable=1", uri=True)
    # Without it, SQLite opens no file that is shorter than its header says.
    database.execute("PRAGMA writable_schema=ON")
    return database


class SalvagedDatabase:
    """The messages before the break of a .db3 file that is cut off or damaged.

    ValueError where not even its list of topics can be read.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.note = ""
        """What was left out; known when `messages` has come to its end."""
        self._database = _opened(path)
        try:
            rows = self._database.execute("SELECT id, name, type FROM topics").fetchall()
        except sqlite3.Error as error:
            self.close()
            raise ValueError(f"{path} is broken: its topics cannot be read: {error}") from None
        self._topics = {key: (str(name), str(kind)) for key, name, kind in rows}
        self.topics: dict[str, str] = dict(self._topics.values())
        self.definitions: list[tuple[str, str, str]] = self._definitions()
        self.counts: Counter[str] = Counter()
        self.start = self.end = 0
        for key, log_time, *_ in self._rows("topic_id, timestamp"):
            self.counts[self._topics[key][0]] += 1
            self.start = min(self.start or log_time, log_time)
            self.end = max(self.end, log_time)
        if not self.counts:
            self.close()
            raise ValueError(f"{path} is broken: not one whole message is in it")

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    def messages(self, topics: Collection[str] | None) -> Iterator[tuple[str, str, int, bytes]]:
        """(topic, type, log time in ns, serialised message), as they were written."""
        for key, log_time, data in self._rows("topic_id, timestamp, data"):
            topic, kind = self._topics[key]
            if topics is None or topic in topics:
                yield topic, kind, log_time, bytes(data)

    def _definitions(self) -> list[tuple[str, str, str]]:
        """Type, text and encoding of the message definitions, in files that have them."""
        try:
            return self._database.execute(
                "SELECT topic_type, encoded_message_definition, encoding FROM message_definitions"
            ).fetchall()
        except sqlite3.Error:
            return []

    def _rows(self, columns: str) -> Iterator[tuple]:
        """Rows in the order in which they were written: the index may lie behind the break."""
        cursor = None
        while True:
            try:
                if cursor is None:
                    query = f"SELECT {columns} FROM messages NOT INDEXED"
                    cursor = self._database.execute(query)
                row = cursor.fetchone()
            except (sqlite3.Error, OverflowError, MemoryError) as error:
                self.note = f"{self.path.name} is cut off or damaged: {error}"
                return
            if row is None:
                return
            # A column may hold anything, whatever its table says.
            key, log_time, *data = row
            fits = isinstance(log_time, int) and all(isinstance(one, bytes) for one in data)
            if fits and key in self._topics:
                yield row
