-- Finds n neighbouring open seats of a price level: the first run, best first, that can give them
-- without leaving a single seat alone; if none can, the first run that has them.
-- A window of the seats string ends at a separator, so that no run of neighbours straddles two.
local WINDOW_SEATS = 1024
local RUNS_LOOKED_AT_MAX = 256

local function window_end(view, from, to)
  if to - from <= WINDOW_SEATS then
    return to
  end
  local separator =
    string.find(view.span, '|', from + WINDOW_SEATS - view.span_from + 1, true)
  return math.min(separator and separator + view.span_from or to, to)
end

-- Returns the text of [from, to), with what earlier commands changed there put in.
local function window_text(view, from, to)
  local window = view.windows[from]
  if not window or window.to ~= to then
    local offset = from - view.span_from
    window = { to = to, text = string.sub(view.span, offset + 1, to - view.span_from), seen = 0 }
    view.windows[from] = window
  end
  local log, i = view.log, window.seen + 1
  while i <= #log do
    -- Neighbours that changed one after the other are put in together.
    local first, state = log[i], view.seats[log[i]]
    local count = 1
    while log[i + count] == first + count and view.seats[first + count] == state do
      count = count + 1
    end
    i = i + count
    if first >= from and first + count <= to then
      local at = first - from + 1
      window.text = string.sub(window.text, 1, at - 1)
        .. string.rep(string.char(state), count)
        .. string.sub(window.text, at + count)
    elseif first < to and first + count > from then
      for position = math.max(first, from), math.min(first + count, to) - 1 do
        local at = position - from + 1
        window.text = string.sub(window.text, 1, at - 1)
          .. string.char(state)
          .. string.sub(window.text, at + 1)
      end
    end
  end
  window.seen = #log
  return window.text
end

-- Returns where in a run of `length` open seats, from `first`, n are best taken: as near to the
-- middle of their row's segment as leaves no gap of one. Every run but one of n + 1 has such a place.
local function place_in_run(text, first, length, n)
  local spare = length - n
  local before = string.find(string.reverse(string.sub(text, 1, first - 1)), '|', 1, true)
  local left = before and first - before + 1 or 1
  local right = (string.find(text, '|', first + length, true) or #text + 1) - 1
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

-- Returns the first position, or nil. What failed for n fails for more, until a seat opens; and
-- until then the windows in which nothing was found for n need no second look in this batch.
local function find_together(view, level, n)
  local missed = view.misses[level]
  if missed and n >= missed then
    return nil
  end
  local pattern = string.rep('o', n)
  local fallback
  local looked_at = 0
  local resume_key = level * 1000 + n
  local resume = view.resume[resume_key] or { range = 1 }
  view.resume[resume_key] = resume
  local ranges = view.levels[level]
  for i = resume.range, #ranges do
    local range_end = ranges[i][2]
    local from = i == resume.range and resume.from or ranges[i][1]
    while from < range_end do
      local to = window_end(view, from, range_end)
      local text = window_text(view, from, to)
      local first = string.find(text, pattern, 1, true)
      if not first and not fallback then
        resume.range, resume.from = i, to
      end
      while first do
        local _, last = string.find(text, '^o+', first)
        local length = last - first + 1
        if length ~= n + 1 then
          return from + place_in_run(text, first, length, n) - 1
        end
        fallback = fallback or from + first - 1
        looked_at = looked_at + 1
        if looked_at == RUNS_LOOKED_AT_MAX then
          return fallback
        end
        first = string.find(text, pattern, last + 1, true)
      end
      from = to
    end
  end
  if not fallback then
    view.misses[level], view.misses_changed = n, true
  end
  return fallback
end
