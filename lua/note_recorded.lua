--[[
Notes how many of an epoch's sales the ledger has, for the bound on those that it has not.

What was recorded stays recorded, so the number only grows: a note that comes late, from a recorder
that was stopped or of an epoch that is over, changes nothing.

KEYS: 7 meta (the batch's keys are passed whole: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers,
      6 keys, 7 meta, 8 sales, 9 deltas)
ARGV: 1 epoch, 2 how many of its sales are recorded
Returns, in order of precedence:
  {'stale'}   the show is in another epoch, or the store does not know it
  {'noted', how many were sold in the epoch, how many of them are recorded}
Facts: none.
--]]
--- include read_meta
local meta_key, epoch, count = KEYS[7], tonumber(ARGV[1]), tonumber(ARGV[2])

local meta = read_meta(meta_key, { 'epoch', 'sold', 'recorded' })
if tonumber(meta.epoch) ~= epoch then
  return { 'stale' }
end
local recorded = tonumber(meta.recorded) or 0
if count > recorded then
  redis.call('HSET', meta_key, 'recorded', string.format('%d', count))
  recorded = count
end
return { 'noted', tonumber(meta.sold) or 0, recorded }
