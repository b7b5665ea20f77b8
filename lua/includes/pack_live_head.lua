-- Packs what a live hold's record begins with, see records.
local RECORD_FORMAT = 32 -- added to the state

local function pack_live_head(deadline, price_version)
  return struct.pack('>BI6I2', RECORD_FORMAT + LIVE, deadline, price_version)
end
