#!/bin/sh
# Print the path of a Python 3.10 to 3.13 with venv and headers: $1 if given, else the first found.
# If ROS 2 is sourced, it must be the Python of that ROS.
seen=""
fix=""
for python in ${1:-python3 python3.13 python3.12 python3.11 python3.10 python}; do
  command -v "$python" > /dev/null 2>&1 || continue
  version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2> /dev/null) || continue
  case "$version" in
    3.10 | 3.11 | 3.12 | 3.13) ;;
    *) seen="$seen $version" && continue ;;
  esac
  if ! "$python" -c 'import venv, ensurepip' 2> /dev/null; then
    seen="$seen $version without venv,"
    fix="sudo apt install python$version-venv"
  elif ! "$python" -c 'import os, sys, sysconfig
sys.exit(not os.path.exists(os.path.join(sysconfig.get_path("include"), "Python.h")))'; then
    seen="$seen $version without headers,"
    fix="sudo apt install python$version-dev"
  elif [ -n "$ROS_DISTRO" ] && ! "$python" -c 'import rclpy' 2> /dev/null; then
    seen="$seen $version without rclpy,"
    fix="source /opt/ros/$ROS_DISTRO/setup.bash, or unset ROS_DISTRO"
  else
    command -v "$python"
    exit 0
  fi
done
none="no usable Python 3.10 to 3.13"
[ -n "$ROS_DISTRO" ] && none="no Python that imports rclpy of ROS 2 $ROS_DISTRO"
: "${fix:=sudo apt install python3 python3-venv python3-dev, or make PYTHON=/path/to/python3 ...}"
echo "any2seg: $none (found:${seen:- none}): $fix" >&2
exit 1
