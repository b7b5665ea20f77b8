--[[
Serves a batch of what people in a show's waiting room ask for.

Who joins gets the next number. An admitted person who claims a pass gets it if the stock has one for
everybody before them who waits for one: places, not arrival, decide. Repeating a command has no
second effect, but for a join without an identity, which costs a number and no memory.

KEYS: 1 queue, 2 queue_passes, 3 queue_buyers, 4 queue_used, 5 queue_waiting, 6 queue_seen,
      from 7 on what commands name: hashes of identities, bits of spent proofs
ARGV: 1 msgpack {how many join without an identity or a proof, {command, ...}}
Commands, and what each may answer, in order of precedence:
  {1, identity's first 4 bytes, its last 4, number of its key or 0, bit, number of the bits' key or 0}  join
      known {number}, shut, spent, full, joined {number}
  {2, number, place, buyer's digest}                                                          claim
      issued {deadline ms, ms left} (a replay), over, not-yet, wait {claimants before}, issued
  {3, number}                                                                                 leave
      left
  {4, number}                                                                                 look
      issued {deadline ms, ms left}, over, none
  {5, number, buyer's digest}                                                                 check
      issued {deadline ms, ms left}, over
Returns msgpack {status, 1 if people may join, first number, numbers given, {{word, ...}, ...}}; in order
of precedence:
  {'fenced'}              the queue is not open on this server: the controller opens it
  {'ok', ...}             of those who join without more, the first so many got numbers, from the
                          first on; 0 of them where joining is shut
Facts: none.
--]]
--- include read_meta
--- include read_time
--- include refuse_batch
--- include end_overdue_passes
local queue_key, passes_key, buyers_key, used_key, waiting_key, seen_key =
  KEYS[1], KEYS[2], KEYS[3], KEYS[4], KEYS[5], KEYS[6]
local plain, commands = unpack(cmsgpack.unpack(ARGV[1]), 1, 2)
local JOIN, CLAIM, LEAVE, LOOK, CHECK = 1, 2, 3, 4, 5
local OVERDUE_MAX = 256
local SPENT_KEPT_S = 900

local meta = read_meta(queue_key, {
  'run_id', 'replid', 'time', 'state', 'joins', 'next', 'ceiling', 'serving', 'stock', 'issued',
  'claims', 'lag', 'checkout_max', 'pass_ttl',
})
if not is_guarded(meta) then
  return cmsgpack.pack({ 'fenced' })
end
local now = read_time(meta.time)
local next_number, ceiling, serving = tonumber(meta.next), tonumber(meta.ceiling), tonumber(meta.serving)
local stock, issued = tonumber(meta.stock), tonumber(meta.issued)
local claims, lag = tonumber(meta.claims), tonumber(meta.lag)
local checkout_max, pass_ttl = tonumber(meta.checkout_max), tonumber(meta.pass_ttl)
local may_join = meta.joins == 'open'
local is_admitting = meta.state == 'running' or meta.state == 'passthrough'
end_overdue_passes(passes_key, buyers_key, now, OVERDUE_MAX)
local occupancy = redis.call('ZCARD', passes_key)

local function name(number)
  return string.format('%d', number)
end

local function join(first_half, last_half, identities, place_of_proof, spent)
  local has_identity, has_proof = identities > 0, spent > 0
  local identity = struct.pack('>I4I4', first_half, last_half)
  if has_identity then
    local known = redis.call('HGET', KEYS[identities], identity)
    if known then
      return { 'known', tonumber(known) }
    end
  end
  if not may_join then
    return { 'shut' }
  elseif has_proof and redis.call('GETBIT', KEYS[spent], place_of_proof) == 1 then
    return { 'spent' }
  elseif next_number >= ceiling then
    return { 'full' }
  end
  local number = next_number
  next_number = next_number + 1
  if has_identity then
    redis.call('HSET', KEYS[identities], identity, name(number))
  end
  if has_proof then
    redis.call('SETBIT', KEYS[spent], place_of_proof, 1)
    redis.call('EXPIRE', KEYS[spent], SPENT_KEPT_S)
  end
  return { 'joined', number }
end

-- How a number's pass stands, for this buyer or, without one, for whoever has it.
local function look(number, buyer)
  local deadline = redis.call('ZSCORE', passes_key, name(number))
  -- Overdue ones may still be here, since no call ends more than so many.
  if deadline and tonumber(deadline) > now then
    if buyer and redis.call('HGET', buyers_key, name(number)) ~= buyer then
      return { 'over' }
    end
    return { 'issued', tonumber(deadline), tonumber(deadline) - now }
  end
  if number < next_number and redis.call('GETBIT', used_key, number) == 1 then
    return { 'over' }
  end
  return nil
end

-- Lets an admitted person wait for a pass; returns an answer for who can't.
local function enter(number, place, buyer)
  local standing = look(number, buyer)
  if standing then
    return standing
  elseif number >= next_number or place >= serving or not is_admitting then
    return { 'not-yet' }
  end
  if redis.call('ZADD', waiting_key, place, name(number)) == 1 then
    claims, lag = claims + 1, lag + serving - place
  end
  redis.call('ZADD', seen_key, now, name(number))
  return nil
end

local function claim(number, buyer)
  local rank = redis.call('ZRANK', waiting_key, name(number))
  if not rank then
    return look(number, buyer) -- claimed twice in this batch
  elseif rank >= math.floor(stock) or occupancy >= checkout_max then
    return { 'wait', rank }
  end
  local deadline = now + pass_ttl
  redis.call('ZREM', waiting_key, name(number))
  redis.call('ZREM', seen_key, name(number))
  redis.call('ZADD', passes_key, name(deadline), name(number))
  redis.call('HSET', buyers_key, name(number), buyer)
  redis.call('SETBIT', used_key, number, 1)
  stock, issued, occupancy = stock - 1, issued + 1, occupancy + 1
  return { 'issued', deadline, pass_ttl }
end

local function leave(number)
  if number < next_number then
    occupancy = occupancy - redis.call('ZREM', passes_key, name(number))
    redis.call('HDEL', buyers_key, name(number))
    redis.call('ZREM', waiting_key, name(number))
    redis.call('ZREM', seen_key, name(number))
    redis.call('SETBIT', used_key, number, 1)
  end
  return { 'left' }
end

local first, given = next_number, 0
if may_join then
  given = math.max(0, math.min(plain, ceiling - next_number))
  next_number = next_number + given
end
-- All who claim wait together before the first is decided, so that their places decide.
local answers = {}
for i, command in ipairs(commands) do
  if command[1] == CLAIM then
    answers[i] = enter(command[2], command[3], command[4]) or false
  end
end
for i, command in ipairs(commands) do
  local kind = command[1]
  if kind == JOIN then
    answers[i] = join(unpack(command, 2, 6))
  elseif kind == CLAIM then
    answers[i] = answers[i] or claim(command[2], command[4])
  elseif kind == LEAVE then
    answers[i] = leave(command[2])
  elseif kind == LOOK then
    answers[i] = look(command[2]) or { 'none' }
  elseif kind == CHECK then
    answers[i] = look(command[2], command[3]) or { 'over' }
  end
end

redis.call('HSET', queue_key, 'time', name(now), 'next', name(next_number), 'issued', name(issued),
  'claims', name(claims), 'lag', name(lag), 'stock', string.format('%.6f', stock))
return cmsgpack.pack({ 'ok', may_join and 1 or 0, first, given, answers })
