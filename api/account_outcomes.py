"""What is told when an account, a user or an invitation can't be made or changed."""

from math import ceil
from typing import assert_never

from api.key_outcomes import lacking_scopes
from api.problems import Fault, ProblemError, ProblemKind, invalid
from engine.tenancy.accounts import LegalUnfit, NoAccount
from engine.tenancy.invitations import OPEN_MAX, IsUser, PersonUnfit, TooManyInvitations
from engine.tenancy.mailed import TokenUnknown
from engine.tenancy.sessions import Busy, Throttled
from engine.tenancy.sign_up import AddressTaken
from engine.tenancy.users import LastOwner, RoleExceeds, UnknownUser

AccountRefused = (
    NoAccount
    | LegalUnfit
    | UnknownUser
    | LastOwner
    | RoleExceeds
    | IsUser
    | TooManyInvitations
    | TokenUnknown
    | AddressTaken
    | PersonUnfit
    | Throttled
    | Busy
)


def problem_of_account(  # noqa: C901, PLR0911, PLR0912 - one a kind
    refused: AccountRefused,
) -> ProblemError:
    """Return what a client is told."""
    match refused:
        case NoAccount():
            return ProblemError(
                ProblemKind.NO_ACCOUNT,
                "A sandbox has no account, users or invitations of its own: ask with a credential "
                "of the live reseller.",
            )
        case LegalUnfit(faults):
            return invalid(*(Fault(unfit.reason, pointer=unfit.pointer) for unfit in faults))
        case UnknownUser():
            return user_not_found()
        case LastOwner():
            return ProblemError(
                ProblemKind.LAST_OWNER, "An account keeps one owner who can sign in: make another."
            )
        case RoleExceeds(scopes):
            return lacking_scopes(scopes)
        case IsUser():
            return ProblemError(ProblemKind.USER_EXISTS, "This address is a user's already.")
        case TooManyInvitations():
            return ProblemError(
                ProblemKind.TOO_MANY_INVITATIONS,
                f"There are {OPEN_MAX} open invitations; revoke one that is not needed any more.",
            )
        case TokenUnknown():
            return invitation_not_found()
        case AddressTaken():
            return ProblemError(
                ProblemKind.ADDRESS_TAKEN,
                "This address has a log-in with another account: be invited by another address.",
            )
        case PersonUnfit(faults):
            return invalid(*(Fault(why, pointer=f"/{name}") for name, why in faults.items()))
        case Throttled(retry_after_s):
            return ProblemError(
                ProblemKind.TOO_MANY_ATTEMPTS,
                "There were too many attempts from your network, or mails to this address; "
                "repeat later.",
                headers={"Retry-After": str(ceil(retry_after_s))},
            )
        case Busy():
            return ProblemError(
                ProblemKind.OVERLOADED, "Too many sign up or in at this moment; repeat in a second."
            )
        case _:
            assert_never(refused)


def user_not_found() -> ProblemError:
    """Return what is told of a user that there is not, and of other people's."""
    return ProblemError(ProblemKind.USER_NOT_FOUND, "You have no such user.")


def invitation_not_found() -> ProblemError:
    """Return what is told of an invitation that there is not, is over, or is other people's."""
    return ProblemError(
        ProblemKind.INVITATION_NOT_FOUND, "There is no such invitation, or it is over."
    )
