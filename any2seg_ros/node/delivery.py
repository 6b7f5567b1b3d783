"""How messages come to a subscription: what publishers offer, what does not fit, what was lost."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy, qos_check_compatible
from rclpy.qos import QoSCompatibility as Compatibility
from rclpy.qos_overriding_options import QoSOverridingOptions, QoSPolicyKind

from any2seg_ros.messages.offers import Offer, asked

try:
    from rclpy.event_handler import SubscriptionEventCallbacks, UnsupportedEventTypeError
except ImportError:  # Humble
    from rclpy.qos_event import SubscriptionEventCallbacks, UnsupportedEventTypeError

TELL_EVERY = 10_000_000_000
"""ns between two lines in the log about what was lost."""

_KINDS = {
    "history": QoSPolicyKind.HISTORY,
    "depth": QoSPolicyKind.DEPTH,
    "reliability": QoSPolicyKind.RELIABILITY,
    "durability": QoSPolicyKind.DURABILITY,
}


def offers(node: Any, topic: str) -> list[tuple[str, QoSProfile]]:
    """Who publishes on a topic, and with which QoS."""
    found = node.get_publishers_info_by_topic(topic)
    return [(f"{i.node_namespace.rstrip('/')}/{i.node_name}", i.qos_profile) for i in found]


def offer_of(profile: QoSProfile) -> Offer:
    """What a publisher with this QoS offers."""
    return Offer(
        profile.reliability == ReliabilityPolicy.RELIABLE,
        profile.durability == DurabilityPolicy.TRANSIENT_LOCAL,
    )


def chosen_profile(
    node: Any, topic: str, depth: int, reliable: str, latched: bool, before: QoSProfile | None
) -> QoSProfile:
    """The QoS to subscribe with: what all publishers of the topic offer, or what is asked for.

    reliable: auto, yes or no. latched: take what was published before, where all keep it; that is
    reliable in any case. before: the QoS so far, which stays while nobody publishes.
    """
    found = [offer_of(profile) for _, profile in offers(node, topic)]
    if not found and before is not None:
        return before
    mine = asked(found, latched)
    sure = mine.latched or (mine.reliable if reliable == "auto" else reliable == "yes")
    return QoSProfile(
        depth=depth,
        reliability=ReliabilityPolicy.RELIABLE if sure else ReliabilityPolicy.BEST_EFFORT,
        durability=DurabilityPolicy.TRANSIENT_LOCAL if mine.latched else DurabilityPolicy.VOLATILE,
    )


def kept_profile(node: Any, topic: str, chosen: QoSProfile) -> QoSProfile | None:
    """The QoS of a second subscription, for what some publishers of a topic keep for latecomers.

    None where the first one, `chosen`, hears that already, or where nobody keeps anything.
    """
    if chosen.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        return None
    if Offer(True, True) not in (offer_of(profile) for _, profile in offers(node, topic)):
        return None
    return QoSProfile(
        depth=chosen.depth,
        reliability=ReliabilityPolicy.RELIABLE,
        durability=DurabilityPolicy.TRANSIENT_LOCAL,
    )


def same(one: QoSProfile, other: QoSProfile) -> bool:
    """Whether two profiles of `chosen_profile` mean the same."""
    return (one.reliability, one.durability) == (other.reliability, other.durability)


def overriding(node: Any, topic: str) -> QoSOverridingOptions:
    """Parameters `qos_overrides.<topic>.subscription.*`: history, depth, and what is given.

    Reliability and durability are no parameters unless somebody gives them: they would pin for
    good what publishers offered first.
    """
    given = getattr(node, "_parameter_overrides", {})  # rclpy has no public name for them
    start = f"qos_overrides.{topic}.subscription."
    usual = ("history", "depth")
    kinds = [kind for name, kind in _KINDS.items() if name in usual or start + name in given]
    return QoSOverridingOptions(kinds)


def misfit(node: Any, topic: str, requested: QoSProfile) -> str:
    """Which publishers a subscription cannot hear, with both sides; empty where it hears all."""
    deaf = []
    for name, offered in offers(node, topic):
        if qos_check_compatible(offered, requested)[0] == Compatibility.ERROR:
            deaf.append(f"{name} offers {_words(offered)}")
    if not deaf:
        return ""
    return f"{'; '.join(deaf)}; this node asks for {_words(requested)} on {topic}"


def _words(profile: QoSProfile) -> str:
    parts = [profile.reliability.name.lower().replace("_", " ")]
    if profile.durability == DurabilityPolicy.TRANSIENT_LOCAL:
        parts.append("transient local")
    elif profile.durability == DurabilityPolicy.VOLATILE:
        parts.append("volatile")
    return ", ".join(parts)


def subscribed(
    make: Callable[..., Any], on_misfit: Callable[[], None], on_lost: Callable[[int], None]
) -> Any:
    """What `make` makes with `event_callbacks`, as many as the middleware knows.

    on_lost: told how many messages were lost since the last time.
    """

    def lost(info: Any) -> None:
        on_lost(int(info.total_count_change))

    told: dict[str, Any] = {"incompatible_qos": lambda info: on_misfit(), "message_lost": lost}
    while True:
        try:
            return make(event_callbacks=SubscriptionEventCallbacks(**told))
        except UnsupportedEventTypeError:
            if not told:
                raise
            told.popitem()


class LossCounter:
    """Messages of a sensor that never arrived: by the middleware, and by numbers in packets."""

    def __init__(self) -> None:
        self.reported = 0
        """By the middleware."""
        self.skipped = 0
        """By gaps in the numbers of event packets."""
        self._next: int | None = None
        self._told = 0
        self._told_at = -TELL_EVERY

    @property
    def lost(self) -> int:
        """Messages lost so far; the two ways of counting see the same losses."""
        return max(self.reported, self.skipped)

    def on_lost(self, count: int) -> None:
        """The middleware has lost more."""
        self.reported += max(0, count)

    def news(self, now: int) -> bool:
        """Whether more were lost than was told, which is told every ten seconds; now: ns."""
        if self.lost <= self._told or now - self._told_at < TELL_EVERY:
            return False
        self._told, self._told_at = self.lost, now
        return True

    def forget(self) -> None:
        """What comes next begins anew: nobody listened meanwhile."""
        self._next = None

    def on_message(self, msg: Any) -> None:
        """See whether packets are missing before this one, if it has a number."""
        number = getattr(msg, "seq", None)
        if number is None:
            return
        number = int(number)
        # A driver that starts anew, or does not count, has lost nothing.
        if self._next is not None and self._next < number < self._next + 1_000_000:
            self.skipped += number - self._next
        self._next = number + 1
