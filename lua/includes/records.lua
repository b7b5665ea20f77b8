-- A hold's packed record: a format byte, then a msgpack array.
local RECORD_FORMAT = '\1'

local function decode_record(packed)
  local f = cmsgpack.unpack(string.sub(packed, 2))
  return {
    state = f[1],
    deadline = f[2], -- live: when it ends; released or expired: when it is forgotten (ms)
    fp = f[3],
    buyer = f[4],
    price_version = f[5],
    selection_fp = f[6],
    seats = f[7],
    areas = f[8],
    -- only of a purchased one:
    key = f[9],
    body_fp = f[10],
    epoch = f[11],
    n = f[12],
    sold_at = f[13],
  }
end

local function encode_record(r)
  if r.state == RELEASED or r.state == EXPIRED then
    return RECORD_FORMAT .. cmsgpack.pack({ r.state, r.deadline, r.fp })
  end
  local fields = {
    r.state, r.deadline, r.fp, r.buyer, r.price_version, r.selection_fp, r.seats, r.areas,
  }
  if r.state == PURCHASED then
    fields[9], fields[10], fields[11], fields[12], fields[13] =
      r.key, r.body_fp, r.epoch, r.n, r.sold_at
  end
  return RECORD_FORMAT .. cmsgpack.pack(fields)
end
