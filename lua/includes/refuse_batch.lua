-- Whether this is the server that the show was opened on, with the data it had then. A restart
-- changes run_id, a promotion or another server's data changes master_replid.
local function is_guarded(meta)
  local info = redis.call('INFO', 'server', 'replication')
  return meta.run_id and meta.replid
    and string.find(info, 'run_id:' .. meta.run_id, 1, true)
    and string.find(info, 'master_replid:' .. meta.replid, 1, true)
end

-- Decides whether a change may act at all. Returns a status word, or nil when it may.
-- In order of precedence: too-late, fenced, stale.
local function refuse_batch(meta, now, epoch, version, not_after)
  if now > not_after then
    return 'too-late'
  end
  if meta.state ~= 'open' or not is_guarded(meta) then
    return 'fenced'
  end
  if tonumber(meta.epoch) ~= epoch or tonumber(meta.version) ~= version then
    return 'stale'
  end
  return nil
end
