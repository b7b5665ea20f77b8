--[[
Takes a show out of the store for good, once the ledger has all of it; a recovery brings it back.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas,
      10 queue, 11 queue-passes, 12 queue-buyers, 13 queue-used, 14 queue-waiting, 15 queue-seen
ARGV: 1 msgpack {epoch, inventory version, not_after ms, return number, n of the epoch's last sale
      that the ledger has (-1: none), epoch and n of the last delta that expired holds were told of}
Returns, in order of precedence:
  {'too-late'}, {'fenced'}, {'stale'}
  {'selling'}           it is on sale
  {'holds', deadline}   somebody holds places, until then at the latest (ms)
  {'unrecorded'}        the ledger lacks a sale
  {'unreturned'}        a return was not applied
  {'untold'}            of holds that expired it was not told yet
  {'archived', keys}    so many of its keys were there; none is now
Facts: none.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include states
local holds_key, expiry_key, meta_key, deltas_key = KEYS[3], KEYS[4], KEYS[7], KEYS[9]
local epoch, version, not_after, return_no, recorded, told_epoch, told_seq =
  unpack(cmsgpack.unpack(ARGV[1]), 1, 7)
local RECORD_FORMAT, AT_ONCE = 32, 4000
-- Live holds: plain, replaced, of a bundle, about to be purchased with it; see includes/records.lua.
local LIVE_STATES = { [LIVE] = true, [5] = true, [7] = true, [8] = true }

local meta = read_meta(meta_key, {
  'state', 'epoch', 'version', 'run_id', 'replid', 'time', 'sale_state', 'sold', 'return_no',
})

-- Returns the last deadline of a live hold, or nil.
local function last_deadline()
  local found
  local scheduled = redis.call('ZRANGE', expiry_key, 0, -1, 'WITHSCORES')
  for from = 1, #scheduled, 2 * AT_ONCE do
    local ids = {}
    local to = math.min(from + 2 * AT_ONCE - 1, #scheduled)
    for i = from, to, 2 do
      ids[#ids + 1] = scheduled[i]
    end
    for i, packed in ipairs(redis.call('HMGET', holds_key, unpack(ids))) do
      local state = packed and string.byte(packed) - RECORD_FORMAT
      if LIVE_STATES[state] then
        found = tonumber(scheduled[from + 2 * i - 1])
      end
    end
  end
  return found
end

-- Whether a delta after the last one that was told of says that holds expired.
local function is_untold()
  local after = string.format('(%d-%d', told_epoch, told_seq)
  if told_seq < 0 then
    after = string.format('%d-0', told_epoch)
  end
  for _, entry in ipairs(redis.call('XRANGE', deltas_key, after, '+')) do
    if entry[2][3] == 'e' then
      return true
    end
  end
  return false
end

local refusal = refuse_batch(meta, read_time(meta.time), epoch, version, not_after)
if refusal then
  return { refusal }
end
if meta.sale_state == 'on_sale' then
  return { 'selling' }
end
local deadline = last_deadline()
if deadline then
  return { 'holds', deadline }
end
if (tonumber(meta.sold) or 0) > recorded + 1 then
  return { 'unrecorded' }
end
if (tonumber(meta.return_no) or 0) ~= return_no then
  return { 'unreturned' }
end
if is_untold() then
  return { 'untold' }
end
return { 'archived', redis.call('UNLINK', unpack(KEYS)) }
