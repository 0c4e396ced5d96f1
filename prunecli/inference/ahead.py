"""Work on the next piece while the last one is in use: a generator that runs in a thread of its own."""

import threading
from collections.abc import Iterable, Iterator
from queue import Full, Queue
from typing import Generic, TypeVar

T = TypeVar("T")
DEPTH = 1  # pieces that are ready and wait
PATIENCE = 0.1  # seconds between looks at whether anyone still waits


class _Failure:
    def __init__(self, error: BaseException) -> None:
        self.error = error


class _End:
    pass


def ahead(pieces: Iterable[T]) -> Iterator[T]:
    """Yield pieces that a thread makes, at most one ahead of what is asked for.

    An error of the maker comes out in its place; a reader that stops early stops the maker.
    """
    return _Ahead(pieces).read()


class _Ahead(Generic[T]):
    def __init__(self, pieces: Iterable[T]) -> None:
        self.pieces = pieces
        self.ready: Queue[T | _Failure | _End] = Queue(DEPTH)
        self.stopped = threading.Event()

    def read(self) -> Iterator[T]:
        maker = threading.Thread(target=self._make, name="ahead", daemon=True)
        maker.start()
        try:
            while not isinstance(piece := self.ready.get(), _End):
                if isinstance(piece, _Failure):
                    raise piece.error
                yield piece
        finally:
            self.stopped.set()
            maker.join(timeout=1)  # it may wait for standard input, which nobody can stop

    def _make(self) -> None:
        try:
            for piece in self.pieces:
                if not self._put(piece):
                    return
            self._put(_End())
        except BaseException as error:
            self._put(_Failure(error))

    def _put(self, piece: T | _Failure | _End) -> bool:
        """Hand a piece over; False where nobody wants it any more."""
        while not self.stopped.is_set():
            try:
                self.ready.put(piece, timeout=PATIENCE)
                return True
            except Full:
                continue
        return False
