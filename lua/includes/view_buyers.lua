-- Buyers as the batch sees them: by name what the store has (false for who has nothing), or a table.
local function view_buyer(view, name)
  local buyer = view.buyers[name]
  if buyer == nil then
    buyer = redis.call('HGET', view.key_of.buyers, name)
  end
  if type(buyer) ~= 'table' then
    local held, bought, deadline = 0, 0, 0
    if buyer then
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
