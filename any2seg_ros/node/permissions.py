"""Permissions for SROS2: exactly what the node publishes, subscribes to, serves and calls.

`python -m any2seg_ros.node.permissions --out FOLDER --enclave /any2seg --ros-args ...`, with the
node's own arguments, starts the node, looks at its graph, and ends. No driver has to run.
"""

from __future__ import annotations

import argparse
import os
import sys
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as Xml

import rclpy

from any2seg_ros.files import write_atomically
from any2seg_ros.node.process import begin, start
from any2seg_ros.node.segmenter_node import SegmenterNode

PERMISSIONS, POLICY = "permissions.xml", "policy.xml"
_SCHEMA = "http://www.omg.org/spec/DDS-SECURITY/20170901/omg_shared_ca_permissions.xsd"
_INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"
_DISCOVERY = "ros_discovery_info"
"""Where ROS processes tell each other of their nodes; its name has no prefix."""


@dataclass(frozen=True)
class Graph:
    """Full names of what a node has: topics and services, each in order."""

    publishes: tuple[str, ...]
    subscribes: tuple[str, ...]
    serves: tuple[str, ...]
    calls: tuple[str, ...]


def graph_of(node: Any) -> Graph:
    """What a node has now."""
    name, namespace = node.get_name(), node.get_namespace()

    def names(found: list[tuple[str, list[str]]]) -> tuple[str, ...]:
        return tuple(sorted(topic for topic, _ in found))

    return Graph(
        names(node.get_publisher_names_and_types_by_node(name, namespace)),
        names(node.get_subscriber_names_and_types_by_node(name, namespace)),
        names(node.get_service_names_and_types_by_node(name, namespace)),
        names(node.get_client_names_and_types_by_node(name, namespace)),
    )


def permissions_xml(
    graph: Graph, enclave: str, domain: int, begins: datetime, ends: datetime
) -> str:
    """The permissions of DDS Security 1.1 for an enclave, to be signed: all else is denied.

    Names are those of ROS on DDS: rt/ topics, rq/ requests and rr/ replies of services. The times
    are UTC.
    """
    root = Xml.Element("dds", {"xmlns:xsi": _INSTANCE, "xsi:noNamespaceSchemaLocation": _SCHEMA})
    grant = Xml.SubElement(Xml.SubElement(root, "permissions"), "grant", {"name": enclave})
    Xml.SubElement(grant, "subject_name").text = f"CN={enclave}"
    validity = Xml.SubElement(grant, "validity")
    for name, time in (("not_before", begins), ("not_after", ends)):
        Xml.SubElement(validity, name).text = time.strftime("%Y-%m-%dT%H:%M:%S")
    rule = Xml.SubElement(grant, "allow_rule")
    Xml.SubElement(Xml.SubElement(rule, "domains"), "id").text = str(domain)
    requests, replies = (
        [f"rq{s}Request" for s in graph.serves],
        [f"rr{s}Reply" for s in graph.serves],
    )
    asked, answers = [f"rq{s}Request" for s in graph.calls], [f"rr{s}Reply" for s in graph.calls]
    said = [f"rt{topic}" for topic in graph.publishes]
    heard = [f"rt{topic}" for topic in graph.subscribes]
    for kind, topics in (
        ("publish", [_DISCOVERY, *replies, *asked, *said]),
        ("subscribe", [_DISCOVERY, *requests, *answers, *heard]),
    ):
        parent = Xml.SubElement(Xml.SubElement(rule, kind), "topics")
        for topic in topics:
            Xml.SubElement(parent, "topic").text = topic
    Xml.SubElement(grant, "default").text = "DENY"
    return _text(root)


def policy_xml(graph: Graph, name: str, namespace: str, enclave: str) -> str:
    """The same as a policy of sros2, for `ros2 security create_permission`."""
    root = Xml.Element("policy", {"version": "0.2.0"})
    place = Xml.SubElement(Xml.SubElement(root, "enclaves"), "enclave", {"path": enclave})
    profiles = Xml.SubElement(place, "profiles")
    profile = Xml.SubElement(profiles, "profile", {"ns": namespace, "node": name})
    for tag, attribute, names in (
        ("services", "reply", graph.serves),
        ("services", "request", graph.calls),
        ("topics", "publish", graph.publishes),
        ("topics", "subscribe", graph.subscribes),
    ):
        if names:
            parent = Xml.SubElement(profile, tag, {attribute: "ALLOW"})
            for one in names:
                Xml.SubElement(parent, tag[:-1]).text = one
    return _text(root)


def _text(root: Xml.Element) -> str:
    Xml.indent(root)
    return Xml.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def main(words: list[str] | None = None) -> int:
    """Write the files; 0, or 1 where the node cannot start with these arguments."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--out", type=Path, required=True, help="folder of the files")
    parser.add_argument("--enclave", default="/any2seg", help="the node's enclave")
    parser.add_argument("--days", type=int, default=3650, help="how long it is valid")
    domain = int(os.environ.get("ROS_DOMAIN_ID") or 0)
    parser.add_argument("--domain", type=int, default=domain, help="domain id")
    options, arguments = parser.parse_known_args(words)
    wrong = begin(["permissions", *arguments])
    if wrong:
        print(wrong, file=sys.stderr)
        return 1
    node = SegmenterNode()
    try:
        if not start(node):
            return 1
        graph, name, namespace = graph_of(node), node.get_name(), node.get_namespace()
    finally:
        node.close()
        node.destroy_node()
        rclpy.try_shutdown()
    now = datetime.now(timezone.utc).replace(hour=0, minute=0, second=0)
    ends = now + timedelta(days=options.days)
    for file, text in (
        (PERMISSIONS, permissions_xml(graph, options.enclave, options.domain, now, ends)),
        (POLICY, policy_xml(graph, name, namespace, options.enclave)),
    ):
        write_atomically(options.out / file, text)
        print(options.out / file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
