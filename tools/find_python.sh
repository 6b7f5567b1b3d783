#!/bin/sh
# Print a Python 3.10 to 3.13 that can make virtual environments: $1 if given, else the first found.
# With a ROS 2 sourced it must be the Python of that ROS.
fits='import sys; sys.exit(not (3, 10) <= sys.version_info[:2] <= (3, 13))'
seen=""
for python in ${1:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
  command -v "$python" > /dev/null 2>&1 || continue
  "$python" -c "$fits" 2> /dev/null || { seen="$seen $("$python" --version 2>&1 | tr ' ' '-')"; continue; }
  if ! "$python" -c 'import venv, ensurepip' 2> /dev/null; then
    echo "any2seg: $python has no venv: sudo apt install python3-venv" >&2
    exit 1
  fi
  if [ -n "$ROS_DISTRO" ] && ! "$python" -c 'import rclpy' 2> /dev/null; then
    seen="$seen $python-without-rclpy"
    continue
  fi
  command -v "$python"
  exit 0
done
if [ -n "$ROS_DISTRO" ]; then
  echo "any2seg: ROS_DISTRO is $ROS_DISTRO, but no Python here imports rclpy (saw:${seen:- none}): source /opt/ros/$ROS_DISTRO/setup.bash, or unset ROS_DISTRO" >&2
else
  echo "any2seg: no Python 3.10 to 3.13 (saw:${seen:- none}): sudo apt install python3 python3-venv, or make PYTHON=/path/to/python3 ..." >&2
fi
exit 1
