-- Holds as the batch sees them. A hold whose deadline has passed ends as soon as it is seen.
local KEPT_AFTER_DEADLINE_MS = 600000

local function put_record(view, id, record)
  view.records[id] = record
  view.changed_records[id] = true
end

local function count_tickets(seats, areas)
  local count = #seats
  for _, area in ipairs(areas) do
    count = count + area[2]
  end
  return count
end

-- Whether the store holds what a live hold's record says; if not, the show must be recovered.
local function has_its_places(view, record)
  for _, position in ipairs(record.seats) do
    if seat_state(view, position) ~= HELD then
      view.inconsistent = true
      return false
    end
  end
  for _, area in ipairs(record.areas) do
    if view_area(view, area[1]).held < area[2] then
      view.inconsistent = true
      return false
    end
  end
  return true
end

-- Puts a record's seats into a state, and moves its places from one state to another.
local function move_record(view, record, state, from, to)
  for _, position in ipairs(record.seats) do
    set_seat(view, position, state)
  end
  for _, area in ipairs(record.areas) do
    move_places(view, area[1], from, to, area[2])
  end
end

-- Gives a live hold's seats and places back and leaves a tombstone.
-- Returns false, and changes nothing, when the store does not hold what the record says.
local function end_hold(view, id, record, state)
  if not has_its_places(view, record) then
    return false
  end
  move_record(view, record, OPEN, 'held', 'open')
  count_held(view, record.buyer, -count_tickets(record.seats, record.areas))
  put_record(view, id, {
    state = state, deadline = record.deadline + KEPT_AFTER_DEADLINE_MS, fp = record.fp,
  })
  if state == EXPIRED then
    view.expired[#view.expired + 1] = id
  end
  return true
end

local function view_record(view, id)
  local record = view.records[id]
  if record == nil then
    record = redis.call('HGET', view.key_of.holds, id)
  end
  if type(record) == 'string' then
    record = decode_record(record)
  end
  view.records[id] = record
  if record and record.state == LIVE and record.deadline <= view.now then
    end_hold(view, id, record, EXPIRED)
    record = view.records[id]
  end
  local is_tombstone = record and (record.state == RELEASED or record.state == EXPIRED)
  if is_tombstone and record.deadline <= view.now then
    put_record(view, id, false) -- its time is over: the key is new
  end
  return view.records[id]
end

-- Ends up to `count` more overdue holds, oldest first; never more than sweep_max in a batch.
-- Returns whether there were any.
local function sweep_overdue(view, count)
  count = math.min(count, view.sweep_max - view.swept)
  if count <= 0 or view.swept_all then
    return false
  end
  local overdue = redis.call(
    'ZRANGEBYSCORE', view.key_of.expiry, '-inf', view.now,
    'LIMIT', view.swept, count
  )
  if #overdue < count then
    view.swept_all = true
  end
  view.swept = view.swept + #overdue
  for _, id in ipairs(overdue) do
    view_record(view, id)
  end
  return #overdue > 0
end
