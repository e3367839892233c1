local expected = ARGV[4] == '1' and ARGV[5]
if redis.call('HGET', VALUES, ARGV[6]) ~= expected then return SEEN_OTHER end
return put(6)
