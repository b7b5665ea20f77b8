-- General admission areas as the batch sees them: counts of open, held, sold and blocked places.
local function view_area(view, index)
  local area = view.areas[index]
  if area == nil then
    local packed = redis.call('HGET', view.key_of.areas, index)
    if packed then
      local counts = cmsgpack.unpack(string.sub(packed, 2))
      area = { open = counts[1], held = counts[2], sold = counts[3], blocked = counts[4] }
      area.stored = packed
    else
      area = false
    end
    view.areas[index] = area
  end
  return area
end

local function encode_area(area)
  return '\1' .. cmsgpack.pack({ area.open, area.held, area.sold, area.blocked })
end

-- Moves places from one state to another.
local function move_places(view, index, from, to, count)
  local area = view_area(view, index)
  area[from] = area[from] - count
  area[to] = area[to] + count
  view.changed_areas[index] = true
end

-- Returns what to write of the areas that changed, and what to tell of them.
local function list_changed_areas(view)
  local writes, deltas = {}, {}
  for index in pairs(view.changed_areas) do
    local area = view.areas[index]
    local packed = encode_area(area)
    if packed ~= area.stored then
      writes[#writes + 1] = index
      writes[#writes + 1] = packed
      deltas[#deltas + 1] = { index, area.open, area.held, area.sold, area.blocked }
    end
  end
  return writes, deltas
end
