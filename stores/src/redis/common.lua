local VALUES, ORDER, BYTES = KEYS[1], KEYS[2], KEYS[3]
local LIMIT, ENTRY, MOST = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local DONE, FULL, NO_NUMBER, SEEN_OTHER = 0, 1, 2, 3

-- Bytes that the entry of a key counts.
local function counted(key)
  if redis.call('HEXISTS', VALUES, key) == 0 then return 0 end
  return ENTRY + #key + redis.call('HSTRLEN', VALUES, key)
end

-- Bytes of the tenant's stores.
local function used()
  return tonumber(redis.call('GET', BYTES) or '0')
end

local function set_used(bytes)
  redis.call('SET', BYTES, string.format('%.0f', bytes))
end

-- Sets the keys and values of ARGV, if there is room for all of them.
local function put(first)
  local before, after = 0, 0
  for at = first, #ARGV, 2 do
    before = before + counted(ARGV[at])
    after = after + ENTRY + #ARGV[at] + #ARGV[at + 1]
  end
  local bytes = used() - before + after
  if bytes > LIMIT and after > before then return FULL end
  for at = first, #ARGV, 2 do
    redis.call('HSET', VALUES, ARGV[at], ARGV[at + 1])
    redis.call('ZADD', ORDER, 0, ARGV[at])
  end
  set_used(bytes)
  return DONE
end

