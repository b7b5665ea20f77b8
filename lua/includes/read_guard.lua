-- Returns the server's own identity: whoever opens a show writes it down, as its guard.
local function read_guard()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return run_id, replid
end
