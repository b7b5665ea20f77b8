-- A buyer as the batch sees them: tickets held and bought, and the deadline that all of their live
-- holds share (0 when they hold nothing). Packed: a format byte, then those three.
local BUYER_PART = '>I3I3I6'

local function decode_buyer(packed)
  local held, bought, deadline
  if not packed then
    held, bought, deadline = 0, 0, 0
  elseif string.byte(packed) == 1 then -- the first format was one msgpack array
    held, bought, deadline = unpack(cmsgpack.unpack(string.sub(packed, 2)))
  else
    held, bought, deadline = struct.unpack(BUYER_PART, packed, 2)
  end
  return { held = held, bought = bought, deadline = deadline }
end

-- Reads many buyers in one call: {name, ...}.
local function read_buyers(view, names)
  if #names > 0 then
    for i, packed in ipairs(redis.call('HMGET', view.names.buyers, unpack(names))) do
      view.buyers[names[i]] = decode_buyer(packed)
    end
  end
end

local function view_buyer(view, name)
  local buyer = view.buyers[name]
  if not buyer then
    buyer = decode_buyer(redis.call('HGET', view.names.buyers, name))
    view.buyers[name] = buyer
  end
  return buyer
end

local function encode_buyer(buyer)
  return '\2' .. struct.pack(BUYER_PART, buyer.held, buyer.bought, buyer.deadline)
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
