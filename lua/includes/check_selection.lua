-- Checks the shape of what a command selects. Returns the count of tickets, or nil if malformed.
local INTEGER_MAX = 2 ^ 53
local POSITION_MAX = 1000000

local function is_count(value, least)
  return type(value) == 'number' and value >= least and value < INTEGER_MAX and value % 1 == 0
end

local function is_position(value)
  return is_count(value, 0) and value < POSITION_MAX
end

-- A list without gaps: a nil inside would end a walk through it too early.
local function is_list(value)
  if type(value) ~= 'table' then
    return false
  end
  local count = 0
  for _ in pairs(value) do
    count = count + 1
  end
  for i = 1, count do
    if value[i] == nil then
      return false
    end
  end
  return true
end

local function is_pair(value)
  return is_list(value) and #value == 2 and is_position(value[1]) and is_count(value[2], 1)
end

local function check_selection(view, seats, areas, best)
  if not is_list(seats) or not is_list(areas) or not is_list(best) then
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
    if not is_pair(pair) or seen[pair[1]] or not view_area(view, pair[1]) then
      return nil
    end
    seen[pair[1]] = true
    count = count + pair[2]
  end
  for _, pair in ipairs(best) do
    if not is_pair(pair) or not view.levels[pair[1]] then
      return nil
    end
    count = count + pair[2]
  end
  return count > 0 and count or nil
end
