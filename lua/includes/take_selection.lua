-- Takes open seats and places for a hold: all or nothing. Before it refuses, it sweeps on, since
-- an overdue hold no longer stands in anybody's way.
-- Returns the seats taken, or nil and the refusal: seats-taken, area-short or none-together.
local SWEEP_ON = 64

-- Both return nil when nothing stands in the way.
local function list_taken(view, seats)
  local taken
  for i = 1, #seats do
    if seat_state(view, seats[i]) ~= OPEN then
      taken = taken or {}
      taken[#taken + 1] = seats[i]
    end
  end
  return taken
end

local function list_short(view, areas)
  local short
  for i = 1, #areas do
    local index, count = areas[i][1], areas[i][2]
    local open = view_area(view, index).open
    if open < count then
      short = short or {}
      short[#short + 1] = { index, open }
    end
  end
  return short
end

local function take_selection(view, seats, areas, best)
  local taken = list_taken(view, seats)
  while taken and sweep_overdue(view, SWEEP_ON) do
    taken = list_taken(view, seats)
  end
  if taken then
    return nil, { 'seats-taken', taken }
  end
  local short = list_short(view, areas)
  while short and sweep_overdue(view, SWEEP_ON) do
    short = list_short(view, areas)
  end
  if short then
    return nil, { 'area-short', short }
  end

  for i = 1, #seats do
    set_seat(view, seats[i], HELD)
  end
  if #best == 0 then
    for _, pair in ipairs(areas) do
      move_places(view, pair[1], 'open', 'held', pair[2])
    end
    return seats
  end
  local all = { unpack(seats) }
  for _, pair in ipairs(best) do
    local first = find_together(view, pair[1], pair[2])
    while not first and sweep_overdue(view, SWEEP_ON) do
      first = find_together(view, pair[1], pair[2])
    end
    if not first then
      for _, position in ipairs(all) do
        set_seat(view, position, OPEN)
      end
      return nil, { 'none-together', pair[1], pair[2] }
    end
    for position = first, first + pair[2] - 1 do
      set_seat(view, position, HELD)
      all[#all + 1] = position
    end
  end
  for _, pair in ipairs(areas) do
    move_places(view, pair[1], 'open', 'held', pair[2])
  end
  return all
end
