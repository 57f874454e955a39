"""A worker for `swarmctl dispatch` in Python: counts words as the native `text` behaviour does, and misbehaves when told to."""

import json

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import messaging
from wit_world.imports.types import Message, Performative, SavedState


def count(text: str) -> dict:
    line_feeds = text.count("\n")
    is_in_line = text != "" and not text.endswith("\n")
    return {"words": len(text.split()), "lines": line_feeds + int(is_in_line), "bytes": len(text.encode())}


seen = 0


def perform(task: str, text: str):
    if task == "word-count":
        return count(text)
    if task == "upper":
        return text.upper()
    if task == "seen":
        return seen
    if task == "loop":
        while True:
            pass
    if task == "eat-memory":
        eaten = []
        while True:
            eaten.append(b"1" * (1 << 20))
    raise ValueError(f"unknown task {task}")


def reply(message: Message, act: Performative, content) -> Message:
    """The answer to a message, as FIPA wants it."""
    return Message(
        performative=act,
        sender=None,
        receivers=[],
        reply_to=[],
        content=json.dumps(content, separators=(",", ":")).encode(),
        content_type="application/json",
        language="application/json",
        encoding=message.encoding,
        ontology=message.ontology,
        protocol=message.protocol,
        conversation_id=message.conversation_id,
        reply_with=None,
        in_reply_to=message.reply_with,
        reply_by=None,
        user_parameters=[],
    )


class Lifecycle(exports.Lifecycle):
    def on_start(self, config: str) -> None:
        pass

    def on_message(self, message: Message) -> None:
        global seen
        if message.performative != Performative.REQUEST:
            return
        seen += 1
        try:
            order = json.loads(message.content or b"")
            answer = reply(message, Performative.INFORM, perform(order["task"], order.get("input") or ""))
        except (ValueError, KeyError, TypeError) as error:
            answer = reply(message, Performative.FAILURE, {"error": str(error)})
        messaging.answer(answer)

    def on_timer(self, timer: int, tag: int) -> None:
        pass

    def on_stop(self, reason: str) -> None:
        pass

    def snapshot(self) -> SavedState:
        return SavedState(version=1, bytes=str(seen).encode())

    def restore(self, state: SavedState) -> None:
        global seen
        if state.version != 1:
            raise Err(f"cannot read a state of version {state.version}")
        seen = int(state.bytes)
