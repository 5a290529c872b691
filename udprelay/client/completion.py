"""What Tab completes: commands, rooms, and the nicks of those who are there."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.document import Document


class LineCompleter(Completer):
    """
    Completes a line by what it begins with.

    :param commands: with their slashes.
    :param rooms: returns those that ``/join`` may mean.
    :param nicks: returns those that a word may mean.
    """

    def __init__(
        self,
        commands: Sequence[str],
        rooms: Callable[[], Iterable[str]] = tuple,
        nicks: Callable[[], Iterable[str]] = tuple,
    ) -> None:
        self._commands = commands
        self._rooms = rooms
        self._nicks = nicks

    def get_completions(
        self, document: Document, complete_event: CompleteEvent
    ) -> Iterable[Completion]:
        line = document.current_line_before_cursor
        for typed, choices, end in self._choices(line):
            for choice in sorted(choices):
                if choice.casefold().startswith(typed.casefold()):
                    yield Completion(choice + end, -len(typed), display=choice)

    def _choices(self, line: str) -> Iterable[tuple[str, Iterable[str], str]]:
        """Return what has been typed of something, what it could be, and what follows it."""
        command, space, argument = line.partition(" ")
        if not line.startswith("/"):
            # Nicks may have spaces, but who completes one types its beginning.
            word = line.rpartition(" ")[2]
            yield word, self._nicks() if word else (), ": " if word == line else " "
        elif not space:
            yield command, self._commands, " "
        elif command == "/join":
            yield argument, self._rooms(), ""
        elif command == "/msg":
            yield argument, self._nicks(), " "
