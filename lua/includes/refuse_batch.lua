-- Decides whether a change may act at all. Returns a status word, or nil when it may.
-- In order of precedence: too-late, fenced, stale.
local function refuse_batch(meta, now, epoch, version, not_after)
  if now > not_after then
    return 'too-late'
  end
  local run_id, replid = read_guard()
  if meta.state ~= 'open' or meta.run_id ~= run_id or meta.replid ~= replid then
    return 'fenced'
  end
  if tonumber(meta.epoch) ~= epoch or tonumber(meta.version) ~= version then
    return 'stale'
  end
  return nil
end
