local bytes = used()
for at = 4, #ARGV do
  bytes = bytes - counted(ARGV[at])
  redis.call('HDEL', VALUES, ARGV[at])
  redis.call('ZREM', ORDER, ARGV[at])
end
set_used(bytes)
return DONE
