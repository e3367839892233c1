local bytes = 0
for at = 4, #ARGV do
  bytes = bytes + #ARGV[at] + redis.call('HSTRLEN', VALUES, ARGV[at])
end
if bytes > MOST then return false end
local values = {}
for at = 4, #ARGV do
  values[at - 3] = redis.call('HGET', VALUES, ARGV[at])
end
return values
