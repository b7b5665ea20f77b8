-- Ends passes whose deadline has come, so that their places in checkout are free.
local function end_overdue_passes(passes_key, buyers_key, now, most)
  local overdue = redis.call('ZRANGEBYSCORE', passes_key, '-inf', now, 'LIMIT', 0, most)
  if #overdue > 0 then
    redis.call('ZREM', passes_key, unpack(overdue))
    redis.call('HDEL', buyers_key, unpack(overdue))
  end
end
