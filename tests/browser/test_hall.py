"""A hall: a presenter, twenty phones and a results page on one poll, from opening to closing."""

from playwright.sync_api import Page, expect

from tests.browser.conftest import PHONE, People, choose
from tests.live import Server
from tests.realtime.servers import OwnServer

PHONES = 20


OPTIONS = ("Lisbon", "Rotterdam", "Nairobi")


class Hall:
    """Everybody who looks at one poll."""

    def __init__(self, people: People, server: Server) -> None:
        self.server = server
        self.owner = server.sign_up("presenter")
        options = [{"text": text} for text in OPTIONS]
        self.poll = self.owner.make_poll(options=options, opens_at="2099-01-01T00:00:00Z")
        path = self.poll["links"]["page"]
        presenter = people(server)
        presenter.log_in("presenter")
        self.screen = presenter.goto(f"{path}/present")
        self.results = people(server).goto(f"{path}/results")
        self.phones = [people(server, **PHONE).goto(path) for _ in range(PHONES)]

    def is_shown(self, ballots: int) -> None:
        """Wait until both screens show so many ballots, live."""
        for page in (self.screen, self.results):
            expect(page.locator("#ballots")).to_have_text(f"{ballots} ballots", timeout=30_000)
            expect(page.locator("#connection")).to_have_text("live", timeout=30_000)


def _send(phone: Page, text: str) -> None:
    choose(phone, text)
    phone.locator("#vote").click()


def _are_told(phones: list[Page], text: str) -> None:
    for phone in phones:
        expect(phone.locator("#notice")).to_contain_text(text, timeout=30_000)


def test_hall_votes_through_a_dropped_connection_and_a_restart(people: People) -> None:
    with OwnServer() as server:
        hall = Hall(people, server)
        _open(hall)
        _vote_as_it_should_be(hall, hall.phones[:8])
        _vote_in_the_lift(hall, hall.phones[8:12])
        _vote_while_the_server_dies(hall, hall.phones[12:])
        # 0, 3, 6 and the lift; 1, 4, 7 and the restart; 2, 5
        _close(hall, [3 + 4, 3 + 8, 2])


def _open(hall: Hall) -> None:
    for phone in hall.phones:
        expect(phone.locator("#connection")).to_have_text("live")
        expect(phone.locator("#vote")).to_be_hidden()
    hall.screen.keyboard.press("o")
    for phone in hall.phones:
        expect(phone.locator("#vote")).to_be_visible()


def _vote_as_it_should_be(hall: Hall, phones: list[Page]) -> None:
    for place, phone in enumerate(phones):
        _send(phone, OPTIONS[place % 3])
    _are_told(phones, "Your vote is counted.")
    hall.is_shown(8)


def _vote_in_the_lift(hall: Hall, phones: list[Page]) -> None:
    for phone in phones:
        phone.context.set_offline(True)
        _send(phone, "Lisbon")
    _are_told(phones, "The connection is lost.")
    for phone in phones:
        phone.context.set_offline(False)
    _are_told(phones, "Your vote is counted.")
    hall.is_shown(12)


def _vote_while_the_server_dies(hall: Hall, phones: list[Page]) -> None:
    hall.server.kill()
    for phone in phones:
        _send(phone, "Rotterdam")
    _are_told(phones, "The connection is lost.")
    expect(hall.screen.locator("#connection")).to_have_text("reconnecting")
    hall.server.start()
    _are_told(phones, "Your vote is counted.")
    hall.is_shown(20)


def _close(hall: Hall, counts: list[int]) -> None:
    """One press warns, the second closes."""
    links = hall.poll["links"]
    hall.screen.keyboard.press("c")
    warning = "Press once more to close the poll for good."
    expect(hall.screen.locator("#notice")).to_have_text(warning)
    assert hall.owner.get(links["self"]).json()["status"] == "open"
    hall.screen.keyboard.press("c")
    for page in (hall.screen, hall.results, *hall.phones):
        expect(page.locator("#status")).to_have_text("Closed", timeout=30_000)
    final = hall.owner.get(links["results"]).json()
    assert ([option["votes"] for option in final["options"]], final["ballots"]) == (counts, 20)
    for page in (hall.screen, hall.results):
        expect(page.locator(".result .votes")).to_have_text([str(n) for n in counts])
    assert hall.owner.get(f"{links['self']}integrity/").json()["equal"] is True
