--[[
One step of the controller: fills the stock of passes, moves `serving`, and tells how the queue stands.

Only its holder fills the stock, and only for time that it has measured by its own clock while it
was the holder: so two of them, a late one or a stepped clock give out nothing twice. A holder that
makes no step for a while is replaced by who has seen that, by a clock of its own too.

KEYS: 1 queue, 2 queue_passes, 3 queue_buyers, 4 queue_used, 5 queue_waiting, 6 queue_seen
ARGV: 1 msgpack {epoch, step, passes to add, passes that the stock may have, serving, ceiling
      of the numbers, ms for which a claimant is waited for, {field, value, ...}}; a holder's steps
      count up,
      2 the holder's name, 3 the holder to replace and its last step (`<name> <step>`), or empty
Returns msgpack, in order of precedence:
  {'fenced'}               the queue is not open on this server
  {'stale', epoch}         another recovery has opened it
  {'held', '<name> <step>'}  another controller is the holder, and this was its last step
  {'late', step}           the holder has made a later step
  {'taken', ...}           this is the holder from now on; nothing was added. As steered
  {'steered', now ms, next, ceiling, serving, stock, issued, live passes, claimants who wait, claims,
   how far `serving` was beyond the claims' places, in all, count of entries or -1}
Facts: none.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include end_overdue_passes
local queue_key, passes_key, buyers_key, waiting_key, seen_key =
  KEYS[1], KEYS[2], KEYS[3], KEYS[5], KEYS[6]
local epoch, step, credit, stock_max, serving, ceiling, waited_for, fields =
  unpack(cmsgpack.unpack(ARGV[1]), 1, 8)
local holder, replaced = ARGV[2], ARGV[3]
local AT_ONCE = 1000

local meta = read_meta(queue_key, {
  'epoch', 'run_id', 'replid', 'time', 'holder', 'step', 'next', 'ceiling', 'serving', 'stock',
  'issued', 'claims', 'lag', 'count',
})
if not is_guarded(meta) then
  return cmsgpack.pack({ 'fenced' })
elseif tonumber(meta.epoch) ~= epoch then
  return cmsgpack.pack({ 'stale', tonumber(meta.epoch) })
end
local now = read_time(meta.time)
local status = 'steered'
if meta.holder ~= holder then
  local held = meta.holder .. ' ' .. meta.step
  if meta.holder ~= '' and held ~= replaced then
    return cmsgpack.pack({ 'held', held })
  end
  status, credit = 'taken', 0
elseif step <= tonumber(meta.step) then
  return cmsgpack.pack({ 'late', tonumber(meta.step) })
end

end_overdue_passes(passes_key, buyers_key, now, AT_ONCE)
local gone = redis.call('ZRANGEBYSCORE', seen_key, '-inf', now - waited_for, 'LIMIT', 0, AT_ONCE)
if #gone > 0 then
  redis.call('ZREM', seen_key, unpack(gone))
  redis.call('ZREM', waiting_key, unpack(gone))
end
local next_number = tonumber(meta.next)
local stock = math.min(tonumber(meta.stock) + credit, stock_max)
serving = math.max(tonumber(meta.serving), math.min(serving, next_number))
ceiling = math.max(tonumber(meta.ceiling), ceiling)

redis.call('HSET', queue_key, 'time', string.format('%d', now), 'holder', holder,
  'step', string.format('%d', step), 'stock', string.format('%.6f', stock),
  'serving', string.format('%d', serving), 'ceiling', string.format('%d', ceiling), unpack(fields))
local reply = {
  'steered', now, next_number, ceiling, serving, string.format('%.6f', stock),
  tonumber(meta.issued), redis.call('ZCARD', passes_key), redis.call('ZCARD', waiting_key),
  tonumber(meta.claims), tonumber(meta.lag), tonumber(meta.count) or -1,
}
reply[1] = status
return cmsgpack.pack(reply)
