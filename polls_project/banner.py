"""What `make run` says last: what to open, and two lines to try."""

import io

import segno

from polls.enums import Identity, Status, Visibility
from polls.models import Poll


def _poll_to_try() -> Poll | None:
    """Return the oldest poll that anybody can vote in and watch."""
    return (
        Poll.objects.standing()
        .filter(
            status=Status.OPEN,
            opened_at__isnull=False,
            identity=Identity.DEVICE,
            results_visibility=Visibility.ALWAYS,
        )
        .order_by("created_at")
        .first()
    )


def _lines_to_vote(url: str, poll: Poll) -> list[str]:
    api = f"{url}/api/v1"
    choice = poll.options.values_list("id", flat=True)[0]
    token = f"$(curl -sX POST {api}/voters/ | cut -d'\"' -f4)"
    headers = f"-H \"X-Voter-Token: {token}\" -H 'Content-Type: application/json'"
    body = f'{{"choices": ["{choice}"]}}'
    return [
        "Vote, and the page moves:",
        "",
        f"  curl -s {api}/polls/{poll.id}/votes/ {headers} -d '{body}'",
        f"  curl -s {api}/polls/{poll.id}/results/",
    ]


def _lines_to_begin(url: str) -> list[str]:
    body = '{"username": "alice", "password": "correct horse battery"}'
    json = "-H 'Content-Type: application/json'"
    return [
        "Make an account, and get a token for it:",
        "",
        f"  curl -s {url}/api/v1/auth/register/ {json} -d '{body}'",
        f"  curl -s {url}/api/v1/auth/tokens/ {json} -d '{body}'",
    ]


def banner(here: str, *, lan: str | None, public: str | None) -> str:
    """Return the text for a service that listens at `here`, and at `lan` for this network.

    `public` is the address that people are to be shown instead; each is a URL without its path.
    """
    url = public or here
    poll = _poll_to_try()
    page = "" if poll is None else f"/p/{poll.join_code}"
    lines = ["", f"Polls is running at {url}", ""]
    if poll is not None:
        lines.append(f"  Watch a poll   {url}{page}")
    lines.append(f"  Make polls     {url}/desk")
    lines += [f"  API            {url}/swagger/", f"  Admin          {url}/admin/"]
    if lan is not None:
        picture = io.StringIO()
        segno.make((public or lan) + page).terminal(picture, compact=True)
        lines += ["", f"On this network: {lan}{page}", "", picture.getvalue()]
    lines += ["", *(_lines_to_begin(url) if poll is None else _lines_to_vote(url, poll))]
    return "\n".join(lines) + "\n"
