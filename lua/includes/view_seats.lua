-- Seats as the batch sees them: what the store holds, with the earlier commands' changes on top.
local function seat_state(view, position)
  local state = view.seats[position]
  if state then
    return state
  end
  for i = 1, #view.spans do
    local span = view.spans[i]
    local offset = position - span.from
    if offset >= 0 and offset < #span.text then
      return string.byte(span.text, offset + 1)
    end
  end
  return string.byte(redis.call('GETRANGE', view.key_of.seats, position, position))
end

local function set_seat(view, position, state)
  if view.before[position] == nil then
    view.before[position] = seat_state(view, position)
  end
  view.seats[position] = state
  if view.searches then
    view.log[#view.log + 1] = position
  end
  if state == OPEN then
    view.opened[#view.opened + 1] = position
    for _, part in pairs(view.parts) do
      part.cursors = {}
    end
    if next(view.misses) then
      view.misses, view.misses_changed = {}, true
    end
  end
end
