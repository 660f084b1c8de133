"""A job's output, kept in memory."""

import asyncio
import time
from typing import NamedTuple

LIMIT = 64 << 20  # bytes that are kept of each job, the last ones
PIECE = 16 << 10  # the most that one entry holds
ENTRY = 200  # about what an entry takes beside its data


class Entry(NamedTuple):
    """A line with its newline, or a piece of a long or unfinished one."""

    stream: int
    line: int  # lines count in the order in which they began
    time: int  # of the line's beginning, in nanoseconds
    begins: bool
    data: bytes


class Lost(Exception):
    """What was to be read next was dropped."""


class Spool:
    def __init__(self):
        self.entries = []  # from number first on
        self.first = 0
        self.size = 0
        self.lines = 0
        self.open = {}  # by stream: the line that has no newline yet
        self.ended = False
        self.changed = asyncio.Event()

    def __len__(self):
        return self.first + len(self.entries)

    def write(self, stream, data):
        for text in lines(data):
            for at in range(0, len(text), PIECE):
                self.add(stream, text[at:at + PIECE])
        if self.size > LIMIT:
            self.drop()
        self.tell()

    def add(self, stream, piece):
        begins = stream not in self.open
        if begins:
            self.lines += 1
            self.open[stream] = (self.lines, time.time_ns())
        line, at = self.open[stream]
        if piece.endswith(b"\n"):
            del self.open[stream]
        self.entries.append(Entry(stream, line, at, begins, piece))
        self.size += len(piece) + ENTRY

    def drop(self):
        n = 0
        while self.size > LIMIT * 3 // 4 and n < len(self.entries) - 1:
            self.size -= len(self.entries[n].data) + ENTRY
            n += 1
        del self.entries[:n]
        self.first += n

    def end(self):
        self.ended = True
        self.tell()

    def tell(self):
        self.changed.set()
        self.changed = asyncio.Event()

    def tail(self, n, wants):
        """The line with which the last n of those begin that are wanted."""
        for entry in reversed(self.entries):
            if entry.begins and wants(entry):
                n -= 1
                if n == 0:
                    return entry.line
        return 0

    async def read(self, at, end, wants):
        """Yields lists of (number, entry), from number at on; end None follows."""
        while True:
            batch, size = [], 0
            while at < (len(self) if end is None else end):
                if at < self.first:
                    raise Lost
                entry = self.entries[at - self.first]
                at += 1
                if wants(entry):
                    batch.append((at, entry))
                    size += len(entry.data)
                if size >= PIECE:
                    break
            if batch:
                yield batch
            elif self.ended or end is not None:
                return
            else:
                await self.changed.wait()


def lines(data):
    """Like splitlines, of newlines alone."""
    at = 0
    while at < len(data):
        end = data.find(b"\n", at) + 1 or len(data)
        yield data[at:end]
        at = end
