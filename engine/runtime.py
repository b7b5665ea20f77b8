"""The composition root: the one place that opens connections and puts the engine together."""

from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager

from msgspec import Struct
from sqlalchemy.ext.asyncio import AsyncEngine

from engine.catalog.conflicts import ConflictFinder
from engine.catalog.documents import Documents
from engine.catalog.finder import BY_PLAN, BY_RESELLER, CONNECTIONS_MAX, SERVER_SETTINGS, Finder
from engine.catalog.news import ListingNews
from engine.catalog.plans import PlanBook
from engine.facts.reading import FactsReader
from engine.inventory.backlog import RecordedNotes, note_step
from engine.inventory.lanes import Lanes
from engine.inventory.live import LiveSeats
from engine.inventory.recovery import Recoverer
from engine.inventory.rounds import Stirred
from engine.inventory.shows import ShowBook
from engine.inventory.sold_watch import SoldWatch
from engine.notify.deliveries import Deliveries
from engine.notify.endpoints import Endpoints
from engine.notify.pinging import Pinger
from engine.notify.sending import Sender
from engine.platform.cached_reads import CachedReads
from engine.platform.cells import Cells
from engine.platform.database import GuardedEngine, create_engine
from engine.platform.ids import Ids
from engine.platform.redis import Store, connect_redis, subscribe_redis
from engine.platform.redis_cluster import connect_cluster, subscribe_cluster
from engine.platform.redis_cluster_url import is_cluster_url
from engine.platform.sealing import Sealer
from engine.platform.settings import APP_ROLE, RECORDER_ROLE, Settings
from engine.platform.tenant_reads import CONNECTIONS_MAX as READS_AT_ONCE
from engine.platform.tenant_reads import TenantReads
from engine.sales.box_office import BoxOffice
from engine.sales.bundle_finishing import BundleFinishing
from engine.sales.bundle_ledger import BundleLedger
from engine.sales.bundling import Bundling
from engine.sales.buyers import BuyersOffice
from engine.sales.confirmations import Confirmations
from engine.sales.house_office import HouseOffice
from engine.sales.recorder import Recorder
from engine.sales.returns import ReturnsOffice
from engine.sales.terms import LedgerTerms
from engine.tenancy.door import Door, open_door
from engine.tenancy.oauth_tokens import AccessTokens
from engine.tenancy.throttle import Throttle
from engine.tenancy.watch_tokens import WatchTokens
from engine.waitingroom.gates import JoinGate, load_gate
from engine.waitingroom.identities import IdentityDigests
from engine.waitingroom.lane import QueueLanes
from engine.waitingroom.limits import JoinLimits
from engine.waitingroom.room import WaitingRoom
from engine.waitingroom.tokens import QueueTokens

_REDIS_CONNECTIONS_MAX = 64
_CLIENT_GUESSES = 10
_CODE_GUESSES = 20
# Four recorders, the tasks' looks, and eight recoveries with a lease and a transaction each.
_WORKER_CONNECTIONS_MAX = 26
# Of their own: what is told to others must not keep sales from being recorded.
_WEBHOOK_CONNECTIONS_MAX = 6


class Gates(Struct, frozen=True):
    """What somebody passes before they get a number."""

    limits: JoinLimits
    gate: JoinGate
    digests: IdentityDigests
    secret: bytes
    """What resellers' identity keys derive from."""


class Webhooks(Struct, frozen=True):
    """Who is told of facts, what became of it, and a test event."""

    endpoints: Endpoints
    deliveries: Deliveries
    pinger: Pinger


class Serving(Struct, frozen=True):
    """What an API process works with."""

    settings: Settings
    cells: Cells
    ids: Ids
    sealer: Sealer
    redis: Store
    app_engine: AsyncEngine
    door: Door
    access_tokens: AccessTokens
    client_guesses: Throttle
    """Wrong secrets of OAuth clients, by client and by where they come from."""
    code_guesses: Throttle
    """Wrong access codes, by show and by buyer or credential."""
    book: ShowBook
    box_office: BoxOffice
    house_office: HouseOffice
    returns_office: ReturnsOffice
    bundling: Bundling
    waiting_room: WaitingRoom
    gates: Gates
    plans: PlanBook
    conflicts: ConflictFinder
    live: LiveSeats
    watch_tokens: WatchTokens
    buyers_office: BuyersOffice
    webhooks: Webhooks
    facts: FactsReader
    finder: Finder
    own_reads: TenantReads


class Working(Struct, frozen=True):
    """What a worker process works with."""

    settings: Settings
    redis: Store
    subscriber: Store
    recorder_engine: AsyncEngine
    book: ShowBook
    """One for all tasks, so that a manifest is read and kept once."""
    recorder: Recorder
    recoverer: Recoverer
    finishing: BundleFinishing
    sealer: Sealer
    webhook_engine: AsyncEngine
    stirred: Stirred
    """In which shows something happens, as this process has heard."""


@asynccontextmanager
async def open_serving(settings: Settings) -> AsyncGenerator[Serving]:
    """Open what an API process needs; nothing is asked of the stores yet."""
    async with AsyncExitStack() as stack:
        redis = _redis(settings, guarded=True)
        stack.push_async_callback(redis.aclose)
        subscriber = _subscriber(settings)
        stack.push_async_callback(subscriber.aclose)
        app_engine = GuardedEngine(create_engine(settings, APP_ROLE))
        stack.push_async_callback(app_engine.stop)
        cells = settings.known_cells()
        ids = Ids(settings.region, settings.secret.encode(), cells.others)
        book = ShowBook()
        confirmations = Confirmations(subscriber)
        await confirmations.start()
        stack.push_async_callback(confirmations.stop)
        sold = SoldWatch(redis)
        stack.push_async_callback(sold.stop)
        box_office = BoxOffice(
            ids=ids,
            redis=redis,
            app=app_engine,
            book=book,
            lanes=_lanes(redis, settings),
            confirmations=confirmations,
            sold=sold,
            confirm_timeout_ms=settings.confirm_timeout_ms,
        )
        secret = settings.secret.encode()
        sealer = Sealer(settings.list_sealing_keys(), secret)
        door = open_door(app_engine, sealer, region=settings.region, site=settings.site_address())
        stack.push_async_callback(door.errands.close)
        access_tokens = AccessTokens(app_engine, sealer, ids, settings.site_address())
        stack.push_async_callback(access_tokens.stop)
        queues = QueueLanes(redis, replicas=settings.redis_replicas)
        waiting_room = WaitingRoom(
            ids=ids,
            redis=redis,
            app=app_engine,
            tokens=QueueTokens(settings.queue_keys(), region=settings.region),
            lanes=queues,
        )
        stack.push_async_callback(waiting_room.stop)
        live = LiveSeats(redis, box_office.inventory)
        stack.push_async_callback(live.stop)
        gate = load_gate(settings)
        stack.push_async_callback(gate.close)
        by_plan, own_finds = (
            GuardedEngine(
                create_engine(
                    settings,
                    APP_ROLE,
                    connections_max=CONNECTIONS_MAX,
                    server_settings=SERVER_SETTINGS | plans,
                )
            )
            for plans in (BY_PLAN, BY_RESELLER)
        )
        for search_engine in (by_plan, own_finds):
            stack.push_async_callback(search_engine.stop)
        kept_bytes = settings.search_cache_mb * 1024 * 1024
        cache = CachedReads(redis, bytes_max=kept_bytes // 4)
        stack.push_async_callback(cache.stop)
        news = ListingNews(settings)
        news.start()
        stack.push_async_callback(news.stop)
        documents = Documents(bytes_max=kept_bytes * 3 // 4)
        finder = Finder(by_plan, own_finds, cache, documents, news)
        stack.push_async_callback(finder.stop)
        may_be_private = settings.webhook_private == "on"
        sender = Sender(private=may_be_private)
        stack.push_async_callback(sender.close)
        endpoints = Endpoints(app_engine, sealer, private=may_be_private)
        bundle_ledger = BundleLedger(app_engine, ids)
        finishing = BundleFinishing(bundle_ledger, redis, box_office, queues, ids)
        yield Serving(
            settings=settings,
            cells=cells,
            ids=ids,
            sealer=sealer,
            redis=redis,
            app_engine=app_engine,
            door=door,
            access_tokens=access_tokens,
            client_guesses=Throttle(free=_CLIENT_GUESSES),
            code_guesses=Throttle(free=_CODE_GUESSES, pause_s=5),
            book=book,
            box_office=box_office,
            house_office=HouseOffice(redis, app_engine, book, ids),
            returns_office=ReturnsOffice(redis, app_engine, box_office, ids),
            bundling=Bundling(bundle_ledger, finishing, box_office, ids),
            waiting_room=waiting_room,
            gates=Gates(
                limits=JoinLimits(settings.join_rate_max, settings.join_burst),
                gate=gate,
                digests=IdentityDigests(secret),
                secret=secret,
            ),
            plans=PlanBook(app_engine),
            conflicts=ConflictFinder(app_engine, redis, book),
            live=live,
            watch_tokens=WatchTokens(settings.queue_keys(), region=settings.region),
            buyers_office=BuyersOffice(app_engine, redis, sealer),
            webhooks=Webhooks(
                endpoints=endpoints,
                deliveries=Deliveries(app_engine),
                pinger=Pinger(endpoints, sender, ids),
            ),
            facts=FactsReader(app_engine),
            finder=finder,
            own_reads=_open_own_reads(settings, stack),
        )


@asynccontextmanager
async def open_working(settings: Settings) -> AsyncGenerator[Working]:
    """Open what a worker process needs; nothing is asked of the stores yet."""
    async with AsyncExitStack() as stack:
        redis = _redis(settings)
        stack.push_async_callback(redis.aclose)
        subscriber = _subscriber(settings)
        stack.push_async_callback(subscriber.aclose)
        engine = create_engine(settings, RECORDER_ROLE, connections_max=_WORKER_CONNECTIONS_MAX)
        stack.push_async_callback(engine.dispose)
        webhook_engine = create_engine(
            settings, RECORDER_ROLE, connections_max=_WEBHOOK_CONNECTIONS_MAX
        )
        stack.push_async_callback(webhook_engine.dispose)
        book = ShowBook()
        ids = Ids(settings.region, settings.secret.encode())
        recorder = Recorder(
            engine,
            redis,
            LedgerTerms(engine, book),
            ids,
            notes=RecordedNotes(redis, step=note_step(settings.record_backlog_max)),
        )

        # It asks for what bundles need, and waits for no word of the recorder's.
        box_office = BoxOffice(
            ids=ids,
            redis=redis,
            app=engine,
            book=book,
            lanes=_lanes(redis, settings),
            confirmations=Confirmations(subscriber),
            sold=SoldWatch(redis),
            confirm_timeout_ms=settings.confirm_timeout_ms,
        )

        async def drain(show: int, *, look_back: bool) -> int:
            return (await recorder.record(show, drain=True, look_back=look_back)).count

        yield Working(
            settings=settings,
            redis=redis,
            subscriber=subscriber,
            recorder_engine=engine,
            book=book,
            recorder=recorder,
            sealer=Sealer(settings.list_sealing_keys(), settings.secret.encode()),
            webhook_engine=webhook_engine,
            stirred=Stirred(),
            recoverer=Recoverer(redis, engine, book, drain, ids),
            finishing=BundleFinishing(
                BundleLedger(engine, ids),
                redis,
                box_office,
                QueueLanes(redis, replicas=settings.redis_replicas),
                ids,
            ),
        )


def _open_own_reads(settings: Settings, stack: AsyncExitStack) -> TenantReads:
    engine = GuardedEngine(create_engine(settings, APP_ROLE, connections_max=READS_AT_ONCE))
    stack.push_async_callback(engine.stop)
    reads = TenantReads(engine)
    stack.push_async_callback(reads.close)
    return reads


def _lanes(redis: Store, settings: Settings) -> Lanes:
    return Lanes(
        redis,
        batch_max=settings.batch_max,
        backlog_max=settings.lane_backlog_max,
        timeout_ms=settings.batch_timeout_ms,
        record_backlog_max=settings.record_backlog_max,
        replicas=settings.redis_replicas,
    )


def _redis(settings: Settings, *, guarded: bool = False) -> Store:
    """Connect to the inventory store; what waits for it in loops of its own needs no guard."""
    bounds = {
        "answer_timeout_ms": settings.batch_timeout_ms,
        "connections_max": _REDIS_CONNECTIONS_MAX,
    }
    if is_cluster_url(settings.redis_url):
        return connect_cluster(settings.redis_url, **bounds, guarded=guarded)
    moves = settings.redis_replicas > 0
    return connect_redis(settings.redis_url, **bounds, moves=moves, guarded=guarded)


def _subscriber(settings: Settings) -> Store:
    if is_cluster_url(settings.redis_url):
        return subscribe_cluster(settings.redis_url)
    return subscribe_redis(settings.redis_url, moves=settings.redis_replicas > 0)
