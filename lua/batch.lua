--[[
Decides a batch of commands on one show, each all or nothing, in their order.

It reads, decides every command on a view of the store with the earlier commands' changes on top,
then writes in few calls, the sales first. Nothing can raise after the first write, since Redis
does not roll back; a malformed command gets a status and harms no neighbour.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV:
  1 msgpack {epoch, inventory version, price version, not_after ms, sweep_max,
    {bytes of a command's head, bytes of its tail, ...}}
  2 the commands' hold ids, 16 bytes each
  3 msgpack {[level] = {{from, to}, ...}} of the price levels searched, or empty
  4 the wake channel
  5 the message that wakes the recorder
  6 the commands' heads and tails, one after the other: their values as msgpack, without a list
    around them. A tail (after the `|`) goes into the hold's record as it is.

Commands and what each may answer, in order of precedence; positions count from 0:
  {1, ttl ms, fp, best {{level, count}} | buyer, seats, areas {{index, count}}}    hold
      malformed, key-reused, held (a replay), purchased (a replay), inconsistent, released, expired,
      not-on-sale, too-early, too-late-to-hold, over-hold-limit {most}, over-buyer-limit {most, has},
      seats-taken {seats}, area-short {{index, open}}, none-together {level, count}, held
  {2, selection fp, best | seats, areas}                                           replace
      malformed, unknown, released, expired, already-purchased, held (a replay), inconsistent,
      then as hold
  {3}                                                                              release
      malformed, already-purchased, inconsistent, done (also when repeated, and for an unknown hold)
  {4, body fp, payment reference | key}                                            purchase
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
--- include read_guard
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
local header = cmsgpack.unpack(ARGV[1])
local epoch, version, price_version, not_after, sweep_max, lengths = unpack(header, 1, 6)
local hold_ids, packed_levels, wake_channel, wake_message = ARGV[2], ARGV[3], ARGV[4], ARGV[5]
local packed_commands = ARGV[6]

local ID_BYTES = 16
local SWEEP_FIRST = 32
local DELTAS_KEPT = 10000
local TEXT_BYTES_MAX = 512
local TTL_MAX_MS = 30 * 86400000
local HOLD, REPLACE, RELEASE, PURCHASE, LOOK = 1, 2, 3, 4, 5
local FP_OF_UNKNOWN = 0 -- no body's fingerprint: the release came before its hold
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

-- Reading -----------------------------------------------------------------------------------------

-- Each command as {is it msgpack, kind, the other values of its head and its tail ...}.
local commands_count = math.ceil(#hold_ids / ID_BYTES)
local ids, commands, tails = {}, {}, {}
local from = 1
for i = 1, commands_count do
  ids[i] = string.sub(hold_ids, (i - 1) * ID_BYTES + 1, i * ID_BYTES)
  local tail_from = from + lengths[2 * i - 1]
  local to = tail_from + lengths[2 * i] - 1
  tails[i] = string.sub(packed_commands, tail_from, to)
  commands[i] = { pcall(cmsgpack.unpack, string.sub(packed_commands, from, to)) }
  from = to + 1
end
if commands_count > 0 then
  for i, packed in ipairs(redis.call('HMGET', names.holds, unpack(ids))) do
    view.records[ids[i]] = packed and decode_record(packed)
  end
end

-- One read covers every seat that a command names, and every range that one searches; one more all
-- buyers, and one the keys of purchases.
local lowest, highest
local function cover(position)
  if is_position(position) then
    lowest = math.min(lowest or position, position)
    highest = math.max(highest or position, position)
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
local buyers, keys_asked = {}, {}
for i = 1, commands_count do
  local command = commands[i]
  local kind = command[2]
  local record = view.records[ids[i]]
  if kind == HOLD then
    cover_all(command[7])
    if is_text(command[6], 1) then
      buyers[#buyers + 1] = command[6]
    end
  elseif kind == REPLACE then
    cover_all(command[5])
  elseif kind == PURCHASE and is_text(command[5], 1) then
    keys_asked[#keys_asked + 1] = command[5]
  end
  if record and record.buyer then
    cover_all(record.seats)
    buyers[#buyers + 1] = record.buyer
  end
end
for _, ranges in pairs(view.levels) do
  for _, range in ipairs(ranges) do
    cover(range[1])
    cover(range[2])
  end
end
if lowest then
  view.span_from = lowest
  view.span = redis.call('GETRANGE', names.seats, lowest, highest)
end
read_buyers(view, buyers)
if #keys_asked > 0 then
  for i, used_for in ipairs(redis.call('HMGET', names.keys, unpack(keys_asked))) do
    keys_used[keys_asked[i]] = used_for
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

-- 48 bits: what a record has room for.
local function is_fingerprint(value)
  return is_count(value, 0) and value < 2 ^ 48
end

-- Returns why a new selection may not be held now, or nil.
local function refuse_selection(buyer, count, instead_of)
  local most_per_hold, most_per_buyer = tonumber(meta.max_per_hold), tonumber(meta.max_per_buyer)
  if meta.sale_state ~= 'on_sale' then
    return { 'not-on-sale' }
  elseif now < tonumber(meta.opens_at) then
    return { 'too-early', tonumber(meta.opens_at) }
  elseif tonumber(meta.closes_at) > 0 and now >= tonumber(meta.closes_at) then
    return { 'too-late-to-hold', tonumber(meta.closes_at) }
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

local function hold(id, command, tail)
  local ttl, fp, best, buyer, seats, areas = unpack(command, 3, 8)
  if not is_text(buyer, 1) or not is_ttl(ttl) or not is_fingerprint(fp) then
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
    selection_fp = fp, seats = taken, areas = areas,
  }
  put_record(view, id, record)
  if #best > 0 then
    record.tail = cmsgpack.pack(buyer, taken, areas)
    return encode_record(record)
  end
  record.tail = tail
  return record.deadline
end

local function replace(id, command)
  local fp, best, seats, areas = unpack(command, 3, 6)
  if not is_fingerprint(fp) then
    return { 'malformed' }
  end
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
    tail = cmsgpack.pack(record.buyer, taken, areas),
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
  elseif record.state == PURCHASED then
    return { 'already-purchased' }
  elseif record.state == LIVE and not end_hold(view, id, record, RELEASED) then
    return { 'inconsistent' }
  end
  return { 'done' }
end

local function purchase(id, command, tail)
  local body_fp, payment_reference, key = unpack(command, 3, 5)
  if not is_text(key, 1) or not is_fingerprint(body_fp) or not is_text(payment_reference, 0) then
    return { 'malformed' }
  end
  local used_for = keys_used[key]
  if used_for and used_for ~= id then
    return { 'key-reused' }
  end
  local record = view_record(view, id)
  local ended = tell_ended(record)
  if ended then
    return ended
  elseif record.state == PURCHASED then
    if record.key ~= key then
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
  keys_used[key], changed_keys[key] = id, true
  local sold = {
    state = PURCHASED, deadline = record.deadline, fp = record.fp, buyer = record.buyer,
    price_version = record.price_version, selection_fp = record.selection_fp,
    seats = record.seats, areas = record.areas, key = key, body_fp = body_fp, epoch = epoch,
    sold_at = now, tail = record.tail .. tail,
  }
  put_record(view, id, sold)
  local sale = { id = id, record = sold, payment_reference = payment_reference }
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
  local decide = command[1] and #ids[i] == ID_BYTES and deciders[command[2]]
  answers[i] = decide and decide(ids[i], command, tails[i]) or { 'malformed' }
end

-- Writing: nothing below may fail -----------------------------------------------------------------

local stream_id = string.format('%d-*', epoch)
for _, sale in ipairs(sales) do
  local r = sale.record
  local fact = cmsgpack.pack({
    1, r.buyer, r.seats, r.areas, r.price_version, r.sold_at, r.key, r.body_fp,
    sale.payment_reference, r.fp,
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

local seat_writes, seat_deltas = {}, {}
local writes, deltas = 0, 0
for position, before in pairs(view.before) do
  local state = view.seats[position]
  if state ~= before then
    seat_writes[writes + 1], seat_writes[writes + 2] = 'SET', 'u8'
    seat_writes[writes + 3], seat_writes[writes + 4] = position * 8, state -- an offset in bits
    seat_deltas[deltas + 1], seat_deltas[deltas + 2] = position, state
    writes, deltas = writes + 4, deltas + 2
  end
end
local sold_holds = {}
for i, sale in ipairs(sales) do
  sold_holds[i] = struct.unpack('>I4', sale.id)
end
local area_writes, area_deltas = list_changed_areas(view)
if deltas > 0 or #area_deltas > 0 then
  redis.call(
    'XADD', names.deltas, 'MAXLEN', '~', DELTAS_KEPT, stream_id,
    'd', cmsgpack.pack({ 2, now, seat_deltas, area_deltas, sold_holds })
  )
end
call_in_chunks('BITFIELD', names.seats, seat_writes, 4)
call_in_chunks('HSET', names.areas, area_writes, 2)

local kept, forgotten, scheduled, unscheduled = {}, {}, {}, {}
for id in pairs(view.changed_records) do
  local record = view.records[id]
  if record then
    kept[#kept + 1] = id
    kept[#kept + 1] = encode_record(record)
  else
    forgotten[#forgotten + 1] = id
  end
  if record and record.state ~= PURCHASED then
    scheduled[#scheduled + 1] = record.deadline
    scheduled[#scheduled + 1] = id
  else
    unscheduled[#unscheduled + 1] = id
  end
end
call_in_chunks('HSET', names.holds, kept, 2)
call_in_chunks('HDEL', names.holds, forgotten, 1)
call_in_chunks('ZADD', names.expiry, scheduled, 2)
call_in_chunks('ZREM', names.expiry, unscheduled, 1)

local buyers_kept, buyers_gone = {}, {}
for name in pairs(view.changed_buyers) do
  local buyer = view.buyers[name]
  if buyer.held + buyer.bought > 0 then
    buyers_kept[#buyers_kept + 1] = name
    buyers_kept[#buyers_kept + 1] = encode_buyer(buyer)
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
local wrote = next(view.changed_records) ~= nil
if wrote or view.misses_changed or now - (tonumber(meta.time) or 0) > TIME_KEPT_WITHIN_MS then
  redis.call('HSET', names.meta, 'time', string.format('%d', now), 'misses',
    next(view.misses) and cmsgpack.pack(view.misses) or '')
end
if #sales > 0 then
  redis.call('PUBLISH', wake_channel, wake_message)
end
return reply
