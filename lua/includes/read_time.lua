-- Returns now in ms: the server's clock, never before the highest time that the show has seen.
local function read_time(highest_seen)
  local time = redis.call('TIME')
  local now = time[1] * 1000 + math.floor(time[2] / 1000)
  return math.max(now, tonumber(highest_seen) or 0)
end
