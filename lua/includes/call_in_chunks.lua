-- Calls a variadic command with as many arguments as Lua's stack allows, in whole groups.
local function call_in_chunks(command, key, arguments, group)
  local size = 4000 - 4000 % group
  for from = 1, #arguments, size do
    redis.call(command, key, unpack(arguments, from, math.min(from + size - 1, #arguments)))
  end
end
