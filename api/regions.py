"""The cells: what this one says of itself and of others, and of what belongs to another one."""

from typing import Final
from urllib.parse import quote

from litestar import Router, get
from msgspec import Struct

from api.context import ApiRequest, runtime_of
from api.documents import describe
from api.problems import ProblemError, ProblemKind
from api.reading import check_query
from engine.platform.cells import Cells
from engine.platform.ids import ForeignIdError

_UNQUOTED: Final = "/:@!$&'()*+,;=~"


class OtherCell(Struct, frozen=True):
    """Another cell: its region, and its address, null where this one does not know it."""

    region: str
    address: str | None


class CellsAnswer(Struct, frozen=True):
    """This cell's region, and the other cells that it knows of."""

    region: str
    cells: list[OtherCell]


def misdirected(cells: Cells, foreign: ForeignIdError, path: str, query: str = "") -> ProblemError:
    """Return the problem of a request that another cell serves (RFC 9110, section 15.5.20).

    `path` is the request's, decoded: `Location` says what it is at the other cell.
    """
    address = cells.others.get(foreign.region)
    members: dict[str, str] = {"region": foreign.region}
    headers: dict[str, str] = {}
    if address is not None:
        members["cell"] = address
        target = address + quote(path, safe=_UNQUOTED)
        headers["Location"] = f"{target}?{quote(query, safe=_UNQUOTED + '?%')}" if query else target
    where = f"Send it to {address}." if address else "Its address is not known here."
    return ProblemError(
        ProblemKind.MISDIRECTED_REQUEST,
        f"This is the cell of {cells.region}, and that of {foreign.region} is asked for. {where}",
        members=members,
        headers=headers,
    )


@get("/", summary="The cells", operation_class=describe(scope=None))
async def list_cells(request: ApiRequest) -> CellsAnswer:
    """Tell this cell's region, and where the others are.

    Ids and API keys carry the region of their cell. What is asked of another one is answered `421`.
    """
    check_query(request)
    cells = runtime_of(request).cells
    others = [OtherCell(region, address) for region, address in sorted(cells.others.items())]
    return CellsAnswer(cells.region, others)


router = Router(path="/v1/cells", tags=["cells"], route_handlers=[list_cells])
