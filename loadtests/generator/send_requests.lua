--[[
For wrk: sends each request of a file once, as fast as they are answered, then ends the run.

Environment:
  LOAD_REQUESTS  the file: a line with a request's length in bytes, the request, and so on
  LOAD_COUNTED   a text to count in the bodies of answers; empty: none
  LOAD_PURCHASE  start and headers of a purchase, up to `Idempotency-Key: `; each answer to a hold
                 is then followed by its purchase, repeated until it is confirmed; empty: no purchases
  LOAD_BODIES    a file for the answers' bodies, a line each; empty: none

`done` prints one JSON object: see LoadResult in load.py. For one thread (`--threads 1`).
--]]
local ffi = require('ffi')

ffi.cdef([[
  typedef struct { long seconds; long nanoseconds; } load_time;
  int clock_gettime(int clock, load_time *now);
  int getpid(void);
  int kill(int pid, int signal);
]])

local CLOCK_MONOTONIC = 1
local SIGINT = 2
local FAILED = 400
local BODIES_KEPT = 3
local BODY_SHOWN = 300
local RECORDING = 202

local counted_text = os.getenv('LOAD_COUNTED')
local purchase_head = os.getenv('LOAD_PURCHASE')
local bodies_path = os.getenv('LOAD_BODIES')
local bodies
local requests, sent, looked_at = {}, 0, false
local purchases, first_purchase, last_purchase = {}, 1, 0 -- a queue

-- Globals, since `done` reads them from another Lua state.
due, answered, counted, repeated = 0, 0, 0, 0
began_at, ended_at, cpu_at_start = 0, 0, 0
statuses, failures = {}, {}

local now_is = ffi.new('load_time')
local function now()
  ffi.C.clock_gettime(CLOCK_MONOTONIC, now_is)
  return tonumber(now_is.seconds) + tonumber(now_is.nanoseconds) / 1e9
end

local function count_text(body, text)
  local found, at = 0, 1
  while true do
    local _, last = string.find(body, text, at, true)
    if not last then
      return found
    end
    found, at = found + 1, last + 1
  end
end

local function purchase_of(hold)
  local body = '{"hold":"' .. hold .. '","payment_reference":"bench"}'
  return purchase_head .. 'buy-' .. hold .. '\r\nContent-Length: ' .. #body .. '\r\n\r\n' .. body
end

-- An answer to a hold brings its purchase; one to a purchase that is not confirmed yet, itself.
local function follow_up(status, body)
  local is_order = string.find(body, '"order":"', 1, true)
  if status >= FAILED or (is_order and status ~= RECORDING) then
    return
  end
  local hold = string.match(body, '"hold":"([%w_]+)"')
  last_purchase = last_purchase + 1
  purchases[last_purchase] = purchase_of(hold)
  due = due + 1
  if is_order then
    repeated = repeated + 1
  end
end

local threads = {}

function setup(thread)
  threads[#threads + 1] = thread
end

function init()
  local file = assert(io.open(os.getenv('LOAD_REQUESTS'), 'rb'))
  for length in file:lines() do
    requests[#requests + 1] = file:read(tonumber(length))
  end
  file:close()
  due = #requests
  if bodies_path ~= '' then
    bodies = assert(io.open(bodies_path, 'wb'))
  end
end

function request()
  if not looked_at then
    looked_at = true
    return requests[1]
  end
  if began_at == 0 then
    began_at, cpu_at_start = now(), os.clock()
  end
  if first_purchase <= last_purchase then
    local purchase = purchases[first_purchase]
    purchases[first_purchase] = nil
    first_purchase = first_purchase + 1
    return purchase
  end
  if sent == #requests then
    return '' -- this connection rests
  end
  sent = sent + 1
  return requests[sent]
end

function response(status, _, body)
  answered = answered + 1
  statuses[status] = (statuses[status] or 0) + 1
  if status >= FAILED and #failures < BODIES_KEPT then
    failures[#failures + 1] = string.sub(body, 1, BODY_SHOWN)
  end
  if counted_text ~= '' then
    counted = counted + count_text(body, counted_text)
  end
  if purchase_head ~= '' then
    follow_up(status, body)
  end
  if bodies then
    bodies:write(body, '\n')
  end
  ended_at = now()
  if answered == due then
    if bodies then
      bodies:close()
    end
    wrk.thread:stop()
    ffi.C.kill(ffi.C.getpid(), SIGINT)
  end
end

local function as_json(text)
  return '"' .. string.gsub(text, '[%c"\\\128-\255]', function(character)
    return string.format('\\u%04x', string.byte(character))
  end) .. '"'
end

function done(summary, latency)
  local thread = threads[1]
  local whole = thread:get('answered') == thread:get('due')
  -- Silence at the end of a run that time has ended counts, too.
  local ended = whole and thread:get('ended_at') or now()
  local status_parts, failure_parts = {}, {}
  for status, count in pairs(thread:get('statuses')) do
    status_parts[#status_parts + 1] = string.format('"%d":%d', status, count)
  end
  for _, body in pairs(thread:get('failures')) do
    failure_parts[#failure_parts + 1] = as_json(body)
  end
  local errors = summary.errors
  print(string.format(
    '{"answered":%d,"counted":%d,"repeated":%d,"whole":%s,"statuses":{%s},"failures":[%s],'
      .. '"wall_s":%.6f,"cpu_s":%.6f,"p50_ms":%.3f,"p99_ms":%.3f,"max_ms":%.3f,'
      .. '"connection_errors":%d}',
    thread:get('answered'), thread:get('counted'), thread:get('repeated'),
    tostring(whole),
    table.concat(status_parts, ','), table.concat(failure_parts, ','),
    ended - thread:get('began_at'),
    os.clock() - thread:get('cpu_at_start'),
    latency:percentile(50) / 1000, latency:percentile(99) / 1000, latency.max / 1000,
    errors.connect + errors.read + errors.write + errors.timeout
  ))
end
