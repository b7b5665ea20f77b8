--[[
Opens a show with what a recovery has built, or as it stands: the only script that writes the guard.

What is built stands beside the live keys, under names of this epoch, and takes their place here.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas,
      10 to 15 what was built of 1 to 6
ARGV: 1 epoch, 2 a list of meta's field, value, ..., packed as msgpack
      3 if it is to be opened as it stands, what the ledger has, packed as msgpack: {bytes of seats,
      areas, sold seats, blocked seats, sold places in areas, separators and seats taken out,
      places in areas}
Returns, in order of precedence:
  {'superseded', stored epoch}   a later recovery has claimed it
  {'unclaimed'}                  the store lost the claim: start again
  {'incomplete'}                 the store lost what was built: start again
  {'differs'}                    what stands is not what the ledger has: build it
  {'opened', now ms}
Facts: show_opened to deltas, so that there is always a last sequence number.
--]]
--- include read_meta
--- include read_time
--- include read_guard
local BUILT = 6
local meta_key, deltas_key = KEYS[7], KEYS[9]
local epoch, fields = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[2])
local expected = ARGV[3] ~= '' and cmsgpack.unpack(ARGV[3]) or nil

-- Raises where a key is not what it should be.
local function stands_as(bytes, areas, sold_seats, blocked_seats, sold_places, separators, places)
  local seats = redis.call('GET', KEYS[1]) or ''
  local _, sold = string.gsub(seats, 's', '')
  local _, blocked = string.gsub(seats, 'b', '')
  local _, closed = string.gsub(seats, '|', '')
  local counts = redis.call('HVALS', KEYS[2])
  local sold_in_areas, in_areas = 0, 0
  for _, packed in ipairs(counts) do
    local area = cmsgpack.unpack(string.sub(packed, 2))
    sold_in_areas = sold_in_areas + area[3]
    in_areas = in_areas + area[1] + area[2] + area[3] + area[4]
  end
  return #seats == bytes and #counts == areas and sold == sold_seats
    and blocked == blocked_seats and sold_in_areas == sold_places
    and closed == separators and in_areas == places
end

local meta = read_meta(meta_key, { 'epoch', 'state', 'time' })
local stored = tonumber(meta.epoch)
if stored and stored > epoch then
  return { 'superseded', stored }
end
if stored ~= epoch or meta.state ~= 'recovering' then
  return { 'unclaimed' }
end
if not expected and redis.call('EXISTS', KEYS[10]) == 0 then
  return { 'incomplete' }
end
if expected then
  local is_read, is_same = pcall(stands_as, unpack(expected, 1, 7))
  if not (is_read and is_same) then
    return { 'differs' }
  end
end
local now = read_time(meta.time)
local run_id, replid = read_guard()

redis.call('XADD', deltas_key, string.format('%d-*', epoch), 'd',
  cmsgpack.pack({ 2, now, {}, {}, {} }))
for i = 1, expected and 0 or BUILT do
  local built = KEYS[9 + i]
  if redis.call('EXISTS', built) == 1 then
    redis.call('RENAME', built, KEYS[i])
    redis.call('PERSIST', KEYS[i])
  else
    redis.call('UNLINK', KEYS[i])
  end
end
redis.call('HSET', meta_key, 'state', 'open', 'run_id', run_id, 'replid', replid,
  'time', string.format('%d', now), 'misses', '', 'sold', '0', 'recorded', '0', unpack(fields))
return { 'opened', now }
