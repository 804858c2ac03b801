"""Several processes on one database: what one of them counts, the dashboards of all show."""

import signal
import time
import uuid
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import redis
from channels.layers import get_channel_layer
from channels_redis.utils import _consistent_hash

from devtools import servers
from devtools.tcp_proxy import Mode, TcpProxy
from realtime.hub import REAUTHORISE_SECONDS
from realtime.layer import group_name
from tests.cast import Person, voter
from tests.live import Caller, Server, new_database
from tests.realtime.client import (
    PATIENCE,
    Dashboard,
    closed_of,
    dashboard,
    question_of,
    results_of,
    snapshot_of,
    tally_of,
    ticket_for,
)
from tests.realtime.inside import TICK, Inside
from tests.realtime.servers import OwnServer, ask, assert_clean, process_of, serving

# Six seconds is the promise without Redis; a busy machine gets as much again.
HEALED = 12.0
# A frame that came through Redis; comparing takes five seconds, so it cannot pass for it twice.
AT_ONCE = 1.0


class Pair:
    """Two processes of one service, and a Redis that may be killed, or two as shards."""

    def __init__(
        self, *, shards: int = 1, with_redis: bool = True, proxy: TcpProxy | None = None
    ) -> None:
        self.shards = [servers.RedisServer() for _ in range(shards)]
        self.redis = self.shards[0]
        if not with_redis:
            self.redis.kill()
        urls = [shard.url for shard in self.shards]
        if proxy is not None:
            proxy.target = self.redis.port
            urls = [f"redis://127.0.0.1:{proxy.port}"]
        environment = {
            "DATABASE_URL": new_database(),
            "REDIS_URL": ",".join(urls),
            "SECRET_KEY": "one key for both",
        }
        self.one, self.two = OwnServer(**environment), OwnServer(**environment)
        self.one.start()
        self.two.start()
        self.owner = self.one.sign_up()

    def stop(self) -> None:
        self.one.stop()
        self.two.stop()
        for shard in self.shards:
            shard.kill()

    def log(self) -> str:
        return self.one.log.read_text() + self.two.log.read_text()


@pytest.fixture(scope="module")
def pair() -> Iterator[Pair]:
    pair = Pair(shards=2)
    try:
        yield pair
    finally:
        pair.stop()
    assert_clean(pair.log())


@contextmanager
def _troubled(
    *, shards: int = 1, with_redis: bool = True, proxy: TcpProxy | None = None
) -> Iterator[Pair]:
    """A pair whose Redis has trouble, of which channels-redis tells with tracebacks."""
    pair = Pair(shards=shards, with_redis=with_redis, proxy=proxy)
    try:
        yield pair
    finally:
        pair.stop()
    log = pair.log()
    assert "never retrieved" not in log
    assert "Exception in ASGI" not in log


def test_vote_in_one_process_is_shown_by_both(pair: Pair) -> None:
    poll = pair.owner.make_poll()
    with dashboard(pair.one, poll) as here, dashboard(pair.two, poll) as there:
        assert here.frame() == there.frame() == snapshot_of(results_of(pair.owner, poll))
        for ballots, server in enumerate((pair.one, pair.two, pair.one), 1):
            began = time.monotonic()
            assert server.voter().vote(poll, 0).status_code == 201
            tally = tally_of(results_of(pair.owner, poll))
            assert here.frame() == there.frame() == tally
            assert tally["ballots"] == ballots
            assert time.monotonic() - began < 2 * AT_ONCE


def test_row_03_token_that_is_revoked_in_one_process_ends_its_sockets_in_the_other(
    pair: Pair,
) -> None:
    owner = pair.one.sign_up()
    poll = owner.make_poll(results_visibility="owner")
    (token,) = owner.get("/api/v1/auth/tokens/").json()
    with dashboard(pair.two, poll, ticket=ticket_for(owner, poll)) as there:
        assert there.frame()["type"] == "snapshot"
        began = time.monotonic()
        owner.call("DELETE", f"/api/v1/auth/tokens/{token['id']}/")
        assert there.end()[1] == 4403
        assert time.monotonic() - began < 2 * AT_ONCE


def test_role_that_is_lost_in_one_process_ends_its_sockets_in_the_other(pair: Pair) -> None:
    name = f"member-{uuid.uuid4().hex[:12]}"
    member = pair.one.sign_up(name)
    poll = pair.owner.make_poll(results_visibility="owner")
    path = f"{poll['links']['self']}members/{name}/"
    assert pair.owner.call("PUT", path, {"role": "viewer"}).status_code == 201
    with (
        dashboard(pair.two, poll, ticket=ticket_for(member, poll)) as there,
        dashboard(pair.two, poll, "?view=status", ticket=ticket_for(member, poll)) as phone,
    ):
        assert there.frame()["type"] == "snapshot"
        phone.until(lambda frame: frame["type"] == "snapshot")
        began = time.monotonic()
        pair.owner.call("DELETE", path)
        assert there.end()[1] == 4403
        assert phone.frame()["type"] == "status"
        assert time.monotonic() - began < 2 * AT_ONCE


def test_role_that_is_lost_while_redis_is_away_is_found_by_comparing() -> None:
    name = f"member-{uuid.uuid4().hex[:12]}"
    with _troubled() as pair:
        member = pair.one.sign_up(name)
        poll = pair.owner.make_poll(results_visibility="owner")
        path = f"{poll['links']['self']}members/{name}/"
        pair.owner.call("PUT", path, {"role": "viewer"})
        with dashboard(pair.two, poll, ticket=ticket_for(member, poll)) as there:
            assert there.frame()["type"] == "snapshot"
            time.sleep(6)  # compared once
            pair.redis.kill()
            began = time.monotonic()
            pair.owner.call("DELETE", path)
            assert there.end()[1] == 4403
            assert time.monotonic() - began < HEALED


def test_polls_of_every_shard_are_heard_in_the_other_process(pair: Pair) -> None:
    polls = [pair.owner.make_poll(identity="open") for _ in range(8)]
    with ExitStack() as opened:
        screens = [opened.enter_context(dashboard(pair.two, poll)) for poll in polls]
        here = [opened.enter_context(dashboard(pair.one, poll)) for poll in polls]
        for screen in screens + here:
            screen.frame()
        time.sleep(0.5)  # for the other process to have subscribed
        began = time.monotonic()
        for poll in polls:
            assert pair.owner.vote(poll, 0).status_code == 201
        for poll, screen in zip(polls, screens, strict=True):
            assert screen.frame() == tally_of(results_of(pair.owner, poll))
        assert time.monotonic() - began < 4  # not by comparing
    # Frames go over both of them.
    for shard in pair.shards:
        with redis.Redis.from_url(shard.url) as client:
            assert client.info("commandstats").get("cmdstat_publish")


def test_poll_that_only_others_watch_is_told_of_as_soon(pair: Pair) -> None:
    poll = pair.owner.make_poll()
    with dashboard(pair.two, poll) as there:
        there.frame()
        _wait_until_frames_flow(pair, poll, there)


def test_every_change_in_one_process_is_heard_in_the_other(pair: Pair) -> None:
    owner = pair.owner
    poll = owner.make_poll(results_visibility="after_close", status="draft")
    gone, hidden = owner.make_poll(), owner.make_poll()
    with (
        dashboard(pair.two, poll, ticket=ticket_for(owner, poll)) as owners,
        dashboard(pair.two, gone) as lost,
        dashboard(pair.two, hidden) as shut,
    ):
        for screen in (owners, lost, shut):
            screen.frame()
        time.sleep(0.5)  # for the other process to have subscribed
        began = time.monotonic()
        owner.call("DELETE", gone["links"]["self"])
        assert lost.end()[1] == 4404
        owner.call("PATCH", hidden["links"]["self"], {"results_visibility": "owner"})
        assert shut.end()[1] == 4403
        owner.post(f"{poll['links']['self']}open/")
        assert owners.frame() == tally_of(results_of(owner, poll))
        assert time.monotonic() - began < 4  # not by comparing
        with dashboard(pair.two, poll, "?view=status") as phone:
            assert phone.frame()["status"] == "open"
            owner.post(f"{poll['links']['self']}close/")
            last = closed_of(results_of(owner, poll))
            assert owners.frame() == phone.until_type("closed") == last


def test_event_that_shows_another_poll_in_one_process_does_so_in_the_other(pair: Pair) -> None:
    owner = pair.owner
    polls = [owner.make_poll(), owner.make_poll(), owner.make_poll(status="draft")]
    event = owner.make_event(*polls, current=polls[0]["id"])
    path = event["links"]["self"]
    with dashboard(pair.two, event) as there:
        assert there.frame()["current"]["poll"] == polls[0]["id"]
        assert there.frame() == snapshot_of(results_of(owner, polls[0]))
        time.sleep(0.5)  # for the other process to have subscribed
        for place in (1, 0, 1, 2):
            began = time.monotonic()
            owner.call("PATCH", path, {"current": polls[place]["id"]})
            shown = there.until_type("event")
            assert time.monotonic() - began < AT_ONCE
            assert shown["current"] == (None if place == 2 else question_of(polls[place]))
            if place != 2:
                assert there.frame() == snapshot_of(results_of(owner, polls[place]))
        began = time.monotonic()
        owner.post(f"{polls[2]['links']['self']}open/")
        assert there.frame()["current"]["poll"] == polls[2]["id"]
        assert there.frame() == snapshot_of(results_of(owner, polls[2]))
        owner.call("DELETE", polls[2]["links"]["self"])
        assert there.until_type("event")["current"] is None
        owner.call("DELETE", path)
        assert there.end()[1] == 4404
        assert time.monotonic() - began < 4  # not by comparing


def test_voter_who_votes_in_one_process_sees_results_in_the_other(pair: Pair) -> None:
    poll = pair.owner.make_poll(results_visibility="after_vote")
    voter = pair.one.voter()
    with dashboard(pair.two, poll, "?view=status", ticket=ticket_for(voter, poll)) as phone:
        assert phone.frame()["type"] == "status"
        voter.vote(poll, 0)
        phone.until_results_open(results_of(voter, poll))


@contextmanager
def _watched(
    pair: Pair, poll: dict[str, Any] | None = None
) -> Iterator[tuple[dict[str, Any], Dashboard, Dashboard]]:
    """A poll with a dashboard on each side."""
    poll = poll or pair.owner.make_poll()
    with dashboard(pair.one, poll) as here, dashboard(pair.two, poll) as there:
        here.frame()
        there.frame()
        yield poll, here, there


def _vote_and_see(server: Server, poll: dict[str, Any], *screens: Dashboard) -> float:
    """Vote, and return how long it took until all dashboards showed it."""
    began = time.monotonic()
    answer = server.voter().vote(poll, 0)
    assert answer.status_code == 201
    for screen in screens:
        assert screen.until_ballots(answer.json()["results"]["ballots"])["seq"]
    return time.monotonic() - began


def _wait_until_frames_flow(pair: Pair, poll: dict[str, Any], there: Dashboard) -> None:
    """Make sure that five votes in a row arrive at once, which comparing could not do."""
    until = time.monotonic() + 40
    in_a_row = 0
    while in_a_row < 5:
        assert time.monotonic() < until, "frames do not flow"
        in_a_row = in_a_row + 1 if _vote_and_see(pair.one, poll, there) < AT_ONCE else 0


def _join_time(server: Server, owner: Caller, poll: dict[str, Any]) -> float:
    began = time.monotonic()
    with dashboard(server, poll) as screen:
        assert screen.frame() == snapshot_of(results_of(owner, poll))
        return time.monotonic() - began


def _vote_without_redis(
    pair: Pair, poll: dict[str, Any], here: Dashboard, there: Dashboard
) -> None:
    """Vote on both sides, and join on both."""
    for server in (pair.one, pair.two):
        began = time.monotonic()
        assert server.voter().vote(poll, 0).status_code == 201
        assert time.monotonic() - began < 3
    for server in (pair.one, pair.two):
        assert _join_time(server, pair.owner, poll) < 2
    shown = tally_of(results_of(pair.owner, poll))
    for screen in (here, there):
        assert screen.until_ballots(shown["ballots"], HEALED) == shown


def _watch_without_redis(pair: Pair) -> None:
    """Watch what nobody has watched before there was trouble."""
    poll = pair.owner.make_poll()
    for server in (pair.one, pair.two):
        assert _join_time(server, pair.owner, poll) < 2
    with _watched(pair, poll) as (_, here, there):
        # The own process needs nobody to tell it.
        assert _vote_and_see(pair.one, poll, here) < 3
        assert there.until_ballots(1, HEALED)


def _show_without_redis(pair: Pair) -> None:
    """Show one poll after the other."""
    polls = [pair.owner.make_poll() for _ in range(2)]
    event = pair.owner.make_event(*polls)
    with dashboard(pair.one, event) as here, dashboard(pair.two, event) as there:
        for screen in (here, there):
            assert screen.frame()["current"] is None
        for poll in polls:
            pair.owner.call("PATCH", event["links"]["self"], {"current": poll["id"]})
            for screen, seconds in ((here, 3.0), (there, HEALED)):
                assert screen.until_type("event", seconds)["current"]["poll"] == poll["id"]
                assert screen.frame() == snapshot_of(results_of(pair.owner, poll))


def test_without_redis_dashboards_converge_and_with_it_frames_flow_again() -> None:
    with (
        _troubled() as pair,
        _watched(pair) as (poll, here, there),
    ):
        _wait_until_frames_flow(pair, poll, there)
        pair.redis.kill()
        _vote_without_redis(pair, poll, here, there)
        _watch_without_redis(pair)
        _show_without_redis(pair)
        pair.redis.start()
        _wait_until_frames_flow(pair, poll, there)
        # A poll that is first watched after the trouble is as good as any.
        later = pair.owner.make_poll()
        with dashboard(pair.two, later) as screen:
            screen.frame()
            _wait_until_frames_flow(pair, later, screen)


def test_redis_that_comes_later_than_the_service_is_found() -> None:
    with (
        _troubled(with_redis=False) as pair,
        _watched(pair) as (poll, here, there),
    ):
        _vote_without_redis(pair, poll, here, there)
        hidden = pair.owner.make_poll(results_visibility="owner")
        ticket = ticket_for(pair.owner, hidden)
        (token,) = pair.owner.get("/api/v1/auth/tokens/").json()
        with dashboard(pair.two, hidden, ticket=ticket) as shut:
            assert shut.frame()["type"] == "snapshot"
            # Nobody in the other process can be told of this yet, and nothing there would find it.
            pair.owner.call("DELETE", f"/api/v1/auth/tokens/{token['id']}/")
            process_of(pair.two).suspend()
            try:
                pair.redis.start()
                time.sleep(3)  # what is said meanwhile goes past the other, which has not joined
            finally:
                process_of(pair.two).resume()
            began = time.monotonic()
            assert shut.end()[1] == 4403
            assert time.monotonic() - began < REAUTHORISE_SECONDS / 3
        _wait_until_frames_flow(pair, poll, there)


def _polls_of_shards(owner: Caller, shards: int) -> list[dict[str, Any]]:
    """Make polls until each shard carries two, and return them with those of the first ahead."""
    found: list[list[dict[str, Any]]] = [[] for _ in range(shards)]
    while min(map(len, found)) < 2:
        poll = owner.make_poll(identity="open")
        group = f"polls__group__{group_name(uuid.UUID(poll['id']))}"
        found[_consistent_hash(group, shards)].append(poll)
    return [poll for polls in found for poll in polls[:2]]


def test_frozen_shard_holds_up_nothing_that_the_others_carry() -> None:
    with _troubled(shards=2) as pair, ExitStack() as opened:
        polls = _polls_of_shards(pair.owner, 2)
        frozen = _consistent_hash("polls__group__processes", 2)
        held_up, carried = (polls[:2], polls[2:]) if frozen == 0 else (polls[2:], polls[:2])
        screens = {poll["id"]: opened.enter_context(_watched(pair, poll))[2] for poll in polls}
        for poll in polls:
            _wait_until_frames_flow(pair, poll, screens[poll["id"]])
        pair.shards[frozen].process.send_signal(signal.SIGSTOP)
        try:
            for _ in range(5):
                voter = pair.one.voter()
                began = time.monotonic()
                for poll in polls:
                    assert voter.vote(poll, 0).status_code == 201
                for poll in carried:
                    there = screens[poll["id"]]
                    there.until_ballots(there.frames[-1]["ballots"] + 1)
                assert time.monotonic() - began < AT_ONCE
            for poll in held_up:
                count = results_of(pair.owner, poll)["ballots"]
                assert screens[poll["id"]].until_ballots(count, HEALED)
        finally:
            pair.shards[frozen].process.send_signal(signal.SIGCONT)
        _wait_until_frames_flow(pair, polls[0], screens[polls[0]["id"]])


def test_frozen_redis_holds_up_neither_votes_nor_joining() -> None:
    with (
        _troubled() as pair,
        _watched(pair) as (poll, here, there),
    ):
        pair.redis.process.send_signal(signal.SIGSTOP)
        try:
            _vote_without_redis(pair, poll, here, there)
        finally:
            pair.redis.process.send_signal(signal.SIGCONT)
        _wait_until_frames_flow(pair, poll, there)


@pytest.mark.parametrize("mode", [mode for mode in Mode if mode is not Mode.FORWARD])
def test_link_to_redis_that_fails_in_whatever_way_holds_up_nothing_and_comes_back(
    mode: Mode,
) -> None:
    with (
        TcpProxy(0, delay=5.0) as proxy,
        _troubled(proxy=proxy) as pair,
        _watched(pair) as (poll, here, there),
    ):
        _wait_until_frames_flow(pair, poll, there)
        proxy.mode = mode
        _vote_without_redis(pair, poll, here, there)
        _watch_without_redis(pair)
        proxy.mode = Mode.FORWARD
        # Though nobody tells the listening end of a half-open link that it will hear no more.
        _wait_until_frames_flow(pair, poll, there)


def test_cut_connections_to_the_database_are_made_anew() -> None:
    with (
        _troubled() as pair,
        _watched(pair) as (poll, here, there),
    ):
        for _ in range(3):
            cut = (
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert len(ask(pair.one, cut)) > 2
            for server in (pair.one, pair.two):
                assert _join_time(server, pair.owner, poll) < HEALED
            _vote_and_see(pair.one, poll, here, there)
            _vote_and_see(pair.two, poll, here, there)


def test_flushed_redis_is_no_trouble(pair: Pair) -> None:
    with _watched(pair) as (poll, here, there):
        for shard in pair.shards:
            with redis.Redis.from_url(shard.url) as client:
                client.flushall()
        _vote_and_see(pair.one, poll, here, there)
        _wait_until_frames_flow(pair, poll, there)


def test_workers_of_one_server_share_its_sockets_and_its_votes() -> None:
    with serving(WEB_WORKERS="2") as server, ExitStack() as opened:
        poll = server.sign_up().make_poll(identity="open")
        screens: list[Dashboard] = []
        held: list[int] = []
        # The server answers as soon as one of its workers does; the other may listen later.
        while sum(count > 9 for count in held) < 2:
            assert len(screens) < 400, held
            screens += [opened.enter_context(dashboard(server, poll)) for _ in range(40)]
            held = [
                sum(c.status == "ESTABLISHED" for c in worker.net_connections("tcp"))
                for worker in process_of(server).children(recursive=True)
            ]
        for screen in screens:
            screen.frame()
        for _ in range(5):
            assert Caller(server).vote(poll, 0).status_code == 201
        shown = tally_of(results_of(Caller(server), poll))
        assert shown["ballots"] == 5
        for screen in screens:
            assert screen.until_ballots(5) == shown
        server.stop()
        assert {screen.end()[1] for screen in screens} == {1012}


def test_workers_without_redis_follow_by_comparing() -> None:
    with serving(WEB_WORKERS="2", REDIS_URL="") as server, ExitStack() as opened:
        poll = server.sign_up().make_poll(identity="open")
        screens = [opened.enter_context(dashboard(server, poll)) for _ in range(20)]
        for screen in screens:
            screen.frame()
        began = time.monotonic()
        assert Caller(server).vote(poll, 0).status_code == 201
        shown = tally_of(results_of(Caller(server), poll))
        assert [screen.frame() for screen in screens] == [shown] * 20
        assert time.monotonic() - began < HEALED


def _kept_alive() -> set[int]:
    """Return the local ports of the connections that Linux asks after when they are silent."""
    rows = [line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:]]
    return {int(row[1].partition(":")[2], 16) for row in rows if row[5].startswith("02:")}


def test_link_to_redis_that_falls_silent_is_noticed(pair: Pair) -> None:
    shards = {urlsplit(shard.url).port for shard in pair.shards}
    with _watched(pair):
        until = time.monotonic() + PATIENCE
        seen: set[int] = set()  # while something is on its way over a link another timer runs
        while True:
            links = process_of(pair.one).net_connections("tcp")
            ports = {link.laddr.port for link in links if link.raddr and link.raddr.port in shards}
            seen |= _kept_alive()
            if ports and ports <= seen:
                return
            assert time.monotonic() < until
            time.sleep(0.1)


def test_others_are_told_at_once_of_all_polls_that_they_may_watch(
    inside: Inside, alice: Person
) -> None:
    layer: Any = get_channel_layer()
    polls = [alice.make_poll() for _ in range(5)]

    async def listen() -> str:
        channel: str = await layer.new_channel()
        await layer.group_add("processes", channel)
        return channel

    channel = inside.call(listen())
    here = {"type": "here", "channel": channel, "new": True}
    inside.call(layer.group_send("processes", here))
    time.sleep(TICK * 2)  # what making them has marked has been told
    while inside.call(_waits(layer, channel)):
        inside.call(layer.receive(channel))
    for poll in polls:
        voter().vote(poll, 0)
    told: list[str] = []
    messages = 0
    while len(told) < 5:
        message = inside.call(layer.receive(channel))
        if message["type"] == "here":
            continue
        assert message["type"] == "moved"
        told += message["polls"]
        messages += 1
    assert set(told) == {uuid.UUID(poll["id"]).hex for poll in polls}
    assert messages <= 3  # of a tick each


async def _waits(layer: Any, channel: str) -> bool:
    """Whether a message is waiting on a channel."""
    return not layer._get_layer().channels[channel].empty()
