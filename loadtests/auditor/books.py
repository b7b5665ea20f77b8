"""The rules that PostgreSQL can check by itself: money, order lines, and whose rows they are.

Each rule is one query that returns only the offending rows: show, subject, and what is wrong.
"""

from collections.abc import Sequence
from typing import Final

from msgspec import Struct
from sqlalchemy import TextClause, text
from sqlalchemy.ext.asyncio import AsyncConnection

from loadtests.auditor.findings import Finding


class _Rule(Struct, frozen=True):
    check: str
    query: TextClause


_RULES: Final = (
    _Rule(
        "entry-unbalanced",
        text(
            "SELECT o.show_id, 'entry ' || e.id,"
            " 'its postings sum to ' || sum(p.amount) || ' ' || p.currency || ', not to zero'"
            " FROM orders o JOIN journal_entries e ON e.order_id = o.id"
            " JOIN postings p ON p.entry_id = e.id WHERE o.show_id = ANY(:shows)"
            " GROUP BY o.show_id, e.id, p.currency HAVING sum(p.amount) <> 0"
        ),
    ),
    _Rule(
        "order-without-sale-entry",
        text(
            "SELECT o.show_id, 'order ' || o.id, 'it is ' || o.status || ' and has '"
            " || count(e.id) || ' sale entries in the journal, not '"
            " || CASE o.status WHEN 'conflict' THEN 0 ELSE 1 END"
            " FROM orders o LEFT JOIN journal_entries e ON e.order_id = o.id AND e.kind = 'sale'"
            " WHERE o.show_id = ANY(:shows) GROUP BY o.show_id, o.id, o.status"
            " HAVING count(e.id) <> CASE o.status WHEN 'conflict' THEN 0 ELSE 1 END"
        ),
    ),
    _Rule(
        "sale-entry-differs",
        text(
            "SELECT o.show_id, 'order ' || o.id, 'the journal has ' || coalesce(string_agg("
            " p.account || ' ' || p.amount || ' ' || p.currency, ', ' ORDER BY p.posting_no),"
            " 'nothing') || ' for total ' || o.total || ', face value ' || o.face_value"
            " || ', fee ' || o.fee || ', tax ' || o.tax || ', discount ' || o.discount"
            " || ' ' || o.currency"
            " FROM orders o JOIN journal_entries e ON e.order_id = o.id AND e.kind = 'sale'"
            " LEFT JOIN postings p ON p.entry_id = e.id"
            " WHERE o.show_id = ANY(:shows) GROUP BY o.show_id, o.id, e.id"
            " HAVING coalesce(sum(p.amount) FILTER (WHERE p.account = 'payment_clearing'), 0)"
            " <> o.total"
            " OR coalesce(sum(p.amount) FILTER (WHERE p.account = 'reseller_payable'), 0)"
            " <> o.discount - o.face_value"
            " OR coalesce(sum(p.amount) FILTER (WHERE p.account = 'platform_fee'), 0) <> -o.fee"
            " OR coalesce(sum(p.amount) FILTER (WHERE p.account = 'tax_payable'), 0) <> -o.tax"
            " OR bool_or(p.currency <> o.currency OR p.account NOT IN"
            " ('payment_clearing', 'reseller_payable', 'platform_fee', 'tax_payable'))"
        ),
    ),
    _Rule(
        "order-lines-differ",
        text(
            "SELECT o.show_id, 'order ' || o.id, 'its lines come to ' || coalesce(sum(l.total), 0)"
            " || ', it to ' || o.total || ' ' || o.currency"
            " FROM orders o LEFT JOIN order_lines l ON l.order_id = o.id"
            " WHERE o.show_id = ANY(:shows) GROUP BY o.show_id, o.id"
            " HAVING coalesce(sum(l.total), -1) <> o.total"
            " OR sum(l.quantity * l.unit_face_value) <> o.face_value"
            " OR sum(l.quantity * l.unit_fee) <> o.fee"
            " OR sum(l.quantity * l.unit_tax) <> o.tax"
            " OR sum(l.quantity * l.unit_discount) <> o.discount"
            " OR o.total <> o.face_value + o.fee + o.tax - o.discount"
        ),
    ),
    _Rule(
        "line-tickets-differ",
        text(
            "SELECT o.show_id, 'order ' || o.id || ' line ' || l.line_no,"
            " 'it is for ' || l.quantity || ' tickets and has ' || count(t.id)"
            " FROM orders o JOIN order_lines l ON l.order_id = o.id"
            " LEFT JOIN tickets t ON t.order_id = o.id AND t.line_no = l.line_no"
            " AND t.area_index IS NOT DISTINCT FROM l.area_index"
            " AND t.ticket_type IS NOT DISTINCT FROM l.ticket_type"
            " WHERE o.show_id = ANY(:shows) AND o.status <> 'conflict'"
            " GROUP BY o.show_id, o.id, l.line_no, l.quantity HAVING count(t.id) <> l.quantity"
        ),
    ),
    _Rule(
        "ticket-without-line",
        text(
            "SELECT o.show_id, 'ticket ' || t.id,"
            " 'no line of order ' || o.id || ' (' || o.status || ') is for it'"
            " FROM orders o JOIN tickets t ON t.order_id = o.id"
            " LEFT JOIN order_lines l ON l.order_id = o.id AND l.line_no = t.line_no"
            " AND l.area_index IS NOT DISTINCT FROM t.area_index"
            " AND l.ticket_type IS NOT DISTINCT FROM t.ticket_type"
            " WHERE o.show_id = ANY(:shows)"
            " AND (l.order_id IS NULL OR (o.status <> 'confirmed' AND t.status = 'active'))"
        ),
    ),
    _Rule(
        "line-price-differs",
        # Fee and tax per ticket, a half rounded up: numeric's round() does so above zero.
        text(
            "SELECT o.show_id, 'order ' || o.id || ' line ' || l.line_no,"
            " l.price_level || ' at ' || l.unit_face_value || ' + fee ' || l.unit_fee || ' + tax '"
            " || l.unit_tax || '; price version ' || o.price_version || ' says '"
            " || coalesce(p.face_value || '', 'nothing')"
            " FROM orders o JOIN order_lines l ON l.order_id = o.id"
            " JOIN shows s ON s.id = o.show_id"
            " JOIN fee_schedules f ON f.version = s.fee_schedule_version"
            " LEFT JOIN price_versions v ON v.show_id = o.show_id AND v.version = o.price_version"
            # A type's own price there, else its share of the level's, else the level's.
            " LEFT JOIN LATERAL (SELECT (v.prices ->> l.price_level)::bigint AS level_price,"
            " v.type_prices -> l.ticket_type AS of_type) w ON true"
            " LEFT JOIN LATERAL (SELECT CASE WHEN l.ticket_type IS NULL THEN w.level_price"
            " ELSE coalesce((w.of_type -> 'prices' ->> l.price_level)::bigint,"
            " round(w.level_price * (w.of_type ->> 'share_bps')::bigint / 10000.0)::bigint,"
            " w.level_price) END AS face_value) p ON true"
            " WHERE o.show_id = ANY(:shows) AND (p.face_value"
            " IS DISTINCT FROM l.unit_face_value"
            " OR l.unit_fee <> round(l.unit_face_value * f.fee_bps / 10000.0) + f.fee_fixed"
            " OR l.unit_tax <> round((l.unit_face_value + l.unit_fee) * s.tax_bps / 10000.0)"
            " OR l.total <>"
            " l.quantity * (l.unit_face_value + l.unit_fee + l.unit_tax - l.unit_discount)"
            " OR o.currency <> s.currency)"
        ),
    ),
    _Rule(
        "return-numbers",
        text(
            "SELECT s.id, 'returns', 'the last is ' || s.return_no || ' by its row, and it has '"
            " || count(r.return_no) || ', up to ' || coalesce(max(r.return_no), 0)"
            " FROM shows s LEFT JOIN returns r ON r.show_id = s.id"
            " WHERE s.id = ANY(:shows) GROUP BY s.id, s.return_no"
            " HAVING count(r.return_no) <> s.return_no"
            " OR coalesce(max(r.return_no), 0) <> s.return_no"
        ),
    ),
    _Rule(
        "return-differs",
        text(
            "SELECT o.show_id, 'order ' || o.id, 'it is ' || o.status || ', with '"
            " || (SELECT count(*) FROM returns r WHERE r.order_id = o.id) || ' returns and '"
            " || (SELECT count(*) FROM tickets t WHERE t.order_id = o.id AND t.status = 'active')"
            " || ' active tickets'"
            " FROM orders o WHERE o.show_id = ANY(:shows) AND ("
            " (o.status = 'returned') <> EXISTS (SELECT FROM returns r WHERE r.order_id = o.id)"
            " OR EXISTS (SELECT FROM tickets t WHERE t.order_id = o.id"
            " AND t.status = CASE o.status WHEN 'returned' THEN 'active' ELSE 'returned' END))"
        ),
    ),
    _Rule(
        "return-entry-differs",
        text(
            "SELECT o.show_id, 'order ' || o.id, 'it is ' || o.status || ' and has '"
            " || count(DISTINCT e.id) FILTER (WHERE e.kind = 'return') || ' return entries, which'"
            " || ' leave ' || coalesce(sum(abs(p.rest)), 0) || ' of its sale'"
            " FROM orders o LEFT JOIN journal_entries e ON e.order_id = o.id"
            " LEFT JOIN LATERAL (SELECT sum(p.amount) AS rest FROM journal_entries x"
            " JOIN postings p ON p.entry_id = x.id WHERE x.order_id = o.id AND e.kind = 'return'"
            " GROUP BY p.account, p.currency HAVING sum(p.amount) <> 0) p ON true"
            " WHERE o.show_id = ANY(:shows) GROUP BY o.show_id, o.id, o.status"
            " HAVING count(DISTINCT e.id) FILTER (WHERE e.kind = 'return')"
            " <> CASE o.status WHEN 'returned' THEN 1 ELSE 0 END OR sum(abs(p.rest)) > 0"
        ),
    ),
    _Rule(
        "refund-missing",
        text(
            "SELECT o.show_id, 'order ' || o.id, 'it is ' || o.status || ' and was for ' || o.total"
            " || ' ' || o.currency || '; asked to be paid back: '"
            " || coalesce(q.amount || ' ' || q.currency, 'nothing')"
            " FROM orders o LEFT JOIN refund_requests q ON q.order_id = o.id"
            " WHERE o.show_id = ANY(:shows) AND o.status IN ('conflict', 'returned')"
            " AND o.total > 0"
            " AND (q.order_id IS NULL OR q.amount <> o.total OR q.currency <> o.currency)"
        ),
    ),
    _Rule(
        "facts-differ",
        # What was recorded before the log's oldest fact can't be held against it.
        text(
            "WITH told AS (SELECT f.show_id, right(f.object, 32) AS hex,"
            " count(*) FILTER (WHERE f.type = 'order.confirmed') AS confirmed,"
            " count(*) FILTER (WHERE f.type = 'seats.sold') AS sold,"
            " count(*) FILTER (WHERE f.type = 'order.cancelled') AS cancelled,"
            " count(*) FILTER (WHERE f.type = 'seats.returned') AS returned,"
            " count(*) FILTER (WHERE f.type = 'order.failed') AS failed FROM facts f"
            " WHERE f.show_id = ANY(:shows) AND f.type IN ('order.confirmed', 'seats.sold',"
            " 'order.cancelled', 'seats.returned', 'order.failed') AND f.reseller_id IN"
            " (SELECT reseller_id FROM shows WHERE id = ANY(:shows)) GROUP BY 1, 2),"
            " known AS (SELECT o.show_id, replace(o.id::text, '-', '') AS hex, o.status,"
            " o.recorded_at > coalesce(h.forgotten_until, '-infinity') AS is_kept,"
            " coalesce(r.at > coalesce(h.forgotten_until, '-infinity'), false) AS return_is_kept"
            " FROM orders o LEFT JOIN returns r ON r.order_id = o.id"
            " LEFT JOIN fact_horizons h ON h.reseller_id = o.reseller_id"
            " WHERE o.show_id = ANY(:shows)),"
            " both_sides AS (SELECT show_id, hex, status, is_kept, return_is_kept,"
            " coalesce(confirmed, 0) AS confirmed, coalesce(sold, 0) AS sold,"
            " coalesce(cancelled, 0) AS cancelled, coalesce(returned, 0) AS returned,"
            " coalesce(failed, 0) AS failed FROM known FULL JOIN told USING (show_id, hex))"
            " SELECT show_id, 'order ' || hex, 'it is ' || coalesce(status, 'not in the ledger')"
            " || ', and was told to be confirmed ' || confirmed || ', sold ' || sold"
            " || ', cancelled ' || cancelled || ', returned ' || returned || ', failed ' || failed"
            " || ' times' FROM both_sides"
            " WHERE greatest(confirmed, sold, cancelled, returned) > 1"
            " OR (coalesce(status, 'conflict') = 'conflict' AND confirmed + sold > 0)"
            " OR (is_kept AND status = 'conflict' AND failed = 0)"
            " OR (is_kept AND status <> 'conflict' AND (confirmed <> 1 OR sold <> 1))"
            " OR (status = 'confirmed' AND cancelled + returned > 0)"
            " OR (return_is_kept AND (cancelled <> 1 OR returned <> 1))"
        ),
    ),
    _Rule(
        "row-of-another",
        text(
            "SELECT o.show_id, kind || ' of order ' || o.id, 'reseller ' || x.reseller_id"
            " || ' and show ' || coalesce(x.show_id::text, '(none)') || ' are not its order''s'"
            " FROM orders o JOIN ("
            " SELECT 'ticket' AS kind, order_id, reseller_id, show_id FROM tickets"
            " UNION ALL SELECT 'line', order_id, reseller_id, show_id FROM order_lines"
            " UNION ALL SELECT 'entry', order_id, reseller_id, show_id FROM journal_entries"
            " UNION ALL SELECT 'return', order_id, reseller_id, show_id FROM returns"
            " UNION ALL SELECT 'refund request', order_id, reseller_id, show_id"
            " FROM refund_requests"
            " UNION ALL SELECT 'posting', e.order_id, p.reseller_id, e.show_id"
            " FROM postings p JOIN journal_entries e ON e.id = p.entry_id"
            ") x ON x.order_id = o.id JOIN shows s ON s.id = o.show_id"
            " WHERE o.show_id = ANY(:shows) AND (x.reseller_id <> o.reseller_id"
            " OR x.show_id <> o.show_id OR o.reseller_id <> s.reseller_id)"
        ),
    ),
)

CHECKS: Final = tuple(rule.check for rule in _RULES)


async def judge_books(connection: AsyncConnection, shows: Sequence[int]) -> list[Finding]:
    """Return what is wrong with these shows' orders and journal, by the ledger alone."""
    found: list[Finding] = []
    for rule in _RULES:
        rows = await connection.execute(rule.query, {"shows": list(shows)})
        found += [Finding(show, rule.check, subject, says) for show, subject, says in rows]
    return found
