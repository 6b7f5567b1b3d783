"""DiagnosticStatusWrapper: a DiagnosticStatus that is easy to fill."""

from __future__ import annotations

from typing import Any

from diagnostic_msgs.msg import DiagnosticStatus, KeyValue


class DiagnosticStatusWrapper(DiagnosticStatus):
    """A DiagnosticStatus with shorthands; levels are single bytes, b'\\x00' is OK."""

    def summary(self, *args: Any) -> None:
        """summary(level, message), or summary(status) to copy another's."""
        if len(args) == 1:
            self.level, self.message = args[0].level, args[0].message
        else:
            self.level, self.message = args[0], str(args[1])

    def clearSummary(self) -> None:
        """Reset to OK without a message."""
        self.summary(b"\x00", "")

    def mergeSummary(self, *args: Any) -> None:
        """Keep the worse level; join the messages if both are not OK, else keep the worse one's."""
        level, message = (args[0].level, args[0].message) if len(args) == 1 else args
        if self.level > b"\x00" and level > b"\x00":
            self.message += "; " + message
        elif level > self.level:
            self.message = message
        self.level = max(self.level, level)

    def add(self, key: str, value: str) -> None:
        """Append a key and a text."""
        self.values.append(KeyValue(key=key, value=value))
