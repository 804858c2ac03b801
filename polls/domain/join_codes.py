"""Join codes: one never leads to two places, whatever it leads to."""

from django.db import IntegrityError, transaction

from polls.errors import Code, Refusal
from polls.ids import new_join_code
from polls.models import JoinCode

_ATTEMPTS = 10


def claim_join_code() -> str:
    """Return a code that nothing else has or ever had, inside the caller's transaction.

    The claim's primary key decides: of two who draw the same one, the later waits for the earlier
    and draws again.
    """
    for _ in range(_ATTEMPTS):
        code = new_join_code()
        try:
            with transaction.atomic():
                JoinCode.objects.create(code=code)
        except IntegrityError:
            continue
        return code
    raise Refusal(Code.UNAVAILABLE, "No free join code was found.")
