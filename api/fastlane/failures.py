"""What a call is answered with that failed, whatever it was."""

import structlog

from api.fastlane.replies import Reply, reply_problem
from api.outcomes import unavailable
from api.problems import ProblemError, ProblemKind
from api.regions import misdirected
from api.server import RequestScope
from engine.platform.errors import StoreUnavailableError
from engine.platform.ids import ForeignIdError
from engine.runtime import Serving

_log = structlog.stdlib.get_logger(__name__)


def reply_failure(error: Exception, scope: RequestScope, runtime: Serving) -> Reply:
    """Return the reply that tells an exception; one that nobody foresaw is logged, without details.

    Call it in the `except` that caught it: the log has its place.
    """
    if isinstance(error, ProblemError):
        return reply_problem(error)
    if isinstance(error, StoreUnavailableError):
        return reply_problem(unavailable(error))
    if isinstance(error, ForeignIdError):
        return reply_problem(misdirected(runtime.cells, error, scope.path, scope.query_string))
    _log.error("request failed", method=scope.method, exc_info=error)
    return reply_problem(ProblemError(ProblemKind.INTERNAL_ERROR, "It was logged here."))
