-- Returns the server's own identity. A restart changes run_id, a promotion or another server's
-- data changes master_replid: either way the show must be recovered before it may change.
local function read_guard()
  local run_id = string.match(redis.call('INFO', 'server'), 'run_id:(%x+)')
  local replid = string.match(redis.call('INFO', 'replication'), 'master_replid:(%x+)')
  return run_id, replid
end
