--[[
Decides a batch of commands on one show, each all or nothing, in their order.

It reads, decides every command on a view of the store with the earlier commands' changes on top,
then writes in few calls, the sales first. Nothing can raise after the first write, since Redis
does not roll back; a malformed command gets a status and harms no neighbour.

KEYS: 1 seats, 2 areas, 3 holds, 4 expiry, 5 buyers, 6 keys, 7 meta, 8 sales, 9 deltas
ARGV:
  1 msgpack {epoch, inventory version, price version, not_after ms, sweep_max, backlog_max, and true
     to write something in any case: WAIT counts from what the connection wrote last}
  2 msgpack {[level] = {{from, to}, ...}} of the price levels searched, or empty
  3 the wake channel
  4 the message that wakes the recorder
  5 the commands' hold ids, 16 bytes each
  6 integers of 4 bytes: for all commands the first seat, then for all the second, then the ttl (ms)
  7 for each command a name, after its length (2 bytes)
  8 for each command a fingerprint (6 bytes) and a text, after the length of both (4 bytes)

What nearly all commands are, a hold of one or two named seats, is told in full by these: NONE stands
for a second seat that there is not, the name is the buyer's, and the text is the tail of the hold's
record. So is a hold of seats together: its first is TOGETHER and the price level, its second how many,
and the text is empty. Any other command has NONE for its first seat and is given in the text: its
values as msgpack, without a list around them. What stands after the `|` is the tail, which goes into
the hold's record as it is, and begins after as many bytes as the second seat says. Name is a
purchase's key (8 bytes).

Commands and what each may answer, in order of precedence; positions count from 0:
  {1, ttl ms, best {{level, count}} or false | buyer, seats, areas {{index, count}}, types}    hold
      malformed, key-reused, held (a replay), purchased (a replay), inconsistent, released, expired,
      not-on-sale {sale_state}, too-early, too-late-to-hold, over-hold-limit {most}, over-buyer-limit {most, has},
      seats-taken {seats}, area-short {{index, open}}, none-together {level, count}, ledger-behind,
      held
  {2, best or false | seats, areas, types}                                         replace
      malformed, unknown, released, expired, already-purchased, of-bundle {bundle},
      held (a replay), inconsistent, then as hold
  {3, bundle}                                                                      release
      malformed, already-purchased, of-bundle {bundle}, inconsistent,
      done (also when repeated, and for an unknown hold)
  {4, payment reference, key, bundle}                                              purchase
      malformed, key-reused, unknown, released, expired, purchased (a replay), already-purchased,
      of-bundle {bundle}, not-on-sale {sale_state}, inconsistent, ledger-behind, purchased
  {5}                                                                              look
      unknown, inconsistent, released, expired, held, purchased
  {7, bundle}                                                                      commit
      malformed, unknown, released, expired, already-purchased, of-bundle {bundle},
      committing {deadline} (a replay), not-on-sale {sale_state}, inconsistent, ledger-behind,
      committing {deadline}

Areas, types and bundle may be left out. `types` is a text of the tickets' types, which is kept in
the record and told by the fact as it is. A bundle is its id's 16 hex digits: {6, bundle, ttl ms, ...}
holds for it what {1, ttl ms, ...} holds for a buyer alone. Such a hold is released and purchased
with its bundle only, never replaced, and purchased only once it is committing, which it is for
COMMITTING_MS after the first commit, whatever its deadline was.

`ledger-behind`: of the epoch's sales backlog_max are not recorded; of those, nine tenths are enough
to refuse a hold, and a replacement by more tickets. meta tells how many were `sold` in the epoch, and
how many of them note_recorded.lua has heard to be `recorded`.

Returns {status, now ms, inconsistent, answer, ...}; status in order of precedence:
too-late, fenced, stale, ok. `inconsistent` is 1 when a record claims a seat that the store does not
hold: the show must be recovered. An answer is one of
  an integer                 held as it was asked for, until this moment (ms)
  a record                   held or purchased: the value in holds, see includes/records.lua
  msgpack {word, ...}        every other

Facts: seats_sold to sales, one per purchase; seat and area changes to deltas, one per batch, with
the ids of the holds that expired.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include call_in_chunks
--- include states
--- include pack_live_head
--- include pack_buyer

local key_of = {
  seats = KEYS[1], areas = KEYS[2], holds = KEYS[3], expiry = KEYS[4], buyers = KEYS[5],
  keys = KEYS[6], meta = KEYS[7], sales = KEYS[8], deltas = KEYS[9],
}
local epoch, version, price_version, not_after, sweep_max, backlog_max, must_write =
  unpack(cmsgpack.unpack(ARGV[1]), 1, 7)
local packed_levels, wake_channel, wake_message = ARGV[2], ARGV[3], ARGV[4]
local packed_ids, packed_numbers, packed_names, packed_texts = ARGV[5], ARGV[6], ARGV[7], ARGV[8]

local ID_BYTES, FP_BYTES = 16, 6
local NONE, TOGETHER = 0xffffffff, 0x80000000
local HOLD, REPLACE, RELEASE, PURCHASE, LOOK, BUNDLED_HOLD, COMMIT = 1, 2, 3, 4, 5, 6, 7
local SWEEP_FIRST = 32
local DELTAS_KEPT = 10000
local TEXT_BYTES_MAX = 512
local TYPES_BYTES_MAX = 4096
local TTL_MAX_MS = 30 * 86400000
-- What was held for a show that does not take place, or not then, is not bought any more.
local NOTHING_IS_BOUGHT = { rescheduled = true, cancelled = true, past = true }

local meta = read_meta(key_of.meta, {
  'state', 'epoch', 'version', 'run_id', 'replid', 'time', 'sale_state', 'opens_at', 'closes_at',
  'max_per_hold', 'max_per_buyer', 'misses', 'sold', 'recorded',
})
local now = read_time(meta.time)
local refusal = refuse_batch(meta, now, epoch, version, not_after)
if refusal then
  return { refusal, now, 0 }
end

local batch = {
  key_of = key_of,
  now = now,
  sweep_max = sweep_max,
  swept = 0,
  swept_all = false,
  spans = {}, -- parts of the seats that were read, as {from, text}
  levels = packed_levels ~= '' and cmsgpack.unpack(packed_levels) or {},
  misses = meta.misses and meta.misses ~= '' and cmsgpack.unpack(meta.misses) or {},
  misses_changed = false,
  seats = {}, -- position to state, where a command changed it
  before = {}, -- position to the state that the store has
  searches = packed_levels ~= '',
  log = {}, -- positions, in the order of their changes, for the searches
  opened = {}, -- those of them that opened
  parts = {}, -- the price levels that were searched
  records = {},
  changed_records = {},
  buyers = {},
  changed_buyers = {},
  areas = {},
  changed_areas = {},
  expired = {}, -- ids of holds, in the order of their ends
  inconsistent = false,
}
local keys_used, changed_keys = {}, {}
local sales = {}
local backlog = (tonumber(meta.sold) or 0) - (tonumber(meta.recorded) or 0)
local holds_backlog_max = math.ceil(9 * backlog_max / 10)

-- What is going to be written, in the arguments of the calls at the end; of two entries of the
-- same field the later one counts.
local seat_writes, seat_writes_count = {}, 0
local seat_deltas, seat_deltas_count = {}, 0
local kept, scheduled, buyers_kept = {}, {}, {}
local made, made_count = {}, 0 -- what new holds are told apart by in the delta

-- Reading -----------------------------------------------------------------------------------------

local commands_count = #packed_ids / ID_BYTES
local function read_column(format, packed, from)
  local column = { struct.unpack('>' .. string.rep(format, commands_count), packed, from) }
  column[commands_count + 1] = nil -- where the next one would begin
  return column
end
local ids = read_column('c' .. ID_BYTES, packed_ids)
local firsts = read_column('I4', packed_numbers, 1)
local seconds = read_column('I4', packed_numbers, 4 * commands_count + 1)
local ttls = read_column('I4', packed_numbers, 8 * commands_count + 1)
local names = read_column('I2c0', packed_names)
local texts = read_column('I4c0', packed_texts)

local commands = {} -- those given in their text, as {is it msgpack, kind, its other values ...}
local purchase_keys = {}
local stored_records, stored_buyers = {}, {}
local lowest, highest = math.huge, -1 -- the seats to read

local most_per_hold, most_per_buyer = tonumber(meta.max_per_hold), tonumber(meta.max_per_buyer)
local opens_at, closes_at = tonumber(meta.opens_at), tonumber(meta.closes_at)
local is_selling = meta.sale_state == 'on_sale' and now >= opens_at
  and (closes_at == 0 or now < closes_at)
-- Whether a hold of this batch may meet the ledger's bound, by what the batch sells before it.
local is_ledger_near = backlog + commands_count >= holds_backlog_max

-- All that a batch of plain holds has no need of; to make these functions would be a good part of
-- its cost.
local function make_deciders()
--- include records
--- include view_seats
--- include view_areas
--- include view_buyers
--- include view_holds
--- include find_together
--- include check_selection
--- include take_selection

  local view = batch
  local FP_OF_UNKNOWN = string.rep('\0', FP_BYTES) -- no body's: the release came before its hold
  local RELEASE_OF_UNKNOWN_KEPT_MS = 3600000 + KEPT_AFTER_DEADLINE_MS
  local COMMITTING_MS = 60000

  local function note_made(id)
    made_count = made_count + 1
    made[made_count] = struct.unpack('>I4', id)
  end

  local function is_text(value, least)
    return type(value) == 'string' and #value >= least and #value <= TEXT_BYTES_MAX
  end

  local function is_bundle(value)
    return type(value) == 'string' and #value == BUNDLE_BYTES
  end

  local function are_types(value)
    return value == nil or type(value) == 'string' and value ~= '' and #value <= TYPES_BYTES_MAX
  end

  local function cover_all(seats)
    if type(seats) ~= 'table' then
      return
    end
    for i = 1, #seats do
      local position = seats[i]
      -- What is no position is refused later: it must not become a bound of what is read.
      if type(position) == 'number' and position >= 0 and position < POSITION_MAX
        and position % 1 == 0
      then
        if position < lowest then
          lowest = position
        end
        if position > highest then
          highest = position
        end
      end
    end
  end

  -- Reads a command that is given in its text; a hold's name becomes its buyer's.
  local function read_command(i)
    local command = { pcall(cmsgpack.unpack, string.sub(texts[i], FP_BYTES + 1)) }
    commands[i] = command
    if command[2] == BUNDLED_HOLD and is_bundle(command[3]) then
      command[2], command.bundle = HOLD, table.remove(command, 3)
    end
    local kind = command[2]
    if kind == HOLD then
      cover_all(command[6])
      names[i] = is_text(command[5], 1) and command[5] or ''
    elseif kind == REPLACE then
      cover_all(command[4])
    elseif kind == PURCHASE then
      purchase_keys[#purchase_keys + 1] = names[i]
    end
  end

  -- Reads a record that the store has.
  local function read_record(i)
    local record = decode_record(stored_records[i])
    view.records[ids[i]] = record
    if record.buyer then
      cover_all(record.seats)
      names[#names + 1] = record.buyer
    end
  end

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

  -- Takes a selection of a hold that grows. That the ledger is behind comes last: what can't be had
  -- anyway is told as such, as a process that remembers what is sold tells it.
  local function take_more(seen, seats, areas, best)
    local taken, refused = take_selection(seen, seats, areas, best)
    if taken and backlog + #sales >= holds_backlog_max then
      move_record(seen, { seats = taken, areas = areas }, OPEN, 'held', 'open')
      return nil, { 'ledger-behind' }
    end
    return taken, refused
  end

  local function is_ttl(value)
    return is_count(value, 1) and value <= TTL_MAX_MS
  end

  -- Returns why a new selection may not be held now, or nil.
  local function refuse_selection(buyer, count, instead_of)
    if meta.sale_state ~= 'on_sale' then
      return { 'not-on-sale', meta.sale_state or '' }
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

  local function hold(id, command, fp, tail)
    local ttl, best, buyer, seats, areas, types = unpack(command, 3, 8)
    best, areas = best or {}, areas or {}
    if not is_text(buyer, 1) or not is_ttl(ttl) or not are_types(types) then
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
    taken, refused = take_more(view, seats, areas, best)
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
      selection_fp = fp, seats = taken, areas = areas, types = types, tail = tail,
      bundle = command.bundle,
    }
    put_record(view, id, record)
    note_made(id)
    if #best > 0 then
      record.tail = pack_tail(buyer, taken, areas, types)
      return encode_record(record)
    end
    return record.deadline
  end

  local function replace(id, command, fp)
    local best, seats, areas, types = unpack(command, 3, 6)
    best, areas = best or {}, areas or {}
    local count = check_selection(view, seats, areas, best)
    if not count or not are_types(types) then
      return { 'malformed' }
    end
    local record = view_record(view, id)
    local ended = tell_ended(record)
    if ended then
      return ended
    elseif record.state == PURCHASED then
      return { 'already-purchased' }
    elseif record.bundle then
      return { 'of-bundle', record.bundle }
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
    local take = count > before and take_more or take_selection
    move_record(view, record, OPEN, 'held', 'open')
    local taken
    taken, refused = take(view, seats, areas, best)
    if not taken then
      move_record(view, record, HELD, 'open', 'held')
      return refused
    end
    count_held(view, record.buyer, count - before)
    local replaced = {
      state = LIVE, deadline = record.deadline, fp = record.fp, buyer = record.buyer,
      price_version = price_version, selection_fp = fp, seats = taken, areas = areas,
      types = types, tail = pack_tail(record.buyer, taken, areas, types),
    }
    put_record(view, id, replaced)
    return encode_record(replaced)
  end

  local function release(id, command)
    local bundle = command[3]
    if bundle and not is_bundle(bundle) then
      return { 'malformed' }
    end
    local record = view_record(view, id)
    if not record then
      put_record(view, id, {
        state = RELEASED, deadline = now + RELEASE_OF_UNKNOWN_KEPT_MS, fp = FP_OF_UNKNOWN,
      })
      note_made(id)
    elseif record.state == PURCHASED then
      return { 'already-purchased' }
    elseif record.bundle ~= bundle and record.state == LIVE then
      return { 'of-bundle', record.bundle or bundle }
    elseif record.state == LIVE and not end_hold(view, id, record, RELEASED) then
      return { 'inconsistent' }
    end
    return { 'done' }
  end

  local function purchase(id, command, body_fp, _, field)
    local payment_reference, key, bundle = unpack(command, 3, 5)
    if not is_text(key, 1) or not is_text(payment_reference, 0)
      or bundle and not is_bundle(bundle)
    then
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
    elseif record.bundle ~= bundle or bundle and not record.committing then
      return { 'of-bundle', record.bundle or bundle }
    elseif NOTHING_IS_BOUGHT[meta.sale_state] then
      return { 'not-on-sale', meta.sale_state }
    end
    if not has_its_places(view, record) then
      return { 'inconsistent' }
    elseif backlog + #sales >= backlog_max then
      return { 'ledger-behind' }
    end
    move_record(view, record, SOLD, 'held', 'sold')
    local count = count_tickets(record.seats, record.areas)
    local buyer = view_buyer(view, record.buyer)
    buyer.bought = buyer.bought + count
    count_held(view, record.buyer, -count)
    keys_used[field], changed_keys[field] = id, true
    local sold = {
      state = PURCHASED, fp = record.fp, buyer = record.buyer, price_version = record.price_version,
      seats = record.seats, areas = record.areas, types = record.types, body_fp = body_fp,
      epoch = epoch, sold_at = now, tail = record.tail,
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

  local function commit(id, command)
    local bundle = command[3]
    if not is_bundle(bundle) then
      return { 'malformed' }
    end
    local record = view_record(view, id)
    local ended = tell_ended(record)
    if ended then
      return ended
    elseif record.state == PURCHASED then
      return { 'already-purchased' }
    elseif record.bundle ~= bundle then
      return { 'of-bundle', record.bundle or bundle }
    elseif record.committing then
      return { 'committing', record.deadline }
    elseif NOTHING_IS_BOUGHT[meta.sale_state] then
      return { 'not-on-sale', meta.sale_state }
    elseif not has_its_places(view, record) then
      return { 'inconsistent' }
    elseif backlog + #sales >= backlog_max then
      return { 'ledger-behind' } -- its purchase would be told so when it is decided already
    end
    record.committing, record.deadline, record.packed = true, now + COMMITTING_MS, nil
    put_record(view, id, record)
    return { 'committing', record.deadline }
  end

  local deciders = {
    [HOLD] = hold, [REPLACE] = replace, [RELEASE] = release, [PURCHASE] = purchase, [LOOK] = look,
    [COMMIT] = commit,
  }

  local function decide(i)
    local id, name, text, second = ids[i], names[i], texts[i], seconds[i]
    local command = commands[i]
    if not command then
      local best, seats = false, { firsts[i], second ~= NONE and second or nil }
      if firsts[i] >= TOGETHER then
        best, seats = { { firsts[i] - TOGETHER, second } }, {}
      end
      command, second = { true, HOLD, ttls[i], best, name, seats }, 0
      if not best then
        command[8] = select(4, cmsgpack.unpack(string.sub(text, FP_BYTES + 1)))
      end
    end
    if view.records[id] == nil then
      view.records[id] = false -- or it was read before
    end
    if view.buyers[name] == nil then
      view.buyers[name] = stored_buyers[i]
    end
    local decider = command[1] and deciders[command[2]]
    if not decider then
      return { 'malformed' }
    end
    local fp, tail = string.sub(text, 1, FP_BYTES), string.sub(text, FP_BYTES + 1 + second)
    return decider(id, command, fp, tail, name)
  end

  return {
    read_command = read_command, read_record = read_record,
    sweep_overdue = sweep_overdue, decide = decide,
    encode_record = encode_record, encode_buyer = encode_buyer,
    list_changed_areas = list_changed_areas,
  }
end
local deciders
local function get_deciders()
  deciders = deciders or make_deciders()
  return deciders
end

-- Few reads for all: the records, then the seats that a command or a record names, the buyers, and
-- the keys of purchases. Price levels are read when they are searched.
for i = 1, commands_count do
  local first, second = firsts[i], seconds[i]
  if first == NONE then
    get_deciders().read_command(i)
  elseif first < TOGETHER then
    if second == NONE then
      second = first
    end
    if first < lowest then
      lowest = first
    end
    if second < lowest then
      lowest = second
    end
    if first > highest then
      highest = first
    end
    if second > highest then
      highest = second
    end
  end
end
if commands_count > 0 then
  stored_records = redis.call('HMGET', key_of.holds, unpack(ids))
  for i = 1, commands_count do
    if stored_records[i] then
      get_deciders().read_record(i)
    end
  end
end
if highest >= 0 then
  local text = redis.call('GETRANGE', key_of.seats, lowest, highest)
  batch.spans[1] = { from = lowest, text = text }
end
if commands_count > 0 then
  stored_buyers = redis.call('HMGET', key_of.buyers, unpack(names))
  for i = commands_count + 1, #names do
    batch.buyers[names[i]] = stored_buyers[i]
  end
end
if #purchase_keys > 0 then
  for i, used_for in ipairs(redis.call('HMGET', key_of.keys, unpack(purchase_keys))) do
    keys_used[purchase_keys[i]] = used_for
  end
end

-- Deciding ----------------------------------------------------------------------------------------

if sweep_max > 0 then
  local overdue = redis.call('ZRANGEBYSCORE', key_of.expiry, '-inf', now, 'LIMIT', 0, 1)
  if #overdue > 0 then
    get_deciders().sweep_overdue(batch, SWEEP_FIRST)
  else
    batch.swept_all = true
  end
end

-- The hold that nearly all of an on-sale's commands are is decided right here: a new one, of one or
-- two seats that are open and were so before the batch, for a buyer who has none. It does what
-- `hold` does, without a table or a function for each thing.
local reply, worded = { 'ok', now, 0 }, {}
local known_seats, known_records, known_buyers = batch.seats, batch.records, batch.buyers
local string_byte, struct_unpack = string.byte, struct.unpack
local span, offset = '', 0
if batch.spans[1] then
  span, offset = batch.spans[1].text, 1 - lowest
end
local log = batch.searches and batch.log
local most = math.min(most_per_hold, most_per_buyer)
local takes_plain = is_selling and not is_ledger_near
local head, buyer_of_one, buyer_of_two, packed_ttl
local kept_count = 0
for i = 1, commands_count do
  local id, first, second, ttl, name = ids[i], firsts[i], seconds[i], ttls[i], names[i]
  local may_be_plain = first ~= NONE and takes_plain and known_records[id] == nil
    and not stored_buyers[i] and not known_buyers[name] and name ~= '' and #name <= TEXT_BYTES_MAX
    and ttl > 0 and ttl <= TTL_MAX_MS
  local first_state, next_state = string_byte(span, first + offset, first + offset + 1)
  local are_neighbours = second == first + 1
  if may_be_plain and most > 1 and first_state == OPEN and not known_seats[first]
    and (second == NONE
      or (are_neighbours and next_state or string_byte(span, second + offset)) == OPEN
        and not known_seats[second] and second ~= first)
  then
    local deadline = now + ttl
    if ttl ~= packed_ttl then
      head, packed_ttl = pack_live_head(deadline, price_version), ttl
      buyer_of_one, buyer_of_two = pack_buyer(1, 0, deadline), pack_buyer(2, 0, deadline)
    end
    local record, buyer = head .. texts[i], buyer_of_one
    local n, d = seat_writes_count, seat_deltas_count
    seat_writes[n + 1], seat_writes[n + 3] = 'SET', first * 8 -- an offset in bits
    seat_deltas[d + 1], seat_deltas[d + 2] = first, HELD
    known_seats[first] = HELD
    if second == NONE then
      seat_writes[n + 2], seat_writes[n + 4] = 'u8', HELD
      seat_writes_count, seat_deltas_count = n + 4, d + 2
    else
      buyer = buyer_of_two
      seat_deltas[d + 3], seat_deltas[d + 4] = second, HELD
      seat_deltas_count = d + 4
      known_seats[second] = HELD
      if are_neighbours then
        seat_writes[n + 2], seat_writes[n + 4] = 'u16', HELD * 256 + HELD
        seat_writes_count = n + 4
      else
        seat_writes[n + 2], seat_writes[n + 4] = 'u8', HELD
        seat_writes[n + 5], seat_writes[n + 6] = 'SET', 'u8'
        seat_writes[n + 7], seat_writes[n + 8] = second * 8, HELD
        seat_writes_count = n + 8
      end
    end
    if log then
      log[#log + 1] = first
      if second ~= NONE then
        log[#log + 1] = second
      end
    end
    n = kept_count
    kept[n + 1], kept[n + 2] = id, record
    scheduled[n + 1], scheduled[n + 2] = deadline, id
    buyers_kept[n + 1], buyers_kept[n + 2] = name, buyer
    kept_count = n + 2
    made_count = made_count + 1
    made[made_count] = struct_unpack('>I4', id)
    known_records[id], known_buyers[name] = record, buyer
    reply[i + 3] = deadline
  elseif may_be_plain and first >= TOGETHER and second <= most and batch.swept_all
    and second >= (batch.misses[first - TOGETHER] or NONE) and batch.levels[first - TOGETHER]
  then
    -- The other that there are many of when a show is nearly sold out: what was searched in vain,
    -- for a new hold that nothing else stands in the way of.
    reply[i + 3] = cmsgpack.pack({ 'none-together', first - TOGETHER, second })
  else
    local answer = get_deciders().decide(i)
    reply[i + 3] = answer
    if type(answer) == 'table' then
      worded[#worded + 1] = i + 3
    end
  end
end

-- Writing: nothing below may fail -----------------------------------------------------------------

local stream_id = string.format('%d-*', epoch)
for _, sale in ipairs(sales) do
  local r = sale.record
  local values = {
    1, r.buyer, r.seats, r.areas, r.price_version, r.sold_at, sale.key,
    (struct.unpack('>I6', r.body_fp)), sale.payment_reference, (struct.unpack('>I6', r.fp)),
  }
  values[#values + 1] = r.types -- left out where there are none
  local fact = cmsgpack.pack(values)
  local added = redis.call('XADD', key_of.sales, stream_id, 'h', sale.id, 'f', fact)
  r.n = tonumber(string.match(added, '%-(%d+)$'))
end
reply[3] = batch.inconsistent and 1 or 0
for _, place in ipairs(worded) do
  local answer = reply[place]
  reply[place] = answer.record and deciders.encode_record(answer.record) or cmsgpack.pack(answer)
end

-- The rest of what changed, for which later entries count.
local area_writes, area_deltas, forgotten, unscheduled = {}, {}, {}, {}
local buyers_gone, keys_kept = {}, {}
if deciders then
  for position, before in pairs(batch.before) do
    local state = batch.seats[position]
    if state ~= before then
      local n = seat_writes_count
      seat_writes[n + 1], seat_writes[n + 2] = 'SET', 'u8'
      seat_writes[n + 3], seat_writes[n + 4] = position * 8, state
      seat_writes_count = n + 4
      seat_deltas[seat_deltas_count + 1], seat_deltas[seat_deltas_count + 2] = position, state
      seat_deltas_count = seat_deltas_count + 2
    end
  end
  area_writes, area_deltas = deciders.list_changed_areas(batch)
  for id in pairs(batch.changed_records) do
    local record = batch.records[id]
    if not record then
      forgotten[#forgotten + 1], unscheduled[#unscheduled + 1] = id, id
    else
      kept[kept_count + 1], kept[kept_count + 2] = id, deciders.encode_record(record)
      kept_count = kept_count + 2
      if record.state == PURCHASED then
        unscheduled[#unscheduled + 1] = id
      else
        scheduled[#scheduled + 1], scheduled[#scheduled + 2] = record.deadline, id
      end
    end
  end
  for name in pairs(batch.changed_buyers) do
    local buyer = batch.buyers[name]
    if buyer.held + buyer.bought > 0 then
      buyers_kept[#buyers_kept + 1], buyers_kept[#buyers_kept + 2] = name, deciders.encode_buyer(buyer)
    else
      buyers_gone[#buyers_gone + 1] = name
    end
  end
  for key in pairs(changed_keys) do
    keys_kept[#keys_kept + 1], keys_kept[#keys_kept + 2] = key, keys_used[key]
  end
end

local expired = table.concat(batch.expired)
if seat_deltas_count > 0 or #area_deltas > 0 or made_count > 0 or expired ~= '' then
  local fields = {}
  if expired ~= '' then
    fields[1], fields[2] = 'e', expired
  end
  redis.call(
    'XADD', key_of.deltas, 'MAXLEN', '~', DELTAS_KEPT, stream_id,
    'd', cmsgpack.pack({ 2, now, seat_deltas, area_deltas, made }), unpack(fields)
  )
end
call_in_chunks('BITFIELD', key_of.seats, seat_writes, 4)
call_in_chunks('HSET', key_of.areas, area_writes, 2)
call_in_chunks('HSET', key_of.holds, kept, 2)
call_in_chunks('HDEL', key_of.holds, forgotten, 1)
call_in_chunks('ZADD', key_of.expiry, scheduled, 2)
call_in_chunks('ZREM', key_of.expiry, unscheduled, 1)
call_in_chunks('HSET', key_of.buyers, buyers_kept, 2)
call_in_chunks('HDEL', key_of.buyers, buyers_gone, 1)
call_in_chunks('HSET', key_of.keys, keys_kept, 2)

local TIME_KEPT_WITHIN_MS = 1000
if must_write or kept_count > 0 or #forgotten > 0 or batch.misses_changed
  or now - (tonumber(meta.time) or 0) > TIME_KEPT_WITHIN_MS
then
  redis.call('HSET', key_of.meta, 'time', now, 'misses',
    next(batch.misses) and cmsgpack.pack(batch.misses) or '')
end
if #sales > 0 then
  redis.call('HSET', key_of.meta, 'sold', sales[#sales].record.n + 1)
  redis.call('PUBLISH', wake_channel, wake_message)
end
return reply
