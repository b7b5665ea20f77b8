--[[
Counts a show's places by how they stand, for the waiting room's controller.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV: none
Returns:
  {'no-show'}               the store does not have it
  {'counted', open, held}   seats and places in areas
Facts: none.
--]]
local seats, meta_key = redis.call('GET', KEYS[1]) or '', KEYS[7]
if redis.call('EXISTS', meta_key) == 0 then
  return { 'no-show' }
end
local _, open = string.gsub(seats, 'o', '')
local _, held = string.gsub(seats, 'h', '')
for _, packed in ipairs(redis.call('HVALS', KEYS[2])) do
  local area = cmsgpack.unpack(string.sub(packed, 2))
  open, held = open + area[1], held + area[2]
end
return { 'counted', open, held }
