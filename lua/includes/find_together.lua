-- Finds n neighbouring open seats of a price level: the first run, best first, that can give them
-- without leaving a single seat alone; if none can, the first run that has them.
local RUNS_LOOKED_AT_MAX = 256

-- Puts what opened since the last search into a level's text. What was taken stays in it as open:
-- that is looked up seat by seat where a run is found.
local function put_in_opened(view, part)
  local text, opened = part.text, {}
  for i = part.opened_seen + 1, #view.opened do
    local place = view.opened[i] - part.from + 1
    if place >= 1 and place <= #text then
      opened[#opened + 1] = place
    end
  end
  part.opened_seen = #view.opened
  table.sort(opened)
  local pieces, at = {}, 1
  for _, place in ipairs(opened) do
    if place >= at then
      pieces[#pieces + 1] = string.sub(text, at, place - 1) .. string.char(OPEN)
      at = place + 1
    end
  end
  part.text = table.concat(pieces) .. string.sub(text, at)
end

-- Returns a level's part of the seats: {from, text, ...}. It is read when it is first searched.
local function view_part(view, level)
  local part = view.parts[level]
  if not part then
    local from, to = math.huge, 0
    for _, range in ipairs(view.levels[level]) do
      from, to = math.min(from, range[1]), math.max(to, range[2])
    end
    local text = to > 0 and redis.call('GETRANGE', view.key_of.seats, from, to - 1) or ''
    part = { from = from, text = text, opened_seen = 0, cursors = {} }
    view.parts[level] = part
    view.spans[#view.spans + 1] = part
  end
  if part.opened_seen < #view.opened then
    put_in_opened(view, part)
  end
  return part
end

-- Returns how far searches for n in a part have come in this batch. The runs of n + 1 that they
-- passed over are kept in their order: when somebody takes a seat of one, it may fit n.
local function view_cursor(view, part, n)
  local cursor = part.cursors[n]
  local log = view.log
  if cursor then
    for i = cursor.seen + 1, #log do
      if cursor.seats[log[i]] then
        cursor = nil
        break
      end
    end
  end
  cursor = cursor or { range = 1, passed = {}, head = 1, seats = {}, clear_from = 0, clear_to = 0 }
  cursor.seen = #log
  part.cursors[n] = cursor
  return cursor
end

-- Returns the first position in [first, last] that is not open any more, or the one after.
local function first_closed(view, first, last)
  local seats, log = view.seats, view.log
  local closed = last + 1
  if last - first < #log then
    for position = first, last do
      if (seats[position] or OPEN) ~= OPEN then
        return position
      end
    end
  else -- a long run: what was changed is less
    for i = 1, #log do
      local position = log[i]
      if position >= first and position < closed and seats[position] ~= OPEN then
        closed = position
      end
    end
  end
  return closed
end

-- Returns the first and the last position of the next run of at least n open seats in [at, to).
local function next_run(view, part, cursor, at, to, n)
  local text, offset, seats = part.text, 1 - part.from, view.seats
  local pattern = string.rep('o', n)
  while at + n <= to do
    local found = string.find(text, pattern, at + offset, true)
    local first = found and found - offset or math.huge
    if first + n > to then
      -- Ranges follow each other mostly: what was searched beyond this one's end needs no second look.
      cursor.clear_from, cursor.clear_to = at, first + n - 1
      return nil
    end
    local _, last = string.find(text, '^o+', found)
    last = math.min(last - offset, to - 1)
    local closed = first_closed(view, first, last)
    if closed - first >= n then
      return first, closed - 1
    end
    at = closed + 1
    while at <= last and (seats[at] or OPEN) ~= OPEN do
      at = at + 1
    end
  end
  return nil
end

-- Returns where the segment of a row begins that has a position, but not before `from`.
local function segment_start(part, from, position)
  local size = 32
  while true do
    local start = math.max(from, position - size)
    local before = string.sub(part.text, start - part.from + 1, position - part.from)
    local separator = string.find(string.reverse(before), '|', 1, true)
    if separator then
      return position - separator + 1
    elseif start == from then
      return from
    end
    size = size * 8
  end
end

-- Returns where in a run of open seats, within a range, n are best taken: as near to the middle of
-- their row's segment as leaves no gap of one. Every run but one of n + 1 has such a place.
local function place_in_run(part, range, first, last, n)
  local spare = last - first + 1 - n
  if spare == 0 then
    return first
  end
  local left = segment_start(part, range[1], first)
  local separator = string.find(part.text, '|', last - part.from + 2, true)
  local right = math.min(separator and separator + part.from - 2 or range[2], range[2] - 1)
  local ideal = math.floor((left + right - n + 1) / 2) - first
  ideal = math.max(0, math.min(spare, ideal))
  for distance = 0, spare do
    for _, gap in ipairs({ ideal - distance, ideal + distance }) do
      if gap >= 0 and gap <= spare and gap ~= 1 and spare - gap ~= 1 then
        return first + gap
      end
    end
  end
  return first
end

-- Takes the first of the runs that were passed over.
local function fall_back(cursor, n)
  local first = cursor.passed[cursor.head]
  if first then
    cursor.head = cursor.head + 1
    for position = first, first + n do
      cursor.seats[position] = nil
    end
    if n == 1 then
      -- The seat that is left alone fits the next, unless somebody takes it before.
      cursor.alone, cursor.seats[first + 1] = first + 1, true
    end
  end
  return first
end

-- Returns the first position, or nil. What failed for n fails for more, until a seat opens.
local function find_together(view, level, n)
  local missed = view.misses[level]
  if missed and n >= missed then
    return nil
  end
  local part = view_part(view, level)
  local cursor = view_cursor(view, part, n)
  local alone = cursor.alone
  if alone then
    cursor.alone, cursor.seats[alone] = nil, nil
    return alone
  end
  local ranges, passed = view.levels[level], cursor.passed
  while cursor.range <= #ranges and #passed - cursor.head + 1 < RUNS_LOOKED_AT_MAX do
    local range = ranges[cursor.range]
    local at, to = cursor.at or range[1], range[2]
    local first, last
    if at < cursor.clear_from or to > cursor.clear_to then
      first, last = next_run(view, part, cursor, at, to, n)
    end
    if not first then
      cursor.range, cursor.at = cursor.range + 1, nil
    elseif last - first ~= n then
      cursor.at = first
      return place_in_run(part, range, first, last, n)
    else
      passed[#passed + 1], cursor.at = first, last + 1
      for position = first, last do
        cursor.seats[position] = true
      end
    end
  end
  local fallback = fall_back(cursor, n)
  if not fallback then
    view.misses[level], view.misses_changed = n, true
  end
  return fallback
end
