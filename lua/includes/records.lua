-- A hold's packed record: a byte of format and state, integers, fingerprints as they came, and for a
-- hold that stands a msgpack tail {buyer, seats, areas, types}, without a list around it; types are
-- a text that is for others to read, and the last two are left out where there are none.
local REPLACED = 5 -- a live hold with the fingerprint of another selection than its own body's
local RETURNED = 6 -- a purchased hold whose order was given back: its places are not its own any more
local BUNDLED, COMMITTING = 7, 8 -- a live hold of a bundle; one that its bundle is about to purchase
local BUNDLE_BYTES = 16
local NO_AREAS = {}

local function pack_tail(buyer, seats, areas, types)
  if types then
    return cmsgpack.pack(buyer, seats, areas, types)
  elseif #areas == 0 then
    return cmsgpack.pack(buyer, seats)
  end
  return cmsgpack.pack(buyer, seats, areas)
end

local function decode_record(packed)
  local state = string.byte(packed) - RECORD_FORMAT
  local record = { state = state, packed = packed }
  if state == PURCHASED or state == RETURNED then
    record.state, record.returned = PURCHASED, state == RETURNED
    record.price_version = struct.unpack('>I2', packed, 2)
    record.fp, record.body_fp = string.sub(packed, 4, 9), string.sub(packed, 10, 15)
    record.epoch, record.n, record.sold_at = struct.unpack('>I4I4I6', packed, 16)
    record.tail = string.sub(packed, 30)
  else
    -- live: when it ends; released or expired: when it is forgotten (ms)
    record.deadline = struct.unpack('>I6', packed, 2)
    if state == RELEASED or state == EXPIRED then
      record.fp = string.sub(packed, 8, 13)
      return record
    end
    record.price_version = struct.unpack('>I2', packed, 8)
    record.fp, record.selection_fp = string.sub(packed, 10, 15), string.sub(packed, 10, 15)
    record.tail = string.sub(packed, 16)
    if state == REPLACED then
      record.state, record.selection_fp = LIVE, string.sub(packed, 16, 21)
      record.tail = string.sub(packed, 22)
    elseif state ~= LIVE then
      record.state, record.committing = LIVE, state == COMMITTING
      record.bundle, record.tail = string.sub(packed, 16, 31), string.sub(packed, 32)
    end
  end
  record.buyer, record.seats, record.areas, record.types = cmsgpack.unpack(record.tail)
  record.areas = record.areas or NO_AREAS
  return record
end

local function encode_record(r)
  if r.packed then
    return r.packed
  elseif r.state == PURCHASED then
    local state = r.returned and RETURNED or PURCHASED
    r.packed = struct.pack('>BI2', RECORD_FORMAT + state, r.price_version)
      .. r.fp .. r.body_fp .. struct.pack('>I4I4I6', r.epoch, r.n, r.sold_at) .. r.tail
  elseif r.state ~= LIVE then
    r.packed = struct.pack('>BI6', RECORD_FORMAT + r.state, r.deadline) .. r.fp
  elseif r.bundle then
    local state = r.committing and COMMITTING or BUNDLED
    r.packed = struct.pack('>BI6I2', RECORD_FORMAT + state, r.deadline, r.price_version)
      .. r.fp .. r.bundle .. r.tail
  elseif r.selection_fp == r.fp then
    r.packed = pack_live_head(r.deadline, r.price_version) .. r.fp .. r.tail
  else
    r.packed = struct.pack('>BI6I2', RECORD_FORMAT + REPLACED, r.deadline, r.price_version)
      .. r.fp .. r.selection_fp .. r.tail
  end
  return r.packed
end
