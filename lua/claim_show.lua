--[[
Claims a show for the recovery that committed this epoch: from here on every batch is fenced.

KEYS: 7 meta (the batch's keys are passed whole: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers,
      6 keys, 7 meta, 8 sales, 9 deltas)
ARGV: 1 epoch
Returns, in order of precedence:
  {'superseded', stored epoch}  a later recovery has claimed it
  {'claimed', highest time seen ms, now ms, inventory version that the store had}   0 for unknown
Facts: none.
--]]
--- include read_meta
--- include read_time
local meta_key, epoch = KEYS[7], tonumber(ARGV[1])

if redis.call('TYPE', meta_key).ok ~= 'hash' then
  redis.call('UNLINK', meta_key) -- absent, or spoilt: the ledger is the truth
end
local meta = read_meta(meta_key, { 'epoch', 'time', 'version' })
if meta.epoch and tonumber(meta.epoch) > epoch then
  return { 'superseded', tonumber(meta.epoch) }
end
local now = read_time(meta.time)
redis.call('HSET', meta_key, 'state', 'recovering', 'epoch', string.format('%d', epoch))
return { 'claimed', tonumber(meta.time) or 0, now, tonumber(meta.version) or 0 }
