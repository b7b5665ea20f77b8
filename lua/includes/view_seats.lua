-- Seats as the batch sees them: what the store holds, with the earlier commands' changes on top.
local function seat_state(view, position)
  local state = view.seats[position]
  if state then
    return state
  end
  local offset = position - view.span_from
  if offset >= 0 and offset < #view.span then
    return string.byte(view.span, offset + 1)
  end
  return string.byte(redis.call('GETRANGE', view.key_of.seats, position, position))
end

local function log_seat(view, position)
  view.log[#view.log + 1] = position
end

local function set_seat(view, position, state)
  if view.before[position] == nil then
    view.before[position] = seat_state(view, position)
  end
  view.seats[position] = state
  if view.searches then
    log_seat(view, position)
  end
  if state == OPEN then
    view.resume = {}
    if next(view.misses) then
      view.misses, view.misses_changed = {}, true
    end
  end
end
