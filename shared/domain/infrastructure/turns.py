"""Whose turn it is on a stack: one plan at a time, in the order in which they were ready."""

from dataclasses import replace
from datetime import datetime

from shared.domain.infrastructure.errors import StackQueueFull
from shared.domain.infrastructure.model import Stack

MOST_QUEUED = 50


def enqueue(stack: Stack, plan: str, at: datetime) -> Stack:
    """The plan waits behind everyone who was ready before it. StackQueueFull."""
    if plan in stack.queue or plan == stack.lock:
        return stack
    if len(stack.queue) >= MOST_QUEUED:
        raise StackQueueFull(
            f"{MOST_QUEUED} plans wait for this stack already; cancel some, or wait until they are done.",
            stackId=f"stack-{stack.id}",
        )
    return replace(stack, queue=(*stack.queue, plan), updated_at=at)


def let_in(stack: Stack, at: datetime) -> Stack:
    """The first in the queue takes the lock, under a new token."""
    first, *rest = stack.queue
    return replace(stack, lock=first, queue=tuple(rest), token=stack.token + 1, updated_at=at)


def leave(stack: Stack, plan: str, at: datetime) -> Stack:
    """The plan waits no longer and holds nothing."""
    left = replace(
        stack,
        lock=None if stack.lock == plan else stack.lock,
        queue=tuple(queued for queued in stack.queue if queued != plan),
    )
    return stack if left == stack else replace(left, updated_at=at)


def holds(stack: Stack, plan: str, token: int) -> bool:
    """Whether work under this token may still change anything."""
    return stack.lock == plan and stack.token == token
