--[[
Decides a batch of commands on one show, each all or nothing, in their order.

It reads, decides every command on a view of the store with the earlier commands' changes on top,
then writes in few calls, the sales first. Nothing can raise after the first write, since Redis
does not roll back; a malformed command gets a status and harms no neighbour.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV:
  1 msgpack {epoch, inventory version, price version, not_after ms, sweep_max,
    {bytes of a command, where its tail begins, ...}}
  2 for each command the hold's id (16 bytes), a fingerprint (6), and a purchase's key (8)
  3 msgpack {[level] = {{from, to}, ...}} of the price levels searched, or empty
  4 the wake channel
  5 the message that wakes the recorder
  6 the commands, one after the other: their values as msgpack, without a list around them. What
    stands after the `|` is the tail, which goes into the hold's record as it is.

Commands and what each may answer, in order of precedence; positions count from 0:
  {1, ttl ms, best {{level, count}} or false | buyer, seats, areas {{index, count}} or nil}    hold
      malformed, key-reused, held (a replay), purchased (a replay), inconsistent, released, expired,
      not-on-sale, too-early, too-late-to-hold, over-hold-limit {most}, over-buyer-limit {most, has},
      seats-taken {seats}, area-short {{index, open}}, none-together {level, count}, held
  {2, best or false | seats, areas or nil}                                         replace
      malformed, unknown, released, expired, already-purchased, held (a replay), inconsistent,
      then as hold
  {3}                                                                              release
      malformed, already-purchased, inconsistent, done (also when repeated, and for an unknown hold)
  {4, payment reference, key}                                                      purchase
      malformed, key-reused, unknown, released, expired, purchased (a replay), already-purchased,
      inconsistent, purchased
  {5}                                                                              look
      unknown, inconsistent, released, expired, held, purchased

Returns {status, now ms, inconsistent, answer, ...}; status in order of precedence:
too-late, fenced, stale, ok. `inconsistent` is 1 when a record claims a seat that the store does not
hold: the show must be recovered. An answer is one of
  an integer                 held as it was asked for, until this moment (ms)
  a record                   held or purchased: the value in holds, see includes/records.lua
  msgpack {word, ...}        every other

Facts: seats_sold to sales, one per purchase; seat and area changes to deltas, one per batch.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include call_in_chunks
--- include states
--- include records
--- include view_seats
--- include view_areas
--- include view_buyers
--- include view_holds
--- include find_together
--- include check_selection
--- include take_selection

local names = {
  seats = KEYS[1], areas = KEYS[2], holds = KEYS[3], expiry = KEYS[4], buyers = KEYS[5],
  keys = KEYS[6], meta = KEYS[7], sales = KEYS[8], deltas = KEYS[9],
}
local epoch, version, price_version, not_after, sweep_max, lengths =
  unpack(cmsgpack.unpack(ARGV[1]), 1, 6)
local entries, packed_levels, wake_channel, wake_message = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local packed_commands = ARGV[6]

local ID_BYTES, FP_BYTES, ENTRY_BYTES = 16, 6, 30
local HOLD, REPLACE, RELEASE, PURCHASE, LOOK = 1, 2, 3, 4, 5
local SWEEP_FIRST = 32
local DELTAS_KEPT = 10000
local TEXT_BYTES_MAX = 512
local TTL_MAX_MS = 30 * 86400000
local FP_OF_UNKNOWN = string.rep('\0', FP_BYTES) -- no body's: the release came before its hold
local RELEASE_OF_UNKNOWN_KEPT_MS = 3600000 + KEPT_AFTER_DEADLINE_MS

local meta = read_meta(names.meta, {
  'state', 'epoch', 'version', 'run_id', 'replid', 'time', 'sale_state', 'opens_at', 'closes_at',
  'max_per_hold', 'max_per_buyer', 'misses',
})
local now = read_time(meta.time)
local refusal = refuse_batch(meta, now, epoch, version, not_after)
if refusal then
  return { refusal, now, 0 }
end

local view = {
  names = names,
  now = now,
  sweep_max = sweep_max,
  swept = 0,
  swept_all = false,
  span = '',
  span_from = 0,
  levels = packed_levels ~= '' and cmsgpack.unpack(packed_levels) or {},
  misses = meta.misses and meta.misses ~= '' and cmsgpack.unpack(meta.misses) or {},
  misses_changed = false,
  seats = {}, -- position to state, where a command changed it
  before = {}, -- position to the state that the store has
  searches = packed_levels ~= '',
  log = {}, -- positions, in the order of their changes, for the searches
  windows = {},
  resume = {},
  records = {},
  changed_records = {},
  buyers = {},
  changed_buyers = {},
  areas = {},
  changed_areas = {},
  inconsistent = false,
}
local keys_used, changed_keys = {}, {}
local sales = {}

-- What is going to be written, in the arguments of the calls at the end; of two entries of the
-- same field the later one counts.
local seat_writes, seat_writes_count = {}, 0
local seat_deltas, seat_deltas_count = {}, 0
local kept, kept_count = {}, 0
local scheduled, scheduled_count = {}, 0
local buyers_kept, buyers_kept_count = {}, 0
local made, made_count = {}, 0 -- what new holds are told apart by in the delta
local function note_made(id)
  made_count = made_count + 1
  made[made_count] = struct.unpack('>I4', id)
end

-- Reading -----------------------------------------------------------------------------------------

-- Each command as {is it msgpack, kind, its other values ...}.
local commands_count = math.floor(#entries / ENTRY_BYTES)
local ids, fps, commands, tails = {}, {}, {}, {}
local at = 1
for i = 1, commands_count do
  local entry, size = (i - 1) * ENTRY_BYTES, lengths[2 * i - 1]
  ids[i] = string.sub(entries, entry + 1, entry + ID_BYTES)
  fps[i] = string.sub(entries, entry + ID_BYTES + 1, entry + ID_BYTES + FP_BYTES)
  local text = string.sub(packed_commands, at, at + size - 1)
  tails[i] = string.sub(text, lengths[2 * i] + 1)
  commands[i] = { pcall(cmsgpack.unpack, text) }
  at = at + size
end

-- Few reads for all: the records, then the seats that a command or a record names and those of the
-- ranges that are searched, the buyers, and the keys of purchases.
local lowest, highest = math.huge, -1
local function cover(position)
  if type(position) == 'number' and position >= 0 and position < POSITION_MAX then
    if position < lowest then
      lowest = position
    end
    if position > highest then
      highest = position
    end
  end
end
local function cover_all(seats)
  if type(seats) == 'table' then
    for i = 1, #seats do
      cover(seats[i])
    end
  end
end
local function is_text(value, least)
  return type(value) == 'string' and #value >= least and #value <= TEXT_BYTES_MAX
end
local records = commands_count > 0 and redis.call('HMGET', names.holds, unpack(ids)) or {}
local buyers, buyers_count, purchase_keys, keys_count = {}, 0, {}, 0
for i = 1, commands_count do
  local command = commands[i]
  local kind = command[2]
  if kind == HOLD then
    cover_all(command[6])
    if is_text(command[5], 1) then
      buyers_count = buyers_count + 1
      buyers[buyers_count] = command[5]
    end
  elseif kind == REPLACE then
    cover_all(command[4])
  elseif kind == PURCHASE then
    keys_count = keys_count + 1
    purchase_keys[keys_count] = string.sub(entries, i * ENTRY_BYTES - 7, i * ENTRY_BYTES)
  end
  local record = false
  if records[i] then
    record = decode_record(records[i])
    if record.buyer then
      cover_all(record.seats)
      buyers_count = buyers_count + 1
      buyers[buyers_count] = record.buyer
    end
  end
  view.records[ids[i]] = record
end
for _, ranges in pairs(view.levels) do
  for _, range in ipairs(ranges) do
    cover(range[1])
    cover(range[2])
  end
end
if highest >= 0 then
  view.span_from = math.floor(lowest)
  view.span = redis.call('GETRANGE', names.seats, view.span_from, highest)
end
read_buyers(view, buyers)
if keys_count > 0 then
  for i, used_for in ipairs(redis.call('HMGET', names.keys, unpack(purchase_keys))) do
    keys_used[purchase_keys[i]] = used_for
  end
end

-- Deciding ----------------------------------------------------------------------------------------

-- A sale's place in the stream is known once its fact is written: it is told then.
local function tell(record)
  if record.state == PURCHASED and not record.n then
    return { record = record }
  end
  return encode_record(record)
end

-- Returns the answer for a hold that never was, has ended, or should have; nil for another.
local function tell_ended(record)
  if not record then
    return { 'unknown' }
  elseif record.state == LIVE and record.deadline <= now then
    return { 'inconsistent' } -- it could not be ended
  elseif record.state == RELEASED then
    return { 'released' }
  elseif record.state == EXPIRED then
    return { 'expired' }
  end
  return nil
end

local function is_ttl(value)
  return is_count(value, 1) and value <= TTL_MAX_MS
end

local most_per_hold, most_per_buyer = tonumber(meta.max_per_hold), tonumber(meta.max_per_buyer)
local opens_at, closes_at = tonumber(meta.opens_at), tonumber(meta.closes_at)
local is_selling = meta.sale_state == 'on_sale' and now >= opens_at
  and (closes_at == 0 or now < closes_at)

-- Returns why a new selection may not be held now, or nil.
local function refuse_selection(buyer, count, instead_of)
  if meta.sale_state ~= 'on_sale' then
    return { 'not-on-sale' }
  elseif now < opens_at then
    return { 'too-early', opens_at }
  elseif not is_selling then
    return { 'too-late-to-hold', closes_at }
  elseif count > most_per_hold then
    return { 'over-hold-limit', most_per_hold }
  end
  local has = view_buyer(view, buyer)
  while has.held + has.bought - instead_of + count > most_per_buyer do
    if not sweep_overdue(view, SWEEP_ON) then
      return { 'over-buyer-limit', most_per_buyer, has.held + has.bought - instead_of }
    end
  end
  return nil
end

-- Decides the hold that nearly all of an on-sale's commands are: a new one, of one or two seats that
-- are open and were so before the batch, for a buyer who has none. It does what `hold` does, without
-- a table for each thing.
-- Returns the deadline, or nil: then it is for `hold` to decide, and nothing was changed.
local function hold_plainly(id, command, fp, tail)
  local ttl, best, buyer, seats, areas = unpack(command, 3, 7)
  if view.records[id] ~= false or view.buyers[buyer or ''] ~= NO_BUYER or not is_selling then
    return nil
  end
  if best or areas or type(seats) ~= 'table' or not is_ttl(ttl) then
    return nil
  end
  local first, second = seats[1], seats[2]
  local count = second and 2 or 1
  if length(seats) ~= count or count > most_per_hold or count > most_per_buyer then
    return nil
  end
  local changed, span, offset = view.seats, view.span, 1 - view.span_from
  if not is_position(first) or changed[first] or string.byte(span, first + offset) ~= OPEN then
    return nil
  end
  if second then
    if not is_position(second) or second == first or changed[second]
      or string.byte(span, second + offset) ~= OPEN
    then
      return nil
    end
  end
  local n = seat_writes_count
  seat_writes[n + 1], seat_writes[n + 3] = 'SET', first * 8 -- an offset in bits
  changed[first] = HELD
  seat_deltas[seat_deltas_count + 1], seat_deltas[seat_deltas_count + 2] = first, HELD
  seat_deltas_count = seat_deltas_count + 2
  if second == first + 1 then
    seat_writes[n + 2], seat_writes[n + 4] = 'u16', HELD * 256 + HELD
    seat_writes_count = n + 4
  else
    seat_writes[n + 2], seat_writes[n + 4] = 'u8', HELD
    seat_writes_count = n + 4
    if second then
      seat_writes[n + 5], seat_writes[n + 6], seat_writes[n + 7], seat_writes[n + 8] =
        'SET', 'u8', second * 8, HELD
      seat_writes_count = n + 8
    end
  end
  if second then
    changed[second] = HELD
    seat_deltas[seat_deltas_count + 1], seat_deltas[seat_deltas_count + 2] = second, HELD
    seat_deltas_count = seat_deltas_count + 2
  end
  if view.searches then
    log_seat(view, first)
    if second then
      log_seat(view, second)
    end
  end
  local deadline = now + ttl
  local packed = live_head(deadline, price_version) .. fp .. tail
  note_made(id)
  view.records[id] = packed
  kept[kept_count + 1], kept[kept_count + 2] = id, packed
  kept_count = kept_count + 2
  scheduled[scheduled_count + 1], scheduled[scheduled_count + 2] = deadline, id
  scheduled_count = scheduled_count + 2
  packed = pack_buyer(count, 0, deadline)
  view.buyers[buyer] = packed
  buyers_kept[buyers_kept_count + 1], buyers_kept[buyers_kept_count + 2] = buyer, packed
  buyers_kept_count = buyers_kept_count + 2
  return deadline
end

local function hold(id, command, fp, tail)
  local deadline = hold_plainly(id, command, fp, tail)
  if deadline then
    return deadline
  end
  local ttl, best, buyer, seats, areas = unpack(command, 3, 7)
  best, areas = best or {}, areas or {}
  if not is_text(buyer, 1) or not is_ttl(ttl) then
    return { 'malformed' }
  end
  local count = check_selection(view, seats, areas, best)
  if not count then
    return { 'malformed' }
  end
  local record = view_record(view, id)
  if record then
    if record.fp ~= fp and record.fp ~= FP_OF_UNKNOWN then
      return { 'key-reused' }
    end
    return tell_ended(record) or tell(record)
  end
  local refused = refuse_selection(buyer, count, 0)
  if refused then
    return refused
  end
  local taken
  taken, refused = take_selection(view, seats, areas, best)
  if not taken then
    return refused
  end
  local has = view_buyer(view, buyer)
  if has.held == 0 or has.deadline <= now then
    has.deadline = now + ttl
  end
  count_held(view, buyer, count)
  record = {
    state = LIVE, deadline = has.deadline, fp = fp, buyer = buyer, price_version = price_version,
    selection_fp = fp, seats = taken, areas = areas, tail = tail,
  }
  put_record(view, id, record)
  note_made(id)
  if #best > 0 then
    record.tail = pack_tail(buyer, taken, areas)
    return encode_record(record)
  end
  return record.deadline
end

local function replace(id, command, fp)
  local best, seats, areas = unpack(command, 3, 5)
  best, areas = best or {}, areas or {}
  local count = check_selection(view, seats, areas, best)
  if not count then
    return { 'malformed' }
  end
  local record = view_record(view, id)
  local ended = tell_ended(record)
  if ended then
    return ended
  elseif record.state == PURCHASED then
    return { 'already-purchased' }
  elseif record.selection_fp == fp then
    return encode_record(record)
  end
  if not has_its_places(view, record) then
    return { 'inconsistent' }
  end
  local before = count_tickets(record.seats, record.areas)
  local refused = refuse_selection(record.buyer, count, before)
  if refused then
    return refused
  end
  -- The old selection opens in the view, so that the new one may overlap it, and is taken again
  -- when the new one is refused.
  move_record(view, record, OPEN, 'held', 'open')
  local taken
  taken, refused = take_selection(view, seats, areas, best)
  if not taken then
    move_record(view, record, HELD, 'open', 'held')
    return refused
  end
  count_held(view, record.buyer, count - before)
  local replaced = {
    state = LIVE, deadline = record.deadline, fp = record.fp, buyer = record.buyer,
    price_version = price_version, selection_fp = fp, seats = taken, areas = areas,
    tail = pack_tail(record.buyer, taken, areas),
  }
  put_record(view, id, replaced)
  return encode_record(replaced)
end

local function release(id)
  local record = view_record(view, id)
  if not record then
    put_record(view, id, {
      state = RELEASED, deadline = now + RELEASE_OF_UNKNOWN_KEPT_MS, fp = FP_OF_UNKNOWN,
    })
    note_made(id)
  elseif record.state == PURCHASED then
    return { 'already-purchased' }
  elseif record.state == LIVE and not end_hold(view, id, record, RELEASED) then
    return { 'inconsistent' }
  end
  return { 'done' }
end

local function purchase(id, command, body_fp, _, field)
  local payment_reference, key = unpack(command, 3, 4)
  if not is_text(key, 1) or not is_text(payment_reference, 0) then
    return { 'malformed' }
  end
  local used_for = keys_used[field]
  if used_for and used_for ~= id then
    return { 'key-reused' }
  end
  local record = view_record(view, id)
  local ended = tell_ended(record)
  if ended then
    return ended
  elseif record.state == PURCHASED then
    if not used_for then
      return { 'already-purchased' }
    elseif record.body_fp ~= body_fp then
      return { 'key-reused' }
    end
    return tell(record)
  end
  if not has_its_places(view, record) then
    return { 'inconsistent' }
  end
  move_record(view, record, SOLD, 'held', 'sold')
  local count = count_tickets(record.seats, record.areas)
  local buyer = view_buyer(view, record.buyer)
  buyer.bought = buyer.bought + count
  count_held(view, record.buyer, -count)
  keys_used[field], changed_keys[field] = id, true
  local sold = {
    state = PURCHASED, fp = record.fp, buyer = record.buyer, price_version = record.price_version,
    seats = record.seats, areas = record.areas, body_fp = body_fp, epoch = epoch, sold_at = now,
    tail = record.tail,
  }
  put_record(view, id, sold)
  local sale = { id = id, record = sold, key = key, payment_reference = payment_reference }
  sales[#sales + 1] = sale
  return sale
end

local function look(id)
  local record = view_record(view, id)
  return tell_ended(record) or tell(record)
end

local deciders = {
  [HOLD] = hold, [REPLACE] = replace, [RELEASE] = release, [PURCHASE] = purchase, [LOOK] = look,
}

sweep_overdue(view, SWEEP_FIRST)
local answers = {}
for i = 1, commands_count do
  local command = commands[i]
  local decide = command[1] and deciders[command[2]]
  local purchase_key
  if decide == purchase then
    purchase_key = string.sub(entries, i * ENTRY_BYTES - 7, i * ENTRY_BYTES)
  end
  answers[i] = decide and decide(ids[i], command, fps[i], tails[i], purchase_key)
    or { 'malformed' }
end

-- Writing: nothing below may fail -----------------------------------------------------------------

local stream_id = string.format('%d-*', epoch)
for _, sale in ipairs(sales) do
  local r = sale.record
  local fact = cmsgpack.pack({
    1, r.buyer, r.seats, r.areas, r.price_version, r.sold_at, sale.key,
    (struct.unpack('>I6', r.body_fp)), sale.payment_reference, (struct.unpack('>I6', r.fp)),
  })
  local added = redis.call('XADD', names.sales, stream_id, 'h', sale.id, 'f', fact)
  r.n = tonumber(string.match(added, '%-(%d+)$'))
end
local reply = { 'ok', now, view.inconsistent and 1 or 0 }
for i, answer in ipairs(answers) do
  if type(answer) == 'table' then
    answer = answer.record and encode_record(answer.record) or cmsgpack.pack(answer)
  end
  reply[i + 3] = answer
end

for position, before in pairs(view.before) do
  local state = view.seats[position]
  if state ~= before then
    local n = seat_writes_count
    seat_writes[n + 1], seat_writes[n + 2] = 'SET', 'u8'
    seat_writes[n + 3], seat_writes[n + 4] = position * 8, state
    seat_writes_count = n + 4
    seat_deltas[seat_deltas_count + 1], seat_deltas[seat_deltas_count + 2] = position, state
    seat_deltas_count = seat_deltas_count + 2
  end
end
local area_writes, area_deltas = list_changed_areas(view)
if seat_deltas_count > 0 or #area_deltas > 0 or made_count > 0 then
  redis.call(
    'XADD', names.deltas, 'MAXLEN', '~', DELTAS_KEPT, stream_id,
    'd', cmsgpack.pack({ 2, now, seat_deltas, area_deltas, made })
  )
end
call_in_chunks('BITFIELD', names.seats, seat_writes, 4)
call_in_chunks('HSET', names.areas, area_writes, 2)

local forgotten, unscheduled = {}, {}
for id in pairs(view.changed_records) do
  local record = view.records[id]
  if not record then
    forgotten[#forgotten + 1], unscheduled[#unscheduled + 1] = id, id
  elseif type(record) == 'table' then -- else it is among them already
    kept[kept_count + 1], kept[kept_count + 2] = id, encode_record(record)
    kept_count = kept_count + 2
    if record.state == PURCHASED then
      unscheduled[#unscheduled + 1] = id
    else
      scheduled[scheduled_count + 1], scheduled[scheduled_count + 2] = record.deadline, id
      scheduled_count = scheduled_count + 2
    end
  end
end
local wrote = kept_count > 0 or #forgotten > 0
call_in_chunks('HSET', names.holds, kept, 2)
call_in_chunks('HDEL', names.holds, forgotten, 1)
call_in_chunks('ZADD', names.expiry, scheduled, 2)
call_in_chunks('ZREM', names.expiry, unscheduled, 1)

local buyers_gone = {}
for name in pairs(view.changed_buyers) do
  local buyer = view.buyers[name]
  if buyer.held + buyer.bought > 0 then
    buyers_kept[buyers_kept_count + 1] = name
    buyers_kept[buyers_kept_count + 2] = encode_buyer(buyer)
    buyers_kept_count = buyers_kept_count + 2
  else
    buyers_gone[#buyers_gone + 1] = name
  end
end
call_in_chunks('HSET', names.buyers, buyers_kept, 2)
call_in_chunks('HDEL', names.buyers, buyers_gone, 1)

local keys_kept = {}
for key in pairs(changed_keys) do
  keys_kept[#keys_kept + 1] = key
  keys_kept[#keys_kept + 1] = keys_used[key]
end
call_in_chunks('HSET', names.keys, keys_kept, 2)

local TIME_KEPT_WITHIN_MS = 1000
if wrote or view.misses_changed or now - (tonumber(meta.time) or 0) > TIME_KEPT_WITHIN_MS then
  redis.call('HSET', names.meta, 'time', now, 'misses',
    next(view.misses) and cmsgpack.pack(view.misses) or '')
end
if #sales > 0 then
  redis.call('PUBLISH', wake_channel, wake_message)
end
return reply
