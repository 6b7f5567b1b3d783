"""Stand-in for ROS 2's diagnostic_updater: the updater and its status."""

from diagnostic_updater.status import DiagnosticStatusWrapper
from diagnostic_updater.updater import (
    DiagnosticTask,
    FunctionDiagnosticTask,
    Updater,
)

__all__ = ["DiagnosticStatusWrapper", "DiagnosticTask", "FunctionDiagnosticTask", "Updater"]
