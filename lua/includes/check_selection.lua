-- Checks the shape of what a command selects. Returns the count of tickets, or nil if malformed.
local INTEGER_MAX = 2 ^ 53
local POSITION_MAX = 1000000

local function is_count(value, least)
  return type(value) == 'number' and value >= least and value < INTEGER_MAX and value % 1 == 0
end

local function is_position(value)
  return is_count(value, 0) and value < POSITION_MAX
end

local function check_selection(view, seats, areas, best)
  if type(seats) ~= 'table' or type(areas) ~= 'table' or type(best) ~= 'table' then
    return nil
  end
  local count, seen = #seats, {}
  for _, position in ipairs(seats) do
    if not is_position(position) or seen[position] then
      return nil
    end
    seen[position] = true
    local state = seat_state(view, position)
    if state ~= OPEN and state ~= HELD and state ~= SOLD and state ~= BLOCKED then
      return nil -- a separator, or beyond the end
    end
  end
  seen = {}
  for _, pair in ipairs(areas) do
    if type(pair) ~= 'table' or not is_position(pair[1]) or not is_count(pair[2], 1)
      or seen[pair[1]] or not view_area(view, pair[1]) then
      return nil
    end
    seen[pair[1]] = true
    count = count + pair[2]
  end
  for _, pair in ipairs(best) do
    if type(pair) ~= 'table' or not is_position(pair[1]) or not is_count(pair[2], 1)
      or not view.levels[pair[1]] then
      return nil
    end
    count = count + pair[2]
  end
  return count > 0 and count or nil
end
