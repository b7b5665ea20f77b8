--[[
Claims a show for the recovery that committed this epoch: from here on every batch is fenced.

KEYS: 7 meta (the batch's keys are passed whole: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers,
      6 keys, 7 meta, 8 sales, 9 deltas)
ARGV: 1 epoch
Returns, in order of precedence:
  {'superseded', stored epoch}  a later recovery has claimed it
  {'claimed', highest time seen ms, now ms, inventory version that the store had, return number that
   it had, epoch that it was open under, stream id of the last sale, live holds}
                                0 or '' for unknown; epoch and what follows it also where a record of
                                a hold that is scheduled can't be read
Facts: none.
--]]
--- include read_meta
--- include read_time
--- include states
local holds_key, expiry_key, meta_key, sales_key = KEYS[3], KEYS[4], KEYS[7], KEYS[8]
local epoch = tonumber(ARGV[1])
local RECORD_FORMAT, AT_ONCE = 32, 4000
-- Live holds: plain, replaced, of a bundle, about to be purchased with it; see includes/records.lua.
local LIVE_STATES = { [LIVE] = true, [5] = true, [7] = true, [8] = true }

-- Counts the live holds among those that are scheduled; raises where one is not as it should be.
local function count_live()
  local ids = redis.call('ZRANGE', expiry_key, 0, -1)
  local live = 0
  for from = 1, #ids, AT_ONCE do
    local to = math.min(from + AT_ONCE - 1, #ids)
    for _, packed in ipairs(redis.call('HMGET', holds_key, unpack(ids, from, to))) do
      local state = string.byte(packed) - RECORD_FORMAT
      if LIVE_STATES[state] then
        live = live + 1
      elseif state ~= RELEASED and state ~= EXPIRED then
        error('not a scheduled hold')
      end
    end
  end
  return live
end

local function last_sale()
  if redis.call('EXISTS', sales_key) == 0 then
    return ''
  end
  local info = redis.call('XINFO', 'STREAM', sales_key)
  for i = 1, #info, 2 do
    if info[i] == 'last-generated-id' then
      return info[i + 1]
    end
  end
  error('a stream without an id')
end

if redis.call('TYPE', meta_key).ok ~= 'hash' then
  redis.call('UNLINK', meta_key) -- absent, or spoilt: the ledger is the truth
end
local meta = read_meta(meta_key, { 'state', 'epoch', 'time', 'version', 'return_no' })
if meta.epoch and tonumber(meta.epoch) > epoch then
  return { 'superseded', tonumber(meta.epoch) }
end
local open_under, sale, live = 0, '', 0
if meta.state == 'open' then
  -- What raises is spoilt, and built anew.
  local is_read, found_live = pcall(count_live)
  local is_told, found_sale = pcall(last_sale)
  if is_read and is_told then
    open_under, sale, live = tonumber(meta.epoch) or 0, found_sale, found_live
  end
end
local now = read_time(meta.time)
redis.call('HSET', meta_key, 'state', 'recovering', 'epoch', string.format('%d', epoch))
return {
  'claimed', tonumber(meta.time) or 0, now, tonumber(meta.version) or 0,
  tonumber(meta.return_no) or 0, open_under, sale, live,
}
