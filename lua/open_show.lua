--[[
Opens a show with what a recovery has built: the only script that writes the guard.

What is built stands beside the live keys, under names of this epoch, and takes their place here.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas,
      10 to 15 what was built of 1 to 6
ARGV: 1 epoch, 2 a list of meta's field, value, ..., packed as msgpack
Returns, in order of precedence:
  {'superseded', stored epoch}   a later recovery has claimed it
  {'unclaimed'}                  the store lost the claim: start again
  {'incomplete'}                 the store lost what was built: start again
  {'opened', now ms}
Facts: show_opened to deltas, so that there is always a last sequence number.
--]]
--- include read_meta
--- include read_time
--- include read_guard
local BUILT = 6
local meta_key, deltas_key = KEYS[7], KEYS[9]
local epoch, fields = tonumber(ARGV[1]), cmsgpack.unpack(ARGV[2])

local meta = read_meta(meta_key, { 'epoch', 'state', 'time' })
local stored = tonumber(meta.epoch)
if stored and stored > epoch then
  return { 'superseded', stored }
end
if stored ~= epoch or meta.state ~= 'recovering' then
  return { 'unclaimed' }
end
if redis.call('EXISTS', KEYS[10]) == 0 then
  return { 'incomplete' }
end
local now = read_time(meta.time)
local run_id, replid = read_guard()

redis.call('XADD', deltas_key, string.format('%d-*', epoch), 'd',
  cmsgpack.pack({ 2, now, {}, {}, {} }))
for i = 1, BUILT do
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
