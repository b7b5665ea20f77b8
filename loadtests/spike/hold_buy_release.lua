--[[
Load for wrk: an exact number of holds, purchases and releases at one show, every answer counted.

A buyer asks for a group of seats by their labels, two as a rule. Seven times out of ten it is a
popular group, so that several ask for the same; otherwise one that the seat map still shows as not
sold. Whoever gets a hold buys it or releases it: bought are as many as let the hall sell out when
SELL_OUT_AT of the requests have been sent, and never more than BOUGHT_MAX of the holds.
loadtests/spike/buyers.py says the same in Python, for where there is no wrk.

wrk runs one copy of this file per thread, so each thread has a part of the requests and a part of
the hall. It calls `request` when a connection may send and `response` when one was answered, but
does not say which connection: X-Request-Id, which the API echoes, tells which request an answer
belongs to.

Environment:
  TARGET_API_KEY, TARGET_SHOW  as in the Locust scenarios
  SPIKE_FOLDER    has groups.txt, a JSON array of labels a line; the best seats first
  SPIKE_REQUESTS  how many to send, all threads together
  SPIKE_THREADS   how many threads wrk was told to use
  SPIKE_RUN       8 characters that make the keys of this run its own
Writes to SPIKE_FOLDER:
  wrk-N.seconds   a JSON object a second, as loadtests/spike/seconds.py reads it
  wrk-N.receipts  a line per order: its id, and the number of its group in groups.txt, from 0
]]

local ffi = require("ffi")
ffi.cdef([[
  typedef struct { long seconds; long micros; } spike_time;
  int gettimeofday(spike_time *now, void *zone);
  int getpid(void);
  int kill(int pid, int signal);
]])

local SELL_OUT_AT = 0.9
local BOUGHT_MAX = 0.45
local POPULAR_SHARE = 0.7

local KINDS = { "hold", "purchase", "release" }
local HOLD, PURCHASE, RELEASE = 1, 2, 3
local SIGINT = 2

-- histogram.py's
local FINE_US, FINE_UNTIL_US, COARSE_US, BUCKETS = 100, 200000, 1000, 31800

local clock = ffi.new("spike_time")

local function now_us()
  ffi.C.gettimeofday(clock, nil)
  return tonumber(clock.seconds) * 1000000 + tonumber(clock.micros)
end

------------------------------------------------------------------------ the seconds

local Seconds = {}
Seconds.__index = Seconds

function Seconds.open(path)
  local took = {}
  for kind = 1, #KINDS do
    took[kind] = ffi.new("uint32_t[?]", BUCKETS)
  end
  local file = assert(io.open(path, "w"))
  return setmetatable({ file = file, took = took, answers = { {}, {}, {} }, at = 0, most = 0 }, Seconds)
end

function Seconds:note(kind, answer, took_us, at_us)
  local at = math.floor(at_us / 1000000)
  if at ~= self.at then
    self:flush()
    self.at = at
  end
  local bucket
  if took_us < FINE_UNTIL_US then
    bucket = math.floor(math.max(took_us, 0) / FINE_US)
  else
    bucket = FINE_UNTIL_US / FINE_US + math.floor((took_us - FINE_UNTIL_US) / COARSE_US)
    bucket = math.min(bucket, BUCKETS - 1)
  end
  self.most = math.max(self.most, bucket)
  local took = self.took[kind]
  took[bucket] = took[bucket] + 1
  local answers = self.answers[kind]
  answers[answer] = (answers[answer] or 0) + 1
end

function Seconds:flush()
  local answers, took = {}, {}
  for kind, name in ipairs(KINDS) do
    local parts = {}
    for answer, count in pairs(self.answers[kind]) do
      parts[#parts + 1] = string.format('"%s":%d', answer, count)
    end
    if #parts > 0 then
      answers[#answers + 1] = string.format('"%s":{%s}', name, table.concat(parts, ","))
      local pairs_of, counts = {}, self.took[kind]
      for bucket = 0, self.most do
        if counts[bucket] > 0 then
          pairs_of[#pairs_of + 1] = string.format("%d,%d", bucket, counts[bucket])
        end
      end
      took[#took + 1] = string.format('"%s":[%s]', name, table.concat(pairs_of, ","))
      ffi.fill(counts, ffi.sizeof(counts))
      self.answers[kind] = {}
    end
  end
  self.most = 0
  if #answers > 0 then
    local line = '{"at":%d,"answers":{%s},"took":{%s}}\n'
    self.file:write(line:format(self.at, table.concat(answers, ","), table.concat(took, ",")))
    self.file:flush()
  end
end

------------------------------------------------------------------------ a thread

-- Set by `setup`: this thread's number, from 0. wrk hands over globals only.
number = 0
-- Read by `done`.
answered, began_us, ended_us = 0, 0, 0

local folder = os.getenv("SPIKE_FOLDER")
local threads = tonumber(os.getenv("SPIKE_THREADS"))

local seconds, receipts
local quota = 0
local sent = 0
local wins, bought = 0, 0
-- wrk tries the first request of its first thread without sending it.
local tried = false

-- Of each group of this thread: its number in the file, and a hold's request from the length on.
local numbers, bodies = {}, {}
-- The groups that are not sold, in any order, and where each stands there; nil once it is sold.
local unsold, place = {}, {}

-- What is under way, by slot: there are as many slots as requests at once.
local free = {}
local kind_of, started_us, what_of = {}, {}, {}
-- What follows from holds that were won; the latest first, so that nobody waits for long.
local next_steps = {}

local hold_head, purchase_head, release_head, key_head

local function read_groups(path)
  local line_no, mine = 0, 0
  for labels in io.lines(path) do
    if line_no % threads == number then
      mine = mine + 1
      numbers[mine] = line_no
      local body = string.format('{"seats":%s,"buyer":"', labels)
      local length = #body + #key_head + 7 + #'"}'
      bodies[mine] = string.format("\r\nContent-Length: %d\r\n\r\n%s", length, body)
      unsold[mine], place[mine] = mine, mine
    end
    line_no = line_no + 1
  end
end

function init()
  number = tonumber(number)
  local address = wrk.port and (wrk.host .. ":" .. wrk.port) or wrk.host
  local headers = " HTTP/1.1\r\nHost: " .. address .. "\r\nAuthorization: Bearer "
    .. os.getenv("TARGET_API_KEY") .. "\r\n"
  local json = headers .. "Content-Type: application/json\r\nIdempotency-Key: "
  local show = "/v1/shows/" .. os.getenv("TARGET_SHOW")
  hold_head = "POST " .. show .. "/holds" .. json
  purchase_head = "POST " .. show .. "/purchases" .. json
  release_head = { "DELETE " .. show .. "/holds/", headers .. "X-Request-Id: " }
  key_head = string.format("%s-%02d-", os.getenv("SPIKE_RUN"), number)
  local total = tonumber(os.getenv("SPIKE_REQUESTS"))
  quota = math.floor(total / threads) + (number < total % threads and 1 or 0)
  math.randomseed(number + 1)
  read_groups(folder .. "/groups.txt")
  seconds = Seconds.open(string.format("%s/wrk-%d.seconds", folder, number))
  receipts = assert(io.open(string.format("%s/wrk-%d.receipts", folder, number), "w"))
  tried = number ~= 0
end

local function choose_group()
  if #unsold == 0 or math.random() < POPULAR_SHARE then
    return 1 + math.floor(#bodies * math.random() ^ 2)
  end
  return unsold[math.random(#unsold)]
end

local function take_slot(kind, what)
  local slot = table.remove(free) or #kind_of + 1
  kind_of[slot], what_of[slot] = kind, what
  started_us[slot] = now_us()
  return slot
end

local function ask_for_seats()
  local group = choose_group()
  local key = key_head .. string.format("%07d", sent)
  local slot = take_slot(HOLD, { group = group, key = key })
  return hold_head .. key .. "\r\nX-Request-Id: " .. slot .. bodies[group] .. key .. '"}'
end

local function go_on(step)
  local slot = take_slot(step.kind, step)
  if step.kind == RELEASE then
    return release_head[1] .. step.hold .. release_head[2] .. slot .. "\r\n\r\n"
  end
  local body = '{"hold":"' .. step.hold .. '","payment_reference":"' .. step.key .. '"}'
  return purchase_head .. "p-" .. step.key .. "\r\nX-Request-Id: " .. slot
    .. "\r\nContent-Length: " .. #body .. "\r\n\r\n" .. body
end

function request()
  if not tried then
    tried = true
    return "GET / HTTP/1.1\r\n\r\n"
  end
  if sent == quota then
    return "" -- nothing is sent, and the connection rests
  end
  sent = sent + 1
  if began_us == 0 then
    began_us = now_us()
  end
  local step = table.remove(next_steps)
  return step and go_on(step) or ask_for_seats()
end

local function will_buy()
  local sold_by_now = #bodies * sent / (SELL_OUT_AT * quota)
  return bought < math.min(sold_by_now, BOUGHT_MAX * wins)
end

local function win(asked, body)
  wins = wins + 1
  asked.hold = body:match('"hold":"([^"]+)"')
  if will_buy() then
    bought = bought + 1
    asked.kind = PURCHASE
  else
    asked.kind = RELEASE
  end
  next_steps[#next_steps + 1] = asked
end

local function note_sold(step, body)
  receipts:write(body:match('"order":"([^"]+)"'), " ", numbers[step.group], "\n")
  local at = place[step.group]
  if at then
    local last = table.remove(unsold)
    if last ~= step.group then
      unsold[at], place[last] = last, at
    end
    place[step.group] = nil
  end
end

-- The last thread to be done wakes wrk's main thread, which would sleep on until its duration ends.
local function finish()
  seconds:flush()
  receipts:flush()
  local path = folder .. "/finished"
  local mark = assert(io.open(path, "a"))
  mark:write("x")
  mark:close()
  if assert(io.open(path)):seek("end") >= threads then
    ffi.C.kill(ffi.C.getpid(), SIGINT)
  end
  wrk.thread:stop()
end

local function learn(slot, status, body, at_us)
  local kind, step = kind_of[slot], what_of[slot]
  free[#free + 1] = slot
  local answer = tostring(status)
  if status == 503 and body:find(":overloaded", 1, true) then
    answer = "overloaded"
  end
  seconds:note(kind, answer, at_us - started_us[slot], at_us)
  if kind == HOLD then
    if status == 201 then
      win(step, body)
    end
  elseif status >= 500 then
    next_steps[#next_steps + 1] = step -- once more, with the same key
  elseif kind == PURCHASE and status < 300 then
    note_sold(step, body)
  end
end

function response(status, headers, body)
  ended_us = now_us()
  local slot = tonumber(headers["x-request-id"] or "")
  if kind_of[slot or 0] then
    learn(slot, status, body, ended_us)
  else
    seconds:note(HOLD, "nameless", 0, ended_us) -- not the API's answer: counts as an error
  end
  answered = answered + 1
  if answered == quota then
    finish()
  end
end

------------------------------------------------------------------------ all of wrk

local all_threads = {}

function setup(thread)
  thread:set("number", #all_threads)
  all_threads[#all_threads + 1] = thread
end

function done(summary, latency)
  local sum, first_us, last_us = 0, math.huge, 0
  for _, thread in ipairs(all_threads) do
    sum = sum + thread:get("answered")
    first_us = math.min(first_us, thread:get("began_us"))
    last_us = math.max(last_us, thread:get("ended_us"))
  end
  local errors = summary.errors
  io.write(string.format(
    '{"answered":%d,"wall_s":%.6f,"errors":{"connect":%d,"read":%d,"write":%d,"timeout":%d},'
      .. '"max_ms":%.3f,"corrected_p50_ms":%.3f,"corrected_p99_ms":%.3f}\n',
    sum, math.max(0, last_us - first_us) / 1e6,
    errors.connect, errors.read, errors.write, errors.timeout,
    latency.max / 1000, latency:percentile(50) / 1000, latency:percentile(99) / 1000
  ))
end
