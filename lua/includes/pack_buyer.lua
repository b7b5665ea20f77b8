-- Packs a buyer: tickets held and bought, and the deadline that all of their live holds share (0 when
-- they hold nothing), in 8 bytes, or in 12 where a count needs more.
local NARROW, WIDE, NARROW_MAX = '>BBI6', '>I3I3I6', 255

local function pack_buyer(held, bought, deadline)
  local format = (held <= NARROW_MAX and bought <= NARROW_MAX) and NARROW or WIDE
  return struct.pack(format, held, bought, deadline)
end
