--[[
Says in a show's meta that sold places of it go back on sale, so that no process refuses them from
memory any more; and later that every process knows.

KEYS: 7 meta (the batch's keys are passed whole: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers,
      6 keys, 7 meta, 8 sales, 9 deltas)
ARGV: 1 epoch, 2 what to say: told, or known
Returns, in order of precedence:
  {'fenced'}, {'stale'}   the show is not open, or is in another epoch
  {'untold'}              known is to be said of what was never told
  {'said', what was said before, or ''}
Facts: none.
--]]
--- include read_meta
--- include refuse_batch
local meta_key, epoch, word = KEYS[7], tonumber(ARGV[1]), ARGV[2]

local meta = read_meta(meta_key, {
  'state', 'epoch', 'version', 'run_id', 'replid', 'returning',
})
local refusal = refuse_batch(meta, 0, epoch, tonumber(meta.version), math.huge)
if refusal then
  return { refusal }
end
local before = meta.returning or ''
if word == 'known' and before == '' then
  return { 'untold' }
end
if before ~= 'known' then
  redis.call('HSET', meta_key, 'returning', word)
end
return { 'said', before }
