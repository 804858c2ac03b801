"""What pages say to people: sentences for refusals and states, and the texts of the scripts.

The API speaks to programs, in English; here the same is told to whoever holds the phone.
"""

import math
from collections.abc import Mapping

from django.utils.formats import number_format
from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.utils.translation import ngettext as _n

from polls.enums import Identity, Secrecy, Visibility
from polls.errors import CATALOGUE, Code, Refusal
from polls.models import Poll

# What a refusal means to a person; whatever is not here is told by its status.
_REFUSALS: Mapping[Code, Promise] = {
    Code.NOT_FOUND: gettext_lazy("There is nothing here. Check the code or the address."),
    Code.CSRF_FAILED: gettext_lazy("This page has grown too old. Load it again and try once more."),
    Code.INVALID_BALLOT: gettext_lazy("This ballot does not fit the poll. Check what you chose."),
    Code.AUTHENTICATION_REQUIRED: gettext_lazy("This poll asks for an account. Log in first."),
    Code.POLL_NOT_OPEN: gettext_lazy("The poll is not open yet."),
    Code.POLL_CLOSED: gettext_lazy("The poll is closed. This vote was not counted."),
    Code.ALREADY_VOTED: gettext_lazy("You have already voted in this poll."),
    Code.IDEMPOTENCY_KEY_REUSED: gettext_lazy(
        "Another ballot has been sent from this page before. Load it again to see which one counts."
    ),
    Code.CODE_INVALID: gettext_lazy(
        "This code does not count here: it is mistyped, of another poll, or used already."
    ),
    Code.NETWORK_CAP_REACHED: gettext_lazy(
        "As many as may have voted from your network. Try from another, such as your phone's own."
    ),
    Code.CHANGE_NOT_ALLOWED: gettext_lazy("Votes in this poll cannot be changed."),
    Code.NO_VOTE: gettext_lazy("There is no vote of yours in this poll yet."),
    Code.RESULTS_HIDDEN: gettext_lazy("The results are not shown now."),
    Code.VOTER_TOKEN_REQUIRED: gettext_lazy(
        "Your browser keeps no cookie of this site, so the vote cannot be told from others."
    ),
    Code.TOO_MANY: gettext_lazy("Too many at once. Try again in a moment."),
    Code.METHOD_NOT_ALLOWED: gettext_lazy("This page cannot be used in that way."),
    Code.OVERLOADED: gettext_lazy(
        "Too many votes at once: yours is not counted yet. Send it again; it counts once."
    ),
    Code.UNAVAILABLE: gettext_lazy(
        "The service cannot store votes right now. Send yours again in a moment; it counts once."
    ),
    Code.OUTCOME_UNKNOWN: gettext_lazy(
        "Whether your vote was stored is not known yet. Send it again; it counts once."
    ),
}


def told(refusal: Refusal) -> str:
    """Return a refusal as a sentence for people."""
    if refusal.code == Code.TOO_MANY:
        minutes = math.ceil(int(refusal.headers.get("Retry-After", "0")) / 60)
        if minutes > 1:
            return _("Too often. Try again in {minutes} minutes.").format(minutes=minutes)
    sentence = _REFUSALS.get(refusal.code)
    if sentence is not None:
        return str(sentence)
    if CATALOGUE[refusal.code].status >= 500:  # noqa: PLR2004 - HTTP's border of faults
        return _("Something broke here. Try again in a moment.")
    return _("This cannot be done. Load the page again and try once more.")


def told_of_code(refusal: Refusal) -> str:
    """Return the same of a refusal that is told at a code's field."""
    return _guessed_too_often() if refusal.code == Code.TOO_MANY else told(refusal)


def _guessed_too_often() -> str:
    return _("Too many wrong codes have been tried. Try again in some minutes.")


def word_of(status: str) -> str:
    """Return a poll's status in the reader's language."""
    return statuses()[status]


def statuses() -> dict[str, str]:
    """Return the words for what a poll can be."""
    return {
        "draft": _("Draft"),
        "scheduled": _("Not open yet"),
        "open": _("Open"),
        "closed": _("Closed"),
    }


def hidden_because(visibility: str) -> str:
    """Return why results are not shown now."""
    return {
        Visibility.AFTER_VOTE: _("The results are shown when you have voted."),
        Visibility.AFTER_CLOSE: _("The results are shown when the poll is closed."),
        Visibility.OWNER: _("The results are shown to the organiser alone."),
    }.get(Visibility(visibility), "")


def identity_in_words(identity: str) -> str:
    """Return in a sentence what keeps votes apart, and whom it does not keep from a second one."""
    return {
        Identity.OPEN: _(
            "Anybody may vote as often as they like; nothing tells a second vote from a first."
        ),
        Identity.DEVICE: _(
            "One vote for each browser; whoever uses two browsers, or clears the browser's data, "
            "can vote again."
        ),
        Identity.CODE: _("One vote for each code; whoever holds two codes can vote twice."),
        Identity.ACCOUNT: _("One vote for each account; whoever has two accounts can vote twice."),
    }[Identity(identity)]


def secrecy_in_words(secrecy: str) -> str:
    """Return in a sentence who can tell which ballot is whose."""
    return {
        Secrecy.CONFIDENTIAL: _(
            "Confidential: no page shows which ballot is whose, but whoever runs the service could "
            "look it up."
        ),
        Secrecy.SECRET: _(
            "Secret: no record says which ballot is whose, but whoever runs the service could "
            "watch as votes come in."
        ),
    }[Secrecy(secrecy)]


def rules_in_words(found: Poll) -> str:
    """Return what a poll's rules prevent and what they do not; js/parts/rules.js says the same."""
    said = [identity_in_words(found.identity)]
    if found.network_cap is not None:
        said.append(_network_cap().format(n=number_format(found.network_cap, force_grouping=True)))
    if found.identity != Identity.OPEN or found.secrecy == Secrecy.SECRET:
        said.append(secrecy_in_words(found.secrecy))
    if found.allow_change:
        said.append(_changes())
    return " ".join(said)


def _network_cap() -> str:
    return _(
        "Voters from one network: {n} at most; all who share an address, as in a hall, are one "
        "network."
    )


def _changes() -> str:
    return _("Votes can be changed and withdrawn until the poll closes.")


def choice_rules() -> dict[str, str]:
    """Return the sentences that say how many options to choose; numbers go into their places."""
    return {
        "one": _("Choose one."),
        "exactly": _("Choose exactly {n}."),
        "up_to": _("Choose up to {high}."),
        "between": _("Choose {low} to {high}."),
        "at_least": _("Choose at least {low}."),
        "any": _("Choose as many as you like."),
        "approve": _("Choose all that you approve of."),
    }


def _forms(one: str, many: str) -> dict[str, str]:
    """Return a text's forms by the categories of Intl.PluralRules that our languages have."""
    return {"one": one, "other": many}


def voting_texts() -> dict[str, object]:
    """Return the texts of the scripts that send a vote."""
    return {
        **following_texts(),
        "sending": _("Sending your vote…"),
        "retrying": _("The connection is lost. Your vote is kept and sent again; it counts once."),
        "counted": _("Your vote is counted."),
        "voted": _("You have voted."),
        "withdrawn": _("Your vote is withdrawn. You can vote again until the poll closes."),
        "unsent": _("This is not sent yet: your earlier vote counts until you change it."),
        "vote": _("Vote"),
        "change": _("Change my vote"),
        "no_code": _("Write your code first."),
        "guessed": _guessed_too_often(),
        "receipt": _("Receipt:"),
        "not_open": _("Voting has not begun. This page opens the ballot by itself."),
        "choose": _("Choose an answer first."),
        "too_few": _("Choose at least {n}."),
        "too_many": _("Choose {n} at most."),
        "opened": _("The poll is open. You can vote now."),
        "over": _("The poll is closed."),
        "refused": {str(code): str(sentence) for code, sentence in _REFUSALS.items()},
        "failed": _("This cannot be done. Load the page again and try once more."),
    }


def turning_texts() -> dict[str, object]:
    """Return the texts of the scripts that turn a page to an event's next poll."""
    return {
        **{f"rule_{name}": text for name, text in choice_rules().items()},
        "hidden_because": {str(word): hidden_because(word) for word in Visibility},
        "identity": {str(word): identity_in_words(word) for word in Identity},
        "network_cap": _network_cap(),
        "secrecy": {str(word): secrecy_in_words(word) for word in Secrecy},
        "changes": _changes(),
    }


def following_texts() -> dict[str, object]:
    """Return the texts of the scripts that follow a count."""
    return {
        "statuses": statuses(),
        "connection": {
            "connecting": _("connecting"),
            "live": _("live"),
            "reconnecting": _("reconnecting"),
            "catching_up": _("catching up every few seconds"),
            "final": _("final"),
            "over": _("not shown any more"),
        },
        "ballots": _forms(_n("{n} ballot", "{n} ballots", 1), _n("{n} ballot", "{n} ballots", 2)),
    }


def result_texts() -> dict[str, object]:
    """Return the texts of the scripts that tell what a count says."""
    return {
        **following_texts(),
        "none": _("No votes yet."),
        "level": _("{names} are level with {votes} each."),
        "alone": _("{leader} has all votes: {votes}."),
        "leads": _("{leader} leads with {votes} of {ballots}, {margin} ahead of {second}."),
        "won": _("{leader} has the most votes: {votes} of {ballots}, {margin} more than {second}."),
        "pace": _("{n} in the last minute"),
        "time": _("Time"),
        "hidden": _("The results are hidden on this screen. Press H to show them."),
        "hide": _("Hide results"),
        "reveal": _("Show results"),
        "close_again": _("Press once more to close the poll for good."),
        "failed": _("That did not work: {why}"),
        "offline": _("The server does not answer."),
    }
