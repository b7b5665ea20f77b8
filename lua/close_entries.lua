--[[
Closes the pre-queue: says once how many entries there are. Who joins from now on comes after them.

KEYS: 1 queue, 2 queue_passes, 3 queue_buyers, 4 queue_used, 5 queue_waiting, 6 queue_seen
ARGV: 1 epoch
Returns msgpack, in order of precedence:
  {'fenced'}            the queue is not open on this server
  {'stale', epoch}      another recovery has opened it
  {'closed', entries}   also when it was closed before
Facts: none.
--]]
--- include read_meta
--- include refuse_batch
local queue_key, epoch = KEYS[1], tonumber(ARGV[1])

local meta = read_meta(queue_key, { 'epoch', 'run_id', 'replid', 'next', 'count' })
if not is_guarded(meta) then
  return cmsgpack.pack({ 'fenced' })
elseif tonumber(meta.epoch) ~= epoch then
  return cmsgpack.pack({ 'stale', tonumber(meta.epoch) })
end
local count = meta.count or meta.next
redis.call('HSET', queue_key, 'count', count)
return cmsgpack.pack({ 'closed', tonumber(count) })
