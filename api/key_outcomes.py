"""What is told when a credential can't be made or changed."""

from typing import assert_never

from api.problems import ProblemError, ProblemKind
from engine.tenancy.keys import (
    KEYS_MAX,
    KeyEnded,
    NotApproved,
    ScopesExceeded,
    TooManyKeys,
    UnknownKey,
)

KeyRefused = ScopesExceeded | NotApproved | TooManyKeys | UnknownKey | KeyEnded


def problem_of_key(refused: KeyRefused) -> ProblemError:
    """Return what a client is told."""
    match refused:
        case ScopesExceeded(scopes):
            return lacking_scopes(scopes)
        case NotApproved():
            return not_approved()
        case TooManyKeys():
            return ProblemError(
                ProblemKind.TOO_MANY_CREDENTIALS,
                f"There are {KEYS_MAX} keys; revoke one that is not needed any more.",
            )
        case UnknownKey():
            return key_not_found()
        case KeyEnded():
            return ProblemError(
                ProblemKind.CREDENTIAL_ENDED,
                "The key was revoked or replaced, or has expired; make a new one.",
            )
        case _:
            assert_never(refused)


def not_approved() -> ProblemError:
    """Return what is told to a reseller who has live credentials only once they are approved."""
    return ProblemError(
        ProblemKind.NOT_APPROVED,
        "The account is not approved yet, or suspended; until then use its sandbox.",
    )


def key_not_found() -> ProblemError:
    """Return what is told of a key that there is not, and of other people's."""
    return ProblemError(ProblemKind.KEY_NOT_FOUND, "You have no such API key.")


def lacking_scopes(scopes: frozenset[str]) -> ProblemError:
    """Return what is told to who would hand out scopes that they lack."""
    listed = " ".join(sorted(scopes))
    return ProblemError(
        ProblemKind.INSUFFICIENT_SCOPE,
        f"Your credential has not {listed} itself, so it can't hand that out.",
        members={"scope": listed},
    )
