-- Reads named fields of the show's meta hash into a table; a missing field is false.
local function read_meta(meta_key, names)
  local values = redis.call('HMGET', meta_key, unpack(names))
  local meta = {}
  for i, name in ipairs(names) do
    meta[name] = values[i]
  end
  return meta
end
