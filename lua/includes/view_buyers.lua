-- A buyer as the batch sees them: tickets held and bought, and the deadline that all of their live
-- holds share (0 when they hold nothing). Packed in 8 bytes, or in 12 where a count needs more.
local NO_BUYER = '' -- who is known to have nothing
local NARROW, WIDE, NARROW_MAX = '>BBI6', '>I3I3I6', 255

local packed_buyers = {}

local function pack_buyer(held, bought, deadline)
  local format = (held <= NARROW_MAX and bought <= NARROW_MAX) and NARROW or WIDE
  if bought > 0 or held > NARROW_MAX then
    return struct.pack(format, held, bought, deadline)
  end
  -- Those who come together for the first time are alike.
  local of_deadline = packed_buyers[deadline]
  if not of_deadline then
    of_deadline = {}
    packed_buyers[deadline] = of_deadline
  end
  local packed = of_deadline[held]
  if not packed then
    packed = struct.pack(format, held, bought, deadline)
    of_deadline[held] = packed
  end
  return packed
end

-- Reads many buyers in one call: {name, ...}.
local function read_buyers(view, names)
  if #names > 0 then
    local packed = redis.call('HMGET', view.names.buyers, unpack(names))
    for i = 1, #names do
      view.buyers[names[i]] = packed[i] or NO_BUYER
    end
  end
end

local function view_buyer(view, name)
  local buyer = view.buyers[name]
  if buyer == nil then
    buyer = redis.call('HGET', view.names.buyers, name) or NO_BUYER
  end
  if type(buyer) == 'string' then
    local held, bought, deadline = 0, 0, 0
    if buyer ~= NO_BUYER then
      held, bought, deadline = struct.unpack(#buyer == 8 and NARROW or WIDE, buyer)
    end
    buyer = { held = held, bought = bought, deadline = deadline }
    view.buyers[name] = buyer
  end
  return buyer
end

local function encode_buyer(buyer)
  return pack_buyer(buyer.held, buyer.bought, buyer.deadline)
end

-- Counts tickets in or out of what a buyer holds.
local function count_held(view, name, change)
  local buyer = view_buyer(view, name)
  buyer.held = buyer.held + change
  if buyer.held == 0 then
    buyer.deadline = 0
  end
  view.changed_buyers[name] = true
end
