--[[
Reads the seat map, the areas and the sequence number in one moment.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV: 1 epoch, 2 inventory version
Returns, in order of precedence:
  {'fenced'}, {'stale'}
  {'ok', now ms, seats, sequence number, {index, packed counts, ...}}
Facts: none; writes nothing.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
local seats_key, areas_key, meta_key, deltas_key = KEYS[1], KEYS[2], KEYS[7], KEYS[9]
local epoch, version = tonumber(ARGV[1]), tonumber(ARGV[2])

local meta = read_meta(meta_key, { 'state', 'epoch', 'version', 'run_id', 'replid', 'time' })
local now = read_time(meta.time)
local refusal = refuse_batch(meta, now, epoch, version, math.huge)
if refusal then
  return { refusal }
end
local last = redis.call('XREVRANGE', deltas_key, '+', '-', 'COUNT', 1)
return {
  'ok', now, redis.call('GET', seats_key), last[1] and last[1][1] or '0-0',
  redis.call('HGETALL', areas_key),
}
