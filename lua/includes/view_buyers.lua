-- A buyer as the batch sees them: tickets held and bought, and the deadline that all of their live
-- holds share (0 when they hold nothing).
local function view_buyer(view, name)
  local buyer = view.buyers[name]
  if buyer == nil then
    local packed = redis.call('HGET', view.names.buyers, name)
    if packed then
      local f = cmsgpack.unpack(string.sub(packed, 2))
      buyer = { held = f[1], bought = f[2], deadline = f[3] }
    else
      buyer = { held = 0, bought = 0, deadline = 0 }
    end
    view.buyers[name] = buyer
  end
  return buyer
end

local function encode_buyer(buyer)
  return '\1' .. cmsgpack.pack({ buyer.held, buyer.bought, buyer.deadline })
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
