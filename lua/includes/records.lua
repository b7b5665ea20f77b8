-- A hold's packed record: a format byte, a fixed part by state, and a msgpack tail for a hold that
-- stands: {buyer, seats, areas}, and the purchase's key after them.
local RECORD_FORMAT = '\2'
local ENDED_PART = '>BI6I6' -- state, forgotten at, fp
local LIVE_PART = '>BI6I6I6I4' -- state, deadline, fp, selection fp, price version
local SOLD_PART = '>BI6I6I6I4I6I4I6I6' -- the same, then body fp, epoch, n, sold at

-- The first format was one msgpack array.
local function decode_record_of_format_1(packed)
  local f = cmsgpack.unpack(string.sub(packed, 2))
  local record = {
    state = f[1], deadline = f[2], fp = f[3], buyer = f[4], price_version = f[5],
    selection_fp = f[6], seats = f[7], areas = f[8],
    key = f[9], body_fp = f[10], epoch = f[11], n = f[12], sold_at = f[13],
  }
  if record.state == PURCHASED then
    record.tail = cmsgpack.pack(record.buyer, record.seats, record.areas, record.key)
  elseif record.state == LIVE then
    record.tail = cmsgpack.pack(record.buyer, record.seats, record.areas)
  end
  return record
end

local function decode_record(packed)
  if string.byte(packed) == 1 then
    return decode_record_of_format_1(packed)
  end
  local state = string.byte(packed, 2)
  if state ~= LIVE and state ~= PURCHASED then
    -- live: when it ends; released or expired: when it is forgotten (ms)
    local _, deadline, fp = struct.unpack(ENDED_PART, packed, 2)
    return { state = state, deadline = deadline, fp = fp }
  end
  local record, at, _ = { state = state }, nil, nil
  if state == LIVE then
    _, record.deadline, record.fp, record.selection_fp, record.price_version, at =
      struct.unpack(LIVE_PART, packed, 2)
  else
    _, record.deadline, record.fp, record.selection_fp, record.price_version,
      record.body_fp, record.epoch, record.n, record.sold_at, at =
      struct.unpack(SOLD_PART, packed, 2)
  end
  record.packed = packed
  record.tail = string.sub(packed, at)
  record.buyer, record.seats, record.areas, record.key = cmsgpack.unpack(record.tail)
  return record
end

local function encode_record(r)
  if r.packed then
    return r.packed
  elseif r.state == LIVE then
    r.packed = RECORD_FORMAT .. struct.pack(
      LIVE_PART, LIVE, r.deadline, r.fp, r.selection_fp, r.price_version
    ) .. r.tail
  elseif r.state == PURCHASED then
    r.packed = RECORD_FORMAT .. struct.pack(
      SOLD_PART, PURCHASED, r.deadline, r.fp, r.selection_fp, r.price_version,
      r.body_fp, r.epoch, r.n, r.sold_at
    ) .. r.tail
  else
    return RECORD_FORMAT .. struct.pack(ENDED_PART, r.state, r.deadline, r.fp)
  end
  return r.packed
end
