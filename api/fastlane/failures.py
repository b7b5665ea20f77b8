"""What a call is answered with that failed, whatever it was."""

import structlog

from api.fastlane.replies import Reply, reply_problem
from api.outcomes import unavailable
from api.problems import ProblemError, ProblemKind
from engine.platform.errors import StoreUnavailableError

_log = structlog.stdlib.get_logger(__name__)


def reply_failure(error: Exception, method: str) -> Reply:
    """Return the reply that tells an exception; one that nobody foresaw is logged, without details.

    Call it in the `except` that caught it: the log has its place.
    """
    if isinstance(error, ProblemError):
        return reply_problem(error)
    if isinstance(error, StoreUnavailableError):
        return reply_problem(unavailable(error))
    _log.error("request failed", method=method, exc_info=error)
    return reply_problem(ProblemError(ProblemKind.INTERNAL_ERROR, "It was logged here."))
