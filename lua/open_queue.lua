--[[
Opens a queue on this server: numbers go on from where PostgreSQL says that nobody has been.

What is known of passes stays; the stock starts empty, so that no pass is issued for time that a
server before this one may have given out already.

KEYS: 1 queue, 2 queue_passes, 3 queue_buyers, 4 queue_used, 5 queue_waiting, 6 queue_seen
ARGV: 1 msgpack {epoch, next, {field, value, ...}}
Returns msgpack, in order of precedence:
  {'superseded', stored epoch}  a later recovery has opened it
  {'opened', now ms}
Facts: none.
--]]
--- include read_meta
--- include read_time
--- include read_guard
local queue_key, waiting_key, seen_key = KEYS[1], KEYS[5], KEYS[6]
local epoch, next_number, fields = unpack(cmsgpack.unpack(ARGV[1]), 1, 3)

local meta = read_meta(queue_key, { 'epoch', 'time', 'issued', 'claims', 'lag' })
local stored = tonumber(meta.epoch)
if stored and stored >= epoch then
  return cmsgpack.pack({ 'superseded', stored })
end
local now = read_time(meta.time)
local run_id, replid = read_guard()
redis.call('UNLINK', waiting_key, seen_key)
redis.call('HSET', queue_key, 'epoch', string.format('%d', epoch), 'run_id', run_id,
  'replid', replid, 'time', string.format('%d', now), 'next', string.format('%d', next_number),
  'stock', '0', 'holder', '', 'issued', meta.issued or '0',
  'claims', meta.claims or '0', 'lag', meta.lag or '0', 'step', '0', unpack(fields))
return cmsgpack.pack({ 'opened', now })
