--[[
Counts a show's places by how they stand, for the waiting room's controller.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV: 1 msgpack {{{from, to}, ...}, {area, ...}}: of which places are not for everybody
Returns:
  {'no-show'}                         the store does not have it
  {'counted', open, held, not for all} seats and places in areas; the last is a part of the open ones
Facts: none.
--]]
local seats, meta_key = redis.call('GET', KEYS[1]) or '', KEYS[7]
if redis.call('EXISTS', meta_key) == 0 then
  return { 'no-show' }
end
local ranges, shares = unpack(cmsgpack.unpack(ARGV[1]), 1, 2)
local _, open = string.gsub(seats, 'o', '')
local _, held = string.gsub(seats, 'h', '')
local apart = 0
for _, range in ipairs(ranges) do
  local _, count = string.gsub(string.sub(seats, range[1] + 1, range[2]), 'o', '')
  apart = apart + count
end
local areas = redis.call('HGETALL', KEYS[2])
local is_share = {}
for _, area in ipairs(shares) do
  is_share[string.format('%d', area)] = true
end
for i = 1, #areas, 2 do
  local area = cmsgpack.unpack(string.sub(areas[i + 1], 2))
  open, held = open + area[1], held + area[2]
  if is_share[areas[i]] then
    apart = apart + area[1]
  end
end
return { 'counted', open, held, apart }
