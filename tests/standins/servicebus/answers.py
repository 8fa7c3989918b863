"""How the service says no: conditions and sentences, and how a link is refused or detached with one."""

from typing import Final

from proton import Condition, Link, Terminus, symbol

type Told = tuple[str, str]

DETACHED: Final = ("amqp:link:detach-forced", "The link was detached by the service.")
BUSY: Final = (
    "com.microsoft:server-busy",
    "The request was terminated because the entity is being throttled.",
)
TIMED_OUT: Final = ("com.microsoft:timeout", "No session became available in time.")
LOST: Final = (
    "com.microsoft:message-lock-lost",
    "The lock supplied is invalid. Either the lock expired, or the message has already been removed.",
)
SESSION_LOST: Final = ("com.microsoft:session-lock-lost", "The session lock has expired on the session.")
SESSION_TAKEN: Final = (
    "com.microsoft:session-cannot-be-locked",
    "The requested session cannot be accepted. It may be locked by another receiver.",
)
NO_SESSION: Final = (
    "amqp:not-allowed",
    "The SessionId was not set on a message, and it cannot be sent to the entity. Entities that have session"
    " support enabled can only receive messages that have the SessionId set to a valid value.",
)
SESSIONS_ONLY: Final = (
    "amqp:not-allowed",
    "It is not possible for an entity that requires sessions to create a non-sessionful message receiver.",
)
NO_SESSIONS: Final = (
    "amqp:not-allowed",
    "A sessionful message receiver cannot be created on an entity that does not require sessions.",
)


def condition(told: Told) -> Condition:
    # All three fields: SDKs index them, and one that is left out makes a send hang for ever.
    return Condition(*told, {symbol("com.microsoft:is-stand-in"): True})


def refuse(link: Link, told: Told) -> None:
    """Attach without the terminus that was asked for, then detach with why."""
    side = link.source if link.is_sender else link.target
    side.type = Terminus.UNSPECIFIED
    link.open()
    detach(link, told)


def detach(link: Link, told: Told) -> None:
    link.condition = condition(told)
    link.close()
