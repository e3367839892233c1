local key = ARGV[4]
local before, old = counted(key), redis.call('HGET', VALUES, key)
local number = redis.pcall('HINCRBY', VALUES, key, ARGV[5])
if type(number) == 'table' and number.err then return {NO_NUMBER, 0} end
local after = counted(key)
local bytes = used() - before + after
if bytes > LIMIT and after > before then
  if old then redis.call('HSET', VALUES, key, old) else redis.call('HDEL', VALUES, key) end
  return {FULL, 0}
end
redis.call('ZADD', ORDER, 0, key)
set_used(bytes)
-- As text: a number of Lua has 53 bits.
return {DONE, redis.call('HGET', VALUES, key)}
