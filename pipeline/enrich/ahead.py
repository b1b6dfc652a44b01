"""Fetching and decoding ahead of the models: in order, with bounded memory, across the borders of batches.

    batches --fetch threads--> bytes --decode threads--> Photo | Reject --in planned order--> the models

While a batch is in the models or being committed, photos of the next one arrive. Faults of the store are counted a
batch: when too many fetches fail, the store is at fault and not the photos, and the batch fails as a whole.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial

from models.preprocessing import Preprocessing
from pipeline.catalog import Batch, PlannedImage
from pipeline.enrich.crew import Crew, Stint, cores
from pipeline.enrich.photo import Photo, Reject, prepare
from pipeline.enrich.watch import Watch
from pipeline.errors import InputError, PhotoError, Reason, SettingError, TransientError
from pipeline.images.decode import Limits
from pipeline.settings import Settings
from pipeline.storage import ObjectMissing, ObjectStore, ObjectTimeout, ObjectTooLarge

BYTES_AHEAD = 512 * 2**20
"""Encoded bytes that may be under way at once, by the sizes in the listing."""

PHOTOS_AHEAD = 16
"""Photos under way at once for every stream of the models, besides those that are just being fetched."""

FEW_FAULTS = 2
"""Failed fetches that never fail a batch: of a batch of three photos one is a third."""

DEAD_AFTER = 32
"""Failed fetches after which a batch is given up if not one photo of it has arrived."""

_LOOK_EVERY_S = 0.2


class BatchFailedError(TransientError):
    """Too many photos of one batch could not be fetched; nothing of the batch was committed."""


@dataclass
class Tally:
    """Fetches of one batch: how many failed, how many arrived, whether it is given up."""

    batch: Batch
    allowed: float
    faults: int = 0
    arrived: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def failed(self) -> bool:
        """Whether the store's faults are too many."""
        return self.faults > self.allowed or (self.faults >= DEAD_AFTER and not self.arrived)

    def count(self, *, fault: bool) -> None:
        """Enter the end of one fetch."""
        with self.lock:
            self.faults += fault
            self.arrived += not fault

    def error(self) -> BatchFailedError:
        """What to raise for a batch that failed."""
        return BatchFailedError(
            f"batch {self.batch.batch_id}: {self.faults} of {len(self.batch.images)} photos could not be fetched, more "
            "than enrich.max_transient_share allows: is the store at catalog.uri reachable?"
        )


class Ticket:
    """One photo under way. Settled once: by its threads, or by whoever will not wait for them any more."""

    def __init__(self, image: PlannedImage, tally: Tally) -> None:
        self.image = image
        self.tally = tally
        self.stint: Stint | None = None
        self.abandoned = False
        self._lock = threading.Lock()
        self._settled = threading.Event()
        self._outcome: Photo | Reject | BaseException | None = None

    def settle(self, outcome: Photo | Reject | BaseException) -> None:
        """Set what became of the photo; the first word counts."""
        with self._lock:
            if not self._settled.is_set():
                self._outcome = outcome
                self._settled.set()

    def reject(self, reason: Reason, message: str) -> None:
        """Settle with a reject."""
        self.settle(Reject(self.image, reason, message))

    def wait(self, seconds: float) -> bool:
        """Whether it is settled, after waiting up to `seconds`."""
        return self._settled.wait(seconds)

    def overdue(self, limit_s: float) -> bool:
        """Whether it is being decoded, and has taken more than `limit_s` of CPU time."""
        stint = self.stint
        return stint is not None and not self._settled.is_set() and stint.spent() > limit_s

    def outcome(self) -> Photo | Reject:
        """What became of the photo; raises what its threads ran into."""
        if isinstance(self._outcome, BaseException):
            raise self._outcome
        assert self._outcome is not None  # noqa: S101 - wait() came first
        return self._outcome


class Ahead:
    """Photos of a stream of batches, made ready ahead of whoever takes them.

    Use as a context manager; leaving it stops the threads, also in the middle.

    Args:
        store: the catalog.
        settings: `fetch`, `decode` and `enrich` are read.
        preprocessing: of the backbone.
        watch: takes the seconds of `fetch` and `decode` (summed over threads) and `wait`.
        streams: passes of the models that run at once.
    """

    def __init__(
        self, store: ObjectStore, settings: Settings, preprocessing: Preprocessing, watch: Watch, streams: int
    ) -> None:
        self.store = store
        self.settings = settings
        self.preprocessing = preprocessing
        self.watch = watch
        self.limits = Limits.of(settings)
        self._fetchers = Crew("fetch", settings.fetch.threads)
        self._decode_threads = settings.decode.threads or cores()
        self._decoders = Crew("decode", self._decode_threads)
        self._abandoned: list[Ticket] = []
        self._under_way: deque[Ticket] = deque()
        self._bytes = 0
        self._most = PHOTOS_AHEAD * streams + settings.fetch.threads

    def __enter__(self) -> Ahead:
        return self

    def __exit__(self, *_: object) -> None:
        self._fetchers.close()
        self._decoders.close()

    def batches(self, planned: Iterable[Batch]) -> Iterator[tuple[Batch, Iterator[Photo | Reject]]]:
        """Each batch with its photos in planned order.

        The inner iterator raises `BatchFailedError` when the batch is to be given up; the next batch can then be taken.
        Both raise `SettingError` (no such bucket, no credentials) and whatever else the threads ran into.
        """
        source = self._tickets(planned)
        self._fill(source)
        while self._under_way:
            tally = self._under_way[0].tally
            photos = self._photos(tally, source)
            yield tally.batch, photos
            for _ in self._left(tally, source):  # what a failed or unfinished batch has left over
                pass

    def _tickets(self, planned: Iterable[Batch]) -> Iterator[Ticket]:
        share = self.settings.enrich.max_transient_share
        for batch in planned:
            tally = Tally(batch, max(share * len(batch.images), FEW_FAULTS if share else 0))
            yield from (Ticket(image, tally) for image in batch.images)

    def _fill(self, source: Iterator[Ticket]) -> None:
        """Start fetches until enough photos or bytes are under way."""
        while len(self._under_way) < self._most and (self._bytes < BYTES_AHEAD or not self._under_way):
            ticket = next(source, None)
            if ticket is None:
                return
            self._bytes += ticket.image.bytes
            self._under_way.append(ticket)
            self._fetchers.submit(partial(self._fetch, ticket))

    def _left(self, tally: Tally, source: Iterator[Ticket]) -> Iterator[Ticket]:
        """Take the batch's tickets off the queue, each followed by new fetches."""
        while self._under_way and self._under_way[0].tally is tally:
            ticket = self._under_way.popleft()
            self._bytes -= ticket.image.bytes
            yield ticket
            self._fill(source)

    def _photos(self, tally: Tally, source: Iterator[Ticket]) -> Iterator[Photo | Reject]:
        for ticket in self._left(tally, source):
            with self.watch("wait"):
                outcome = self._outcome(ticket)
            if tally.failed:
                raise tally.error()
            yield outcome

    def _outcome(self, ticket: Ticket) -> Photo | Reject:
        """Wait for a photo, and meanwhile give up those, this one or others, that decode beyond the time limit.

        Others too: they may hold all decode threads, while this one has not even begun.
        """
        limit = self.settings.decode.timeout_s
        while not ticket.wait(_LOOK_EVERY_S):
            for one in (ticket, *self._under_way):
                if one.overdue(limit):
                    self._abandon(one, limit)
        return ticket.outcome()

    def _abandon(self, ticket: Ticket, limit: float) -> None:
        """Reject a photo whose decoding doesn't end.

        Pixel limits bound what an honest decoder needs; this catches the rest. The thread can't be stopped: it goes on
        by itself, another one takes its place, and when all threads have been lost that way the job gives up.
        """
        ticket.abandoned = True
        ticket.reject(Reason.DECODE_TIMEOUT, f"not decoded after {limit:g} s of CPU time")
        self._abandoned = [one for one in self._abandoned if one.stint] + [ticket]
        if len(self._abandoned) > self._decode_threads:
            raise TransientError(
                f"{len(self._abandoned)} photos at once decode for more than decode.timeout_s = {limit:g} s, the "
                f"last one {ticket.image.image_key}: the machine is overloaded, or the limit too short"
            )
        self._decoders.enlist()

    def _fetch(self, ticket: Ticket) -> bool:
        """Job of a fetch thread."""
        tally = ticket.tally
        if tally.failed:
            ticket.reject(Reason.FETCH_FAILED, "its batch was given up")
            return False
        fault = False
        try:
            self._fetch_one(ticket)
        except ObjectMissing:
            fault = True  # one photo was deleted; many at once mean that the disk or bucket behind the key is not there
            ticket.reject(Reason.VANISHED, "it was listed, but is not there any more")
        except ObjectTooLarge as error:
            ticket.reject(Reason.TOO_MANY_BYTES, str(error))
        except ObjectTimeout as error:
            fault = True
            ticket.reject(Reason.FETCH_TIMEOUT, str(error))
        except SettingError as error:
            ticket.settle(error)
        except TransientError as error:
            fault = True
            ticket.reject(Reason.FETCH_FAILED, str(error))
        except InputError as error:  # a key that the store refuses
            ticket.reject(Reason.UNSUPPORTED, str(error))
        except BaseException as error:  # noqa: BLE001 - it is raised again where the photo is waited for
            ticket.settle(error)
        tally.count(fault=fault)
        return False

    def _fetch_one(self, ticket: Ticket) -> None:
        """Fetch and hand on to the decoders; raises what the store raises."""
        image, fetch = ticket.image, self.settings.fetch
        started = time.perf_counter()
        fetched = self.store.get(
            image.image_key, max_bytes=fetch.max_bytes, timeout_s=fetch.timeout_s, attempts=fetch.attempts
        )
        seconds = time.perf_counter() - started
        self.watch.add("fetch", seconds)
        if fetched.etag == image.etag and len(fetched.data) != image.bytes:  # a cache on the way that keeps cut answers
            raise TransientError(f"{len(fetched.data)} of {image.bytes} bytes came, and the store said they were all")
        if fetched.etag == image.etag:
            self._decoders.submit(lambda: self._decode(ticket, fetched.data, 1000.0 * seconds))
        else:
            ticket.reject(Reason.CHANGED, "it was replaced after the plan was made; the next plan takes it up")

    def _decode(self, ticket: Ticket, data: bytes, fetch_ms: float) -> bool:
        """Job of a decode thread."""
        ticket.stint = Stint()
        try:
            with self.watch("decode"):
                ticket.settle(prepare(ticket.image, data, self.limits, self.preprocessing, fetch_ms))
        except PhotoError as error:
            ticket.reject(error.reason, error.message)
        except BaseException as error:  # noqa: BLE001 - it is raised again where the photo is waited for
            ticket.settle(error)
        ticket.stint = None
        return ticket.abandoned
