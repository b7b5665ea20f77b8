--[[
Puts a returned order's seats and places on sale again, once.

The ledger numbers a show's returns, and each is applied right after the one before it. So there is
no deadline: a call that comes late is as good as one in time, and one that comes again has passed.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV: 1 msgpack {epoch, inventory version, return number, buyer, {seat, ...}, {seat of these that
      the house withholds, ...}, {{area, places, how many of the area the house withholds}, ...}},
      2 hold id of the order
Returns msgpack, in order of precedence:
  {'fenced'}, {'stale'}
  {'passed', last applied}  it was applied before, or is in what a recovery has opened
  {'gap', last applied}     an earlier return comes first
  {'inconsistent'}          what the ledger took back is not sold here: the show must be recovered
  {'returned', now ms}
Facts: seat and area changes to deltas.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include call_in_chunks
--- include states
--- include pack_live_head
--- include pack_buyer
--- include records
--- include view_areas
--- include view_buyers
local key_of = {
  seats = KEYS[1], areas = KEYS[2], holds = KEYS[3], buyers = KEYS[5], meta = KEYS[7],
  deltas = KEYS[9],
}
local epoch, version, number, name, seats, withheld, areas =
  unpack(cmsgpack.unpack(ARGV[1]), 1, 7)
local hold = ARGV[2]
local DELTAS_KEPT = 10000

local meta = read_meta(key_of.meta, {
  'state', 'epoch', 'version', 'run_id', 'replid', 'time', 'return_no',
})
local now = read_time(meta.time)
local refusal = refuse_batch(meta, now, epoch, version, math.huge)
if refusal then
  return cmsgpack.pack({ refusal })
end
local applied = tonumber(meta.return_no) or 0
if number <= applied then
  return cmsgpack.pack({ 'passed', applied })
elseif number > applied + 1 then
  return cmsgpack.pack({ 'gap', applied })
end

local view = { key_of = key_of, areas = {}, changed_areas = {}, buyers = {} }
local stored = redis.call('HGET', key_of.holds, hold)
local record = stored and decode_record(stored)
local is_sold = record and record.state == PURCHASED and not record.returned
local count = #seats
for _, position in ipairs(seats) do
  local state = redis.call('GETRANGE', key_of.seats, position, position)
  is_sold = is_sold and state == string.char(SOLD)
end
for _, place in ipairs(areas) do
  local area = view_area(view, place[1])
  is_sold = is_sold and area and area.sold >= place[2]
  count = count + place[2]
end
local buyer = view_buyer(view, name)
if not is_sold or buyer.bought < count then
  return cmsgpack.pack({ 'inconsistent' })
end

local writes, deltas, is_withheld = {}, {}, {}
for _, position in ipairs(withheld) do
  is_withheld[position] = true
end
for _, position in ipairs(seats) do
  local state, n = is_withheld[position] and BLOCKED or OPEN, #writes
  writes[n + 1], writes[n + 2] = 'SET', 'u8'
  writes[n + 3], writes[n + 4] = string.format('#%d', position), state
  deltas[#deltas + 1], deltas[#deltas + 2] = position, state
end
for _, place in ipairs(areas) do
  local index, places, of_house = place[1], place[2], place[3]
  local short = math.max(0, of_house - view_area(view, index).blocked)
  local kept = math.min(places, short) -- withheld while they were sold
  move_places(view, index, 'sold', 'open', places - kept)
  move_places(view, index, 'sold', 'blocked', kept)
end
buyer.bought = buyer.bought - count
record.returned, record.packed = true, nil

local area_writes, area_deltas = list_changed_areas(view)
redis.call(
  'XADD', key_of.deltas, 'MAXLEN', '~', DELTAS_KEPT, string.format('%d-*', epoch),
  'd', cmsgpack.pack({ 2, now, deltas, area_deltas, {} })
)
call_in_chunks('BITFIELD', key_of.seats, writes, 4)
call_in_chunks('HSET', key_of.areas, area_writes, 2)
redis.call('HSET', key_of.holds, hold, encode_record(record))
if buyer.held + buyer.bought > 0 then
  redis.call('HSET', key_of.buyers, name, encode_buyer(buyer))
else
  redis.call('HDEL', key_of.buyers, name)
end
redis.call('HSET', key_of.meta, 'return_no', string.format('%d', number),
  'time', string.format('%d', now), 'misses', '')
return cmsgpack.pack({ 'returned', now })
