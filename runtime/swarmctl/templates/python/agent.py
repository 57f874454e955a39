"""An agent that says back what it is told, and how often it was told something."""

from componentize_py_types import Err
from wit_world import exports
from wit_world.imports import messaging
from wit_world.imports.types import Message, Performative, SavedState

# What this agent keeps from one message to the next.
told = 0


def reply(message: Message, act: Performative, text: str) -> Message:
    """The answer to a message, as FIPA wants it; the host fills in from whom it is and to whom it goes."""
    return Message(
        performative=act,
        sender=None,
        receivers=[],
        reply_to=[],
        content=text.encode(),
        content_type="text/plain",
        language=message.language,
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
        """A life begins; `raise Err("why")` is why the agent did not start."""

    def on_message(self, message: Message) -> None:
        global told
        if message.performative != Performative.REQUEST:
            return
        told += 1
        said = (message.content or b"").decode(errors="replace")
        messaging.answer(reply(message, Performative.INFORM, f"{said} ({told})"))

    def on_timer(self, timer: int, tag: int) -> None:
        pass

    def on_stop(self, reason: str) -> None:
        """An ordered end; never after a crash."""

    def snapshot(self) -> SavedState:
        """The state, for another version of this code."""
        return SavedState(version=1, bytes=str(told).encode())

    def restore(self, state: SavedState) -> None:
        global told
        if state.version != 1:
            raise Err(f"cannot read a state of version {state.version}")
        told = int(state.bytes)
