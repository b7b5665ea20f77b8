--[[
Reads the show's clock: its server's, never before the highest time that the show has seen.

KEYS: 7 meta (the batch's keys are passed whole: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers,
      6 keys, 7 meta, 8 sales, 9 deltas)
ARGV: none
Returns, in order of precedence:
  {'ok', now ms}
Facts: none; writes nothing.
--]]
--- include read_meta
--- include read_time
local meta_key = KEYS[7]

local meta = read_meta(meta_key, { 'time' })
return { 'ok', read_time(meta.time) }
