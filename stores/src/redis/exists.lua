return redis.call('HEXISTS', VALUES, ARGV[4])
