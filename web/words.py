"""What pages say to people: sentences for refusals and states, and the texts of the scripts.

The API speaks to programs, in English; here the same is told to whoever holds the phone.
"""

from collections.abc import Mapping

from django.utils.functional import Promise
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy
from django.utils.translation import ngettext as _n

from polls.enums import Identity, Visibility
from polls.errors import CATALOGUE, Code, Refusal

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
    sentence = _REFUSALS.get(refusal.code)
    if sentence is not None:
        return str(sentence)
    if CATALOGUE[refusal.code].status >= 500:  # noqa: PLR2004 - HTTP's border of faults
        return _("Something broke here. Try again in a moment.")
    return _("This cannot be done. Load the page again and try once more.")


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
    """Return in a sentence what keeps votes apart."""
    return {
        Identity.OPEN: _("Anybody may vote as often as they like."),
        Identity.DEVICE: _("One vote for each browser; nobody asks for your name."),
        Identity.ACCOUNT: _("One vote for each account."),
    }.get(Identity(identity), "")


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
        "receipt": _("Receipt:"),
        **{f"rule_{name}": text for name, text in choice_rules().items()},
        "hidden_because": {str(word): hidden_because(word) for word in Visibility},
        "identity": {str(word): identity_in_words(word) for word in Identity},
        "nothing": _("There is nothing to vote on just now. This page goes on by itself."),
        "not_open": _("Voting has not begun. This page opens the ballot by itself."),
        "choose": _("Choose an answer first."),
        "too_few": _("Choose at least {n}."),
        "too_many": _("Choose {n} at most."),
        "opened": _("The poll is open. You can vote now."),
        "over": _("The poll is closed."),
        "refused": {str(code): str(sentence) for code, sentence in _REFUSALS.items()},
        "failed": _("This cannot be done. Load the page again and try once more."),
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
