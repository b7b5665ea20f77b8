--[[
Applies what the house decided: seats and places withheld or given back, the rules of the sale, and
edits of the map: seats taken out or put back, areas' capacities, seats that change their price.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV: 1 msgpack {epoch, version now, version after, not_after ms, {seat to block, ...},
      {seat to unblock, ...}, {{area, places to block (below 0: to unblock)}, ...},
      {meta field, value, ...}, {seat that must be free, ...}, {seat to take out, ...},
      {seat to put back open, ...}, {seat to put back blocked, ...},
      {{area, places to add (below 0: to take away)}, ...}, number of the edit or false,
      {{area, area that its open places move to, how many or false: all}, ...} or nothing}
Returns msgpack, in order of precedence:
  {'too-late'}, {'fenced'}, {'stale'}
  {'refused', {seat that is held or sold, ...}, {{area, open, blocked}, ...}}
                 a seat blocked already, or to unblock and not blocked, is left as it is;
                 a seat that is taken out has a separator's byte: nobody sits next to it
  {'changed', now ms, {places that moved, ...}}
                 an area that places move to is made if there is none
Facts: seat and area changes to deltas, of an edit with its number as `m`.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include call_in_chunks
--- include states
--- include view_areas
local key_of = {
  seats = KEYS[1], areas = KEYS[2], meta = KEYS[7], deltas = KEYS[9],
}
local epoch, version, version_after, not_after, block, unblock, area_changes, fields, free, take_out,
  put_back_open, put_back_blocked, capacities, edit_no, moves = unpack(cmsgpack.unpack(ARGV[1]), 1, 15)
local DELTAS_KEPT = 10000
local REMOVED = 124 -- '|'

local meta = read_meta(key_of.meta, { 'state', 'epoch', 'version', 'run_id', 'replid', 'time' })
local now = read_time(meta.time)
local refusal = refuse_batch(meta, now, epoch, version, not_after)
if refusal then
  return cmsgpack.pack({ refusal })
end

local view = { key_of = key_of, areas = {}, changed_areas = {} }
local seats = redis.call('GET', key_of.seats) or ''
local writes, deltas, refused = {}, {}, {}
local function put(position, state)
  local n = #writes
  writes[n + 1], writes[n + 2] = 'SET', 'u8'
  writes[n + 3], writes[n + 4] = string.format('#%d', position), state
  deltas[#deltas + 1], deltas[#deltas + 2] = position, state
end
local function change(positions, from, to)
  for _, position in ipairs(positions) do
    local state = string.byte(seats, position + 1)
    if state == from then
      put(position, to)
    elseif from == OPEN and state ~= BLOCKED then
      refused[#refused + 1] = position
    end
  end
end
change(block, OPEN, BLOCKED)
change(unblock, BLOCKED, OPEN)
change(put_back_open, REMOVED, OPEN)
change(put_back_blocked, REMOVED, BLOCKED)
for _, position in ipairs(free) do
  local state = string.byte(seats, position + 1)
  if state ~= OPEN and state ~= BLOCKED then
    refused[#refused + 1] = position
  end
end
for _, position in ipairs(take_out) do
  local state = string.byte(seats, position + 1)
  if state == OPEN or state == BLOCKED then
    put(position, REMOVED)
  else
    refused[#refused + 1] = position
  end
end

local refused_areas = {}
for _, pair in ipairs(area_changes) do
  local index, count = pair[1], pair[2]
  local area = view_area(view, index)
  if not area or area.open < count or area.blocked < -count then
    refused_areas[#refused_areas + 1] =
      { index, area and area.open or 0, area and area.blocked or 0 }
  else
    move_places(view, index, 'open', 'blocked', count)
  end
end
for _, pair in ipairs(capacities) do
  local index, count = pair[1], pair[2]
  local area = view_area(view, index)
  if not area or area.open < -count then
    refused_areas[#refused_areas + 1] =
      { index, area and area.open or 0, area and area.blocked or 0 }
  else
    area.open = area.open + count
    view.changed_areas[index] = true
  end
end
local moved = {}
for _, move in ipairs(moves or {}) do
  local from, to, count = move[1], move[2], move[3]
  local area = view_area(view, from)
  count = count or (area and area.open or 0)
  if not area or area.open < count then
    refused_areas[#refused_areas + 1] =
      { from, area and area.open or 0, area and area.blocked or 0 }
  else
    area.open = area.open - count
    local other = view_area(view, to)
    if not other then
      other = { open = 0, held = 0, sold = 0, blocked = 0 }
      view.areas[to] = other
    end
    other.open = other.open + count
    view.changed_areas[from], view.changed_areas[to] = true, true
    moved[#moved + 1] = count
  end
end
if #refused > 0 or #refused_areas > 0 then
  return cmsgpack.pack({ 'refused', refused, refused_areas })
end

local area_writes, area_deltas = list_changed_areas(view)
local tag = {}
if edit_no then
  tag[1], tag[2] = 'm', string.format('%d', edit_no)
end
redis.call(
  'XADD', key_of.deltas, 'MAXLEN', '~', DELTAS_KEPT, string.format('%d-*', epoch),
  'd', cmsgpack.pack({ 2, now, deltas, area_deltas, {} }), unpack(tag)
)
call_in_chunks('BITFIELD', key_of.seats, writes, 4)
call_in_chunks('HSET', key_of.areas, area_writes, 2)
redis.call('HSET', key_of.meta, 'version', string.format('%d', version_after),
  'time', string.format('%d', now), 'misses', '', unpack(fields))
return cmsgpack.pack({ 'changed', now, moved })
