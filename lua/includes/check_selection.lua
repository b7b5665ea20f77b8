-- Checks the shape of what a command selects. Returns the count of tickets, or nil if malformed.
local INTEGER_MAX = 2 ^ 53
local POSITION_MAX = 1000000

local function is_count(value, least)
  return type(value) == 'number' and value >= least and value < INTEGER_MAX and value % 1 == 0
end

local function is_position(value)
  return is_count(value, 0) and value < POSITION_MAX
end

-- Returns how many entries a list has, or nil for what is no list. Whoever walks through it must
-- refuse a nil: then its entries are all there is.
local function length(value)
  if type(value) ~= 'table' then
    return nil
  end
  local count = 0
  for _ in next, value do
    count = count + 1
  end
  return count == #value and count or nil
end

local function is_pair(value)
  return length(value) == 2 and is_position(value[1]) and is_count(value[2], 1)
end

local function are_seats(view, seats, count)
  local seen = {}
  for i = 1, count do
    local position = seats[i]
    if not is_position(position) or seen[position] then
      return false
    end
    seen[position] = true
    local state = seat_state(view, position)
    if state ~= OPEN and state ~= HELD and state ~= SOLD and state ~= BLOCKED then
      return false -- a separator, or beyond the end
    end
  end
  return true
end

local function check_selection(view, seats, areas, best)
  local count, areas_count, best_count = length(seats), length(areas), length(best)
  if not count or not areas_count or not best_count or not are_seats(view, seats, count) then
    return nil
  end
  if areas_count > 0 then
    local seen = {}
    for i = 1, areas_count do
      local pair = areas[i]
      if not is_pair(pair) or seen[pair[1]] or not view_area(view, pair[1]) then
        return nil
      end
      seen[pair[1]] = true
      count = count + pair[2]
    end
  end
  for i = 1, best_count do
    local pair = best[i]
    if not is_pair(pair) or not view.levels[pair[1]] then
      return nil
    end
    count = count + pair[2]
  end
  return count > 0 and count or nil
end
